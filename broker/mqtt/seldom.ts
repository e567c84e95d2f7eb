import type { Clock } from '../ports/clock.js'

const MINUTE_MS = 60_000

/** Says a thing at once, and then at most once a minute, with how often it happened: whoever provokes it does not fill the log. */
export class Seldom {
  private saidMs = -Infinity
  private times = 0
  constructor (private readonly clock: Clock, private readonly say: (fields: object) => void) {}

  happened (fields: object): void {
    this.times++
    const now = this.clock.now()
    if (now - this.saidMs < MINUTE_MS) return
    this.say({ ...fields, times: this.times })
    this.saidMs = now
    this.times = 0
  }
}
