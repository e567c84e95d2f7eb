/** Time and timers, so that tests need not wait. */
export interface Clock {
  /** ms since the epoch. */
  now (): number
  /** Runs `fn` once after `ms`, however long (Node's own timers end at 24.8 days); the handle cancels it. Never keeps the process alive. */
  after (ms: number, fn: () => void): Timer
}
export interface Timer { cancel (): void }

const LONGEST_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  now: Date.now,
  after (ms, fn) {
    let left = Math.max(0, ms)
    let handle: NodeJS.Timeout
    const arm = (): void => {
      const step = Math.min(left, LONGEST_MS)
      left -= step
      handle = setTimeout(() => { if (left > 0) arm(); else fn() }, step)
      handle.unref()
    }
    arm()
    return { cancel: () => clearTimeout(handle) }
  }
}
