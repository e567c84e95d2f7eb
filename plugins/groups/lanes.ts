import { ParleyError } from '../../broker/plugin.js'

/** More than this waiting on one group is a flood, not a race: refused for now instead of kept in memory. */
const MAX_WAITING = 1000

interface Lane { tail: Promise<unknown>, waiting: number }

/**
 * Runs work on one key one after the other, in the order of the calls; different keys do not wait for each other.
 * A change of a group reads its state and then posts an entry: two at once would both see the last free place.
 */
export class Lanes {
  readonly #lanes = new Map<string, Lane>()

  /** Keys with work under way. */
  get size (): number { return this.#lanes.size }

  /** @throws ParleyError unavailable, when too much waits already; and what `work` throws */
  async run<T> (key: string, work: () => Promise<T>): Promise<T> {
    const lane = this.#lanes.get(key) ?? { tail: Promise.resolve(), waiting: 0 }
    if (lane.waiting >= MAX_WAITING) throw new ParleyError('unavailable', 'too many changes of this group wait', { retryAfterMs: 1000 })
    this.#lanes.set(key, lane)
    lane.waiting++
    const mine = lane.tail.then(work)
    // The next one runs whatever became of this one.
    lane.tail = mine.catch(() => {})
    try {
      return await mine
    } finally {
      if (--lane.waiting === 0) this.#lanes.delete(key)
    }
  }
}
