import type { SessionId } from '../domain/ids.js'
import type { Clock } from '../ports/clock.js'

const MINUTE_MS = 60_000
/** From this takeover within a minute on, CONNACK waits … */
const FREE_TAKEOVERS = 5
/** … up to this long. */
const MAX_WAIT_MS = 10_000
/** Session ids remembered; past it the oldest is forgotten. */
const MAX_REMEMBERED = 100_000

interface Count { sinceMs: number, connects: number, takeovers: number }

/** How often a device connects: two phones restored from one backup, or a loop, are slowed down at little cost for others. */
export class Pace {
  private readonly counts = new Map<SessionId, Count>()
  constructor (private readonly connectsPerMinute: number, private readonly clock: Clock) {}

  mayConnect (id: SessionId): boolean {
    return ++this.count(id).connects <= this.connectsPerMinute || this.connectsPerMinute === 0
  }

  /** Resolves when the taking-over connection may have its CONNACK. */
  async takeover (id: SessionId): Promise<void> {
    const n = ++this.count(id).takeovers - FREE_TAKEOVERS
    if (n <= 0) return
    await new Promise<void>(resolve => { this.clock.after(Math.min(MAX_WAIT_MS, 1000 * 2 ** (n - 1)), resolve) })
  }

  private count (id: SessionId): Count {
    const now = this.clock.now()
    let c = this.counts.get(id)
    if (c === undefined || now - c.sinceMs >= MINUTE_MS) {
      this.counts.delete(id)
      this.counts.set(id, c = { sinceMs: now, connects: 0, takeovers: 0 })
      if (this.counts.size > MAX_REMEMBERED) this.counts.delete(this.counts.keys().next().value!)
    }
    return c
  }
}
