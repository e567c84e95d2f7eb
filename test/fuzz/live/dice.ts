/**
 * Everything random of one script, from the run's seed and the script's number: the same two give the same bytes, on
 * any machine. (Mulberry32; it need not be unguessable.)
 */
export class Dice {
  private state: number

  constructor (seed: number, n: number) {
    // neighbours must not resemble each other: Mulberry32 only adds to its state
    this.state = Math.imul(seed ^ Math.imul(n + 1, 0x9e3779b1), 0x85ebca6b) ^ n
  }

  /** 0 or more, less than `below`. */
  int (below: number): number {
    this.state = this.state + 0x6d2b79f5 | 0
    let t = Math.imul(this.state ^ this.state >>> 15, 1 | this.state)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return Math.floor(((t ^ t >>> 14) >>> 0) / 4294967296 * below)
  }

  /** Both ends included. */
  between (from: number, to: number): number { return from + this.int(to - from + 1) }
  /** True in `percent` of a hundred cases. */
  chance (percent: number): boolean { return this.int(100) < percent }
  pick<T> (all: readonly T[]): T { return all[this.int(all.length)]! }
  bytes (n: number): Buffer { return Buffer.from(Array.from({ length: n }, () => this.int(256))) }
}
