import { createHash, type Hash } from 'node:crypto'
import type { Entry } from '../domain/entry.js'
import type { ConvKey } from '../domain/ids.js'
import { encode } from './records.js'

/** One conversation of a stream of entries, up to a seq. */
interface Seen { conv: ConvKey, head: number, entries: number, sha256: string }

/** Entries in the order of conversation and seq, a conversation at a time. */
class Conversations {
  private batch: readonly Entry[] = []
  private at = 0
  private readonly batches: AsyncIterator<Entry[]>
  constructor (of: AsyncIterable<Entry[]>) { this.batches = of[Symbol.asyncIterator]() }

  /** The next entry, which stays the next one. */
  async peek (): Promise<Entry | undefined> {
    while (this.at === this.batch.length) {
      const { done, value } = await this.batches.next()
      if (done === true) return undefined
      this.batch = value
      this.at = 0
    }
    return this.batch[this.at]
  }

  /** The entries of `conv` that come next, up to `last`. */
  async take (conv: ConvKey, last = Infinity): Promise<Seen> {
    const hash: Hash = createHash('sha256')
    const seen: Seen = { conv, head: 0, entries: 0, sha256: '' }
    for (let e; (e = await this.peek()) !== undefined && e.conv === conv && e.seq <= last; this.at++) {
      hash.update(`${encode('log', e)}\n`)
      seen.head = e.seq
      seen.entries++
    }
    return { ...seen, sha256: hash.digest('hex') }
  }

  /** Passes over what comes before `conv`, or over the rest of it. */
  async skip (is: (e: Entry) => boolean): Promise<boolean> {
    let skipped = false
    for (let e; (e = await this.peek()) !== undefined && is(e); this.at++) skipped = true
    return skipped
  }

  async end (): Promise<void> { await this.batches.return?.() }
}

/**
 * Compares every conversation of the files with the store: its head, the number of its entries, the checksum of all of
 * them. The store may hold other conversations, and more of these: gives those that went on there.
 * @throws Error that names the conversation that differs
 */
export async function compareLogs (files: AsyncIterable<Entry[]>, store: AsyncIterable<Entry[]>, compared: (conversations: number) => void): Promise<Set<ConvKey>> {
  const [ours, theirs] = [new Conversations(files), new Conversations(store)]
  const wentOn = new Set<ConvKey>()
  try {
    let n = 0
    for (let first; (first = await ours.peek()) !== undefined; compared(++n)) {
      const { conv } = first
      const wanted = await ours.take(conv)
      await theirs.skip(e => e.conv < conv)
      const found = await theirs.take(conv, wanted.head)
      if (found.head !== wanted.head || found.entries !== wanted.entries) {
        throw new Error(`conversation ${conv}: the store holds ${found.entries} entries up to seq ${found.head}, the files ${wanted.entries} up to ${wanted.head}`)
      }
      if (found.sha256 !== wanted.sha256) throw new Error(`conversation ${conv}: its entries in the store differ from those of the files`)
      if (await theirs.skip(e => e.conv === conv)) wentOn.add(conv)
    }
  } finally {
    await ours.end()
    await theirs.end()
  }
  return wentOn
}
