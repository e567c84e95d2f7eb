/** A run of work this long delays nobody noticeably. */
const RUN_MS = 5

/**
 * Lets the event loop turn while a long answer is made: a store may answer from memory, and then a thousand awaits
 * in a row are one run during which nobody else's packets move.
 */
export class Pace {
  #startedMs = performance.now()

  async breathe (): Promise<void> {
    if (performance.now() - this.#startedMs < RUN_MS) return
    await new Promise<void>(resolve => { setImmediate(resolve) })
    this.#startedMs = performance.now()
  }
}
