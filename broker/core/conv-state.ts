import type { ConvKey } from '../domain/ids.js'

/** A PUBLISH sent to the device and not yet acknowledged. `conv` null: a receipt, event or answer. */
export interface Flight {
  /** 0: sent at QoS 0, or not at all; the range only has its place in the order. */
  packetId: number
  conv: ConvState | null
  /** Seqs covered, both included. */
  from: number
  to: number
  /** `zero`: at QoS 0; `taken`: at QoS 0, and the kernel has it. */
  kind: 'entry' | 'gap' | 'batch' | 'zero' | 'taken' | 'other'
  acked: boolean
}

/** What one session knows of one conversation while something there moves; idle conversations have none. */
export class ConvState {
  /** Sent in this order and not yet passed by the cursor. */
  readonly flights: Flight[] = []
  /** Next seq to send. */
  next: number
  /** Last seq that is due to this session; sending goes on while `next` has not passed it. */
  head: number
  highest: number
  /** A range to announce before anything else of this conversation. */
  gap: { from: number, to: number } | null = null
  /** What is not sent when its turn comes: it was sent on the last connection, or is not due. In the order of its seqs. */
  ahead: Flight[] | null = null
  /** Waits in the session's queue for catch-up. */
  queued = false
  /** Moved since the cursors were last saved. */
  dirty = false

  constructor (readonly key: ConvKey, public cursor: number, next: number) {
    this.next = next
    this.head = next - 1
    this.highest = cursor
  }

  /** Counts seqs `from` to `to` as acknowledged once what was sent before them is: the cursor never passes a hole. */
  pass (from: number, to: number): void {
    if (this.flights.length === 0) this.advance(from, to)
    else this.flights.push({ packetId: 0, conv: this, from, to, kind: 'other', acked: true })
  }

  /** Moves the cursor over all that is acknowledged from its place on. */
  settle (): void {
    while (this.flights.length > 0 && this.flights[0]!.acked) {
      const f = this.flights.shift()!
      this.advance(f.from, f.to)
    }
  }

  /** The kernel took what was sent at QoS 0. What it took one after the other becomes one, or they would pile up. */
  took (f: Flight): void {
    f.kind = 'taken'
    const at = this.flights.indexOf(f)
    const before = this.flights[at - 1]
    if (before?.kind !== 'taken' || before.to + 1 !== f.from) return
    before.to = f.to
    this.flights.splice(at, 1)
  }

  /** Seqs past the head are not due, up to and including `to`. */
  skip (to: number): void {
    if (to <= this.head) return
    const range: Flight = { packetId: 0, conv: this, from: this.head + 1, to, kind: 'other', acked: true }
    ;(this.ahead ??= []).push(range)
    this.head = to
  }

  /** Steps over what was sent or settled ahead and whose turn has come. `moves`: its acknowledgements move the cursor. */
  takeAhead (moves: boolean): void {
    while (this.ahead !== null && this.ahead[0]!.from <= this.next) {
      const f = this.ahead.shift()!
      if (this.ahead.length === 0) this.ahead = null
      if (f.to < this.next) continue
      this.next = f.to + 1
      if (f.packetId === 0) this.pass(f.from, f.to)
      else if (moves) this.flights.push(f)
    }
    this.settle()
  }

  /** Last seq that can be read and sent in one go from `next` on. */
  get readable (): number { return this.ahead === null ? this.head : Math.min(this.head, this.ahead[0]!.from - 1) }

  private advance (from: number, to: number): void {
    if (from > this.cursor + 1 || to <= this.cursor) return
    this.cursor = to
    if (to > this.highest) this.highest = to
    this.dirty = true
  }

  get idle (): boolean {
    return this.flights.length === 0 && !this.queued && !this.dirty && this.gap === null && this.next > this.head
  }
}
