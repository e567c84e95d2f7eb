import type { Head } from '../../domain/entry.js'
import type { ConvKey } from '../../domain/ids.js'

/**
 * Durable heads of the conversations in use. Two generations instead of a list in order of use: a hit costs one
 * look-up. Holds at most `max` heads; any of them may be read again from the log.
 */
export class Heads {
  readonly #half: number
  readonly #load: (conv: ConvKey) => Head
  #young = new Map<ConvKey, Head>()
  #old = new Map<ConvKey, Head>()

  constructor (max: number, load: (conv: ConvKey) => Head) {
    this.#half = Math.max(1, max >> 1)
    this.#load = load
  }

  get (conv: ConvKey): Head {
    const young = this.#young.get(conv)
    if (young !== undefined) return young
    const head = this.#old.get(conv) ?? this.#load(conv)
    this.set(conv, head)
    return head
  }

  set (conv: ConvKey, head: Head): void {
    this.#young.set(conv, head)
    if (this.#young.size > this.#half) {
      this.#old = this.#young
      this.#young = new Map()
    }
  }
}
