import type { Clock, Timer } from '../ports/clock.js'

/** Bursts of this many seconds' worth pass at once. */
const BURST_SECONDS = 10

/** A token bucket: what comes too fast waits its turn, in order. */
export class Throttle {
  private tokens: number
  private atMs: number
  private readonly waiting: (() => void)[] = []
  private timer: Timer | null = null

  constructor (private readonly perSecond: number, private readonly clock: Clock) {
    this.tokens = perSecond * BURST_SECONDS
    this.atMs = clock.now()
  }

  /** Runs `fn` now or in its turn. The caller bounds how many wait. */
  run (fn: () => void): void {
    if (this.waiting.length === 0 && this.take()) fn()
    else { this.waiting.push(fn); this.arm() }
  }

  stop (): void {
    this.timer?.cancel()
    this.waiting.length = 0
  }

  private take (): boolean {
    const now = this.clock.now()
    this.tokens = Math.min(this.perSecond * BURST_SECONDS, this.tokens + Math.max(0, now - this.atMs) * this.perSecond / 1000)
    this.atMs = now
    if (this.tokens < 1) return false
    this.tokens--
    return true
  }

  private arm (): void {
    this.timer ??= this.clock.after(Math.ceil(1000 / this.perSecond), () => {
      this.timer = null
      while (this.waiting.length > 0 && this.take()) this.waiting.shift()!()
      if (this.waiting.length > 0) this.arm()
    })
  }
}
