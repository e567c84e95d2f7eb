import { type Branch, BRANCHES, type InboxFilter } from '../domain/topics.js'

const bit = (b: Branch): number => 1 << BRANCHES.indexOf(b)
/** `me/#` does not cover `batch`: who subscribes it by name can read it (protocol.md). */
const ALL = BRANCHES.reduce((mask, b) => b === 'batch' ? mask : mask | bit(b), 0)
const BITS = Object.fromEntries(BRANCHES.map(b => [b, bit(b)])) as Record<Branch, number>

/** Which branches of the inbox a session holds, in which spelling and at which QoS. Bit masks, as there is one per connection. */
export class Grants {
  private short = 0
  private long = 0
  private atOne = 0
  /** A filter ends in `#` and so covers `me/rpc/…`, the deeper Response Topics. */
  deep = false

  set (filters: Iterable<[InboxFilter, 0 | 1]>): void {
    this.short = this.long = this.atOne = 0
    this.deep = false
    for (const [f, qos] of filters) {
      const mask = f.branch === null ? ALL : BITS[f.branch]
      if (f.spelling === 'short') this.short |= mask
      else this.long |= mask
      if (qos === 1) this.atOne |= mask
      if (f.deep) this.deep = true
    }
  }

  get any (): boolean { return (this.short | this.long) !== 0 }
  holds (b: Branch): boolean { return ((this.short | this.long) & BITS[b]) !== 0 }
  /** The highest QoS of the filters that cover the branch. */
  qos (b: Branch): 0 | 1 { return (this.atOne & BITS[b]) !== 0 ? 1 : 0 }
  /** Only the long spelling is held; with both, everything comes once, on the short one. */
  isLong (b: Branch): boolean { return (this.short & BITS[b]) === 0 }
}
