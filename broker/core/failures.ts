import type { Clock } from '../ports/clock.js'

/** A failure counts half after this long. */
const HALF_LIFE_MS = 60_000
const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 10_000
/** More are not counted: once it ends, a flood is forgotten within minutes. */
const MAX_COUNTED = 250
/** Names remembered; past it the one that failed longest ago is forgotten. */
const MAX_REMEMBERED = 100_000

/** Failures of one address, or of one user at one address. */
export interface Tally {
  failures: number
  atMs: number
  /** Sign-ins that are being checked or whose refusal is being held back. */
  busy: number
}

/** Counts failed sign-ins by name, and says how long the next refusal is to be held back. What is counted decays; memory is bounded. */
export class Failures {
  readonly #byName = new Map<string, Tally>()

  /** @param free failures that cost nothing; with more, at most `atOnce` sign-ins are worked on at a time */
  constructor (private readonly free: number, private readonly atOnce: number, private readonly clock: Clock) {}

  /** Names remembered. */
  get size (): number { return this.#byName.size }

  of (name: string): Tally {
    let tally = this.#byName.get(name)
    if (tally === undefined) {
      this.#byName.set(name, tally = { failures: 0, atMs: this.clock.now(), busy: 0 })
      if (this.#byName.size > MAX_REMEMBERED) this.#byName.delete(this.#byName.keys().next().value as string)
    }
    return tally
  }

  isFull (tally: Tally): boolean { return tally.busy >= this.atOnce && this.#now(tally) > this.free }

  /** Whether so many failures came from there lately that more are to be expected. */
  isHot (name: string): boolean {
    const tally = this.#byName.get(name)
    return tally !== undefined && this.#now(tally) > this.free
  }

  /** Counts a failure; how long its answer waits, ms. */
  add (name: string, tally: Tally): number {
    tally.failures = Math.min(MAX_COUNTED, this.#now(tally) + 1)
    tally.atMs = this.clock.now()
    this.#byName.delete(name) // to the young end
    this.#byName.set(name, tally)
    const over = tally.failures - this.free
    return over <= 0 ? 0 : Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (over - 1))
  }

  /** A success: what came before was a slip. */
  clear (tally: Tally): void { tally.failures = 0 }

  /** Nothing is remembered of whoever never failed. */
  release (name: string, tally: Tally): void {
    if (--tally.busy === 0 && tally.failures === 0 && this.#byName.get(name) === tally) this.#byName.delete(name)
  }

  #now (tally: Tally): number { return tally.failures * 2 ** (-Math.max(0, this.clock.now() - tally.atMs) / HALF_LIFE_MS) }
}
