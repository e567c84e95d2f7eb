import type { Clock, Timer } from '../../broker/ports/clock.js'

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  readonly #timers = new Set<{ atMs: number, fn: () => void }>()

  constructor (private nowMs = 1_750_000_000_000) {}

  now = (): number => this.nowMs

  after = (ms: number, fn: () => void): Timer => {
    const timer = { atMs: this.nowMs + Math.max(0, ms), fn }
    this.#timers.add(timer)
    return { cancel: () => { this.#timers.delete(timer) } }
  }

  /** Timers that are set and not yet run. */
  get waiting (): number { return this.#timers.size }

  /** Moves the time on and runs what falls due, in order, those too that are set on the way. */
  advance (ms: number): void {
    const end = this.nowMs + ms
    for (;;) {
      const due = [...this.#timers].filter(t => t.atMs <= end).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.nowMs = Math.max(this.nowMs, due.atMs)
      due.fn()
    }
    this.nowMs = end
  }
}
