import type { Clock } from '../ports/clock.js'

/** Settles as `run` does, or rejects with `late()` once the time is over; how `run` ends after that is not looked at. */
export async function withinLimit<T> (run: () => T | Promise<T>, { clock, limitMs, late }: { clock: Clock, limitMs: number, late: () => Error }): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const timer = clock.after(limitMs, () => { reject(late()) })
    const running = (async () => await run())()
    running.then(resolve, reject).finally(() => { timer.cancel() })
  })
}
