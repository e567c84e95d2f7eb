import type { Clock, Timer } from '../ports/clock.js'
import type { Connection } from './connection.js'
import type { Registry } from './registry.js'

const ROUND_MS = 500

/**
 * One round over all connections instead of a timer for each: closes who was silent for 1.5 times its keep-alive
 * [MQTT-3.1.2-22], never sooner, or drags a packet out, and goes on where a full socket has emptied.
 */
export class KeepAlive {
  private timer: Timer
  constructor (private readonly registry: Registry, private readonly clock: Clock) { this.timer = this.arm() }

  private arm (): Timer {
    return this.clock.after(ROUND_MS, () => {
      const now = this.clock.now()
      for (const c of this.registry.all()) this.look(c, now)
      this.timer = this.arm()
    })
  }

  private look (c: Connection, now: number): void {
    c.session.retry()
    if (c.isPaused) { c.heardMs = now; c.readOn() } // not read, so not heard: the clock waits
    else if (c.keepAliveMs > 0 && now - c.heardMs > c.keepAliveMs * 1.5) c.close('keepalive', 0x8d, 'nothing was heard')
    else if (c.isDragging(now)) c.close('broker', 0x83, 'a packet takes too long')
  }

  stop (): void { this.timer.cancel() }
}
