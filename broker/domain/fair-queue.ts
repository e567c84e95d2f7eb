/** Thrown by {@link FairQueue.run} when there is no room. */
export class QueueFull extends Error {}

export interface FairQueueBounds {
  /** Jobs that run at a time. */
  atOnce: number
  /** Jobs of one key that may wait. */
  perKey: number
  /** Jobs that may wait in all. */
  total: number
}

/**
 * Runs a bounded number of jobs at a time. Those that wait are taken in turns, a key at a time, so that whoever brings
 * many jobs delays its own and not those of others.
 */
export class FairQueue {
  #running = 0
  #waiting = 0
  /** In the order in which keys are served next. */
  readonly #byKey = new Map<string, (() => void)[]>()

  constructor (private readonly bounds: FairQueueBounds) {}

  /** Jobs that wait. */
  get waiting (): number { return this.#waiting }

  /** Settles as `job` does. @throws QueueFull at once, when too many wait */
  async run<T> (key: string, job: () => Promise<T>): Promise<T> {
    if (this.#running < this.bounds.atOnce) this.#running++
    else await this.#turn(key)
    try { return await job() } finally { this.#next() }
  }

  async #turn (key: string): Promise<void> {
    const line = this.#byKey.get(key) ?? []
    if (line.length >= this.bounds.perKey || this.#waiting >= this.bounds.total) throw new QueueFull('too many are waiting')
    this.#byKey.set(key, line)
    this.#waiting++
    await new Promise<void>(resolve => { line.push(resolve) })
  }

  /** Hands the place of a job that is over to the next one. */
  #next (): void {
    const first = this.#byKey.entries().next()
    if (first.done === true) { this.#running--; return }
    const [key, line] = first.value
    const start = line.shift()!
    this.#byKey.delete(key)
    if (line.length > 0) this.#byKey.set(key, line) // behind the others
    this.#waiting--
    start()
  }
}
