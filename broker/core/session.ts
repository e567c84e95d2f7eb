import { ChurnMap } from '../domain/churn-map.js'
import { type ConvKey, type DeviceId, nameOf, type SessionId, type UserId } from '../domain/ids.js'
import type { InboxFilter } from '../domain/topics.js'
import type { Clock } from '../ports/clock.js'
import type { Device } from '../ports/devices.js'
import type { LogStore } from '../ports/log.js'
import type { Logger } from '../ports/logger.js'
import { CatchUp } from './catch-up.js'
import { ConvState, type Flight } from './conv-state.js'
import type { Seen } from './due.js'
import { Extras } from './extras.js'
import { Grants } from './grants.js'
import type { Link } from './link.js'
import { type EntryView, Outgoing } from './outgoing.js'
import type { Recent } from './recent.js'
import { Resend } from './resend.js'
import type { Sender } from './sender.js'
import type { Loss, RetainedWindow } from './windows.js'

/** What sessions share. */
export interface SessionWorld {
  readonly log: LogStore
  readonly recent: Recent
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: { readonly inFlight: number, readonly replay: number, readonly replayTotal: number }
  /** Called when a cursor moved: it is to be saved some time later. */
  moved (session: Session): void
  /** The device said that it stands at `seq`, in a conversation in which nothing moves: to be saved. */
  named (session: Session, conv: ConvKey, seq: number): void
  /** Called once when the session first holds a branch of the inbox; `replays`: it is one of `msg` and `batch` … */
  enter (session: Session, replays: boolean): void
  /** … and once when it first holds one of these later. */
  replay (session: Session): void
  count: { delivered: number, caughtUp: number }
}

/** After this many losses of the same oldest entry it is sent alone … */
const ALONE_FROM = 2
/** … and after this many announced by a gap (protocol.md, guarantee 3). */
const GAP_AFTER = 5
const PACKET_IDS = 32_767

/**
 * One connected device: a window of what is in flight, and positions in the logs. It holds no queue of messages; what
 * does not fit the window is read from the log when the window opens.
 */
export class Session implements Sender {
  readonly grants = new Grants()
  /** Conversations in which something moves. */
  readonly convs = new Map<ConvKey, ConvState>()
  /** Group conversations under which the roster has this session. */
  groups: ConvKey[] = []
  state: 'outside' | 'entered' | 'replaying' | 'live' = 'outside'
  closed = false
  /** When it began to hear what is new, ms. */
  enteredMs = 0
  /** App in the foreground; a connection begins so. */
  active = true
  /** What happened while the replay is being prepared. */
  seen: Map<ConvKey, Seen> | null = null
  /** Where cursors stand that stay behind what this connection was given (clean start): holes that no PUBACK closes. */
  holes: Map<ConvKey, number> | null = null
  loss: Loss | null = null
  readonly flights = new ChurnMap<number, Flight>()
  private entryFlights = 0
  private nextId = 1 + Math.floor(Math.random() * PACKET_IDS)
  private resend: Resend | null = null
  private catchUp: CatchUp | null = null
  /** Sent at QoS 0 and not yet taken by the kernel, in order; bounded by the window. */
  private atZero: Flight[] = []
  private taken: Set<ConvState> | null = null
  private extrasOrNull: Extras | null = null

  constructor (
    readonly id: SessionId, readonly user: UserId, readonly device: DeviceId,
    /** Null for a connection that makes no device: its cursors are kept nowhere. */
    public record: Device | null,
    /** `now`: only what is new; `cursors`: all after the device's cursors. */
    readonly from: 'now' | 'cursors',
    readonly link: Link, readonly world: SessionWorld) {}

  get extras (): Extras { return this.extrasOrNull ??= new Extras(this) }
  get window (): number { return Math.min(this.world.limits.inFlight, this.link.receiveMaximum) }
  /** Entries and gaps never take the last quarter of the window; of a window of one they have it. */
  get entryWindow (): number { const w = this.window; return w === 1 ? 1 : w - Math.max(1, w >> 2) }
  get maxPacketBytes (): number {
    const [a, b] = [this.link.maxPacketBytes, this.record?.maxPacketBytes ?? 0]
    return a === 0 ? b : b === 0 ? a : Math.min(a, b)
  }

  get ackMoves (): boolean { return this.record?.ack !== 'rcpt' }

  setGrants (filters: Iterable<[InboxFilter, 0 | 1]>): void {
    this.grants.set(filters)
    if (this.closed || !this.grants.any) return
    const reads = this.grants.holds('msg') || this.grants.holds('batch')
    if (this.state === 'outside' || (this.state === 'entered' && reads)) this.seen ??= new Map()
    if (this.state === 'outside') {
      this.state = reads ? 'replaying' : 'entered'
      this.world.enter(this, reads)
    } else if (this.state === 'entered' && reads) {
      this.state = 'replaying'
      this.world.replay(this)
    } else if (this.state === 'live') this.pump()
  }

  /** A new entry of a conversation of this user. */
  entry (view: EntryView): void {
    const e = view.entry
    if (this.state !== 'live') { this.see(e.conv, seen => { seen.first ||= e.seq; seen.last = e.seq }); return }
    let conv = this.convs.get(e.conv)
    if (conv === undefined) {
      conv = new ConvState(e.conv, this.holes?.get(e.conv) ?? e.seq - 1, e.seq)
      this.convs.set(e.conv, conv)
    }
    if (e.seq < conv.next) return // catch-up gave it already
    conv.head = e.seq
    if (conv.next === e.seq && !conv.queued && conv.gap === null && (this.isOwn(view) || (this.grants.holds('msg') && this.resend === null && this.hasRoom))) {
      conv.next++
      this.give(conv, view)
    } else {
      this.world.recent.add(view)
      this.enqueue(conv)
      this.pump()
    }
  }

  /** The user comes into a group by its entry `seq`, which follows: what stands between an earlier stay and it is not due. */
  joined (key: ConvKey, seq: number): void {
    this.see(key, seen => { Object.assign(seen, { first: 0, last: 0, joined: seq, leftBefore: seen.left }) })
    const conv = this.convs.get(key)
    if (this.state !== 'live' || conv === undefined) return
    conv.skip(seq - 1)
    if (!conv.queued) conv.takeAhead(this.ackMoves)
    this.note(conv)
  }

  /** The user left a group by its entry `seq`, which was the last one. */
  left (key: ConvKey, seq: number): void {
    this.groups = this.groups.filter(g => g !== key)
    this.see(key, seen => { seen.left = seq })
  }

  private see (key: ConvKey, note: (seen: Seen) => void): void {
    if (this.seen === null) return
    let seen = this.seen.get(key)
    if (seen === undefined) this.seen.set(key, seen = { first: 0, last: 0, joined: 0, left: 0, leftBefore: 0 })
    note(seen)
  }

  enqueue (conv: ConvState): void { (this.catchUp ??= new CatchUp(this)).enqueue(conv) }

  /** What goes again before all else. */
  sendFirst (flights: Flight[]): void { if (flights.length > 0) this.resend = new Resend(this, flights) }

  isOwn (view: EntryView): boolean { return view.entry.dev === this.device && view.entry.from === this.user }

  /** Room for an entry, a gap, or a packet of the last connection. */
  get hasRoom (): boolean {
    if (this.closed) return false
    const most = this.loss !== null && this.loss.count >= ALONE_FROM ? 1 : this.entryWindow
    return this.entryFlights + this.atZero.length < most && this.flights.size < this.window
  }

  give (conv: ConvState, view: EntryView): void {
    const seq = view.entry.seq
    if (this.isOwn(view)) { this.pass(conv, seq, seq); return }
    const out = view.for(this.user, this.world.clock.now())
    if (!this.fits(out)) { this.giveGap(conv, seq, seq); return }
    this.world.count.delivered++
    const long = this.grants.isLong('msg')
    if (this.grants.qos('msg') === 0) this.zero(conv, seq, seq, out, long)
    else this.link.deliver(out, 1, this.fly(conv, seq, seq, 'entry').packetId, false, long)
  }

  send (conv: ConvState, from: number, to: number, kind: 'gap' | 'batch', out: Outgoing): void {
    const long = this.grants.isLong(kind)
    if (this.grants.qos(kind) === 0) this.zero(conv, from, to, out, long)
    else this.link.deliver(out, 1, this.fly(conv, from, to, kind).packetId, false, long)
  }

  private zero (conv: ConvState, from: number, to: number, out: Outgoing, long: boolean): void {
    const flight: Flight = { packetId: 0, conv, from, to, kind: 'zero', acked: false }
    this.atZero.push(flight)
    if (this.ackMoves) conv.flights.push(flight)
    this.link.deliver(out, 0, 0, false, long)
  }

  giveGap (conv: ConvState, from: number, to: number): void {
    if (this.grants.holds('gap')) this.send(conv, from, to, 'gap', this.gapOf(conv, from, to))
    else this.pass(conv, from, to)
  }

  gapOf (conv: ConvState, from: number, to: number): Outgoing {
    return Outgoing.json('gap', { conv: nameOf(conv.key, this.user), from, to, head: conv.head })
  }

  fits (out: Outgoing): boolean {
    const max = this.maxPacketBytes
    return max === 0 || this.link.sizeOf(out, this.grants.qos(out.branch), this.grants.isLong(out.branch)) <= max
  }

  pass (conv: ConvState, from: number, to: number): void {
    conv.pass(from, to)
    this.note(conv)
  }

  private note (conv: ConvState): void { if (conv.dirty) this.world.moved(this) }

  private fly (conv: ConvState, from: number, to: number, kind: Flight['kind']): Flight {
    const flight = { packetId: this.freeId(), conv, from, to, kind, acked: false }
    this.flights.set(flight.packetId, flight)
    this.entryFlights++
    if (this.ackMoves) conv.flights.push(flight)
    return flight
  }

  /** A packet id for something that is no entry; the caller sends it at once. */
  flyOther (): number {
    const packetId = this.freeId()
    this.flights.set(packetId, { packetId, conv: null, from: 0, to: 0, kind: 'other', acked: false })
    return packetId
  }

  private freeId (): number {
    do { this.nextId = this.nextId % PACKET_IDS + 1 } while (this.flights.has(this.nextId) || this.resend?.has(this.nextId) === true)
    return this.nextId
  }

  sendAgain (flight: Flight, out: Outgoing): void {
    this.flights.set(flight.packetId, flight)
    this.entryFlights++
    this.link.deliver(out, 1, flight.packetId, true, this.grants.isLong(out.branch))
  }

  gaveUp (f: Flight): boolean {
    const { loss } = this
    return loss !== null && loss.count >= GAP_AFTER && loss.key === f.conv!.key && f.from <= loss.seq && f.to >= loss.seq
  }

  /** A PUBACK. False: no packet of the inbox has that id. */
  ack (packetId: number): boolean {
    const flight = this.flights.get(packetId)
    if (flight === undefined) return false
    this.flights.delete(packetId)
    if (flight.conv !== null) {
      this.entryFlights--
      this.land(flight)
    }
    this.opened()
    return true
  }

  land (flight: Flight): void {
    const conv = flight.conv!
    if (this.loss !== null && this.loss.key === conv.key && flight.to >= this.loss.seq) this.loss = null
    if (!this.ackMoves) {
      // sent before the device chose `rcpt`: the cursor stays in front of it
      const at = conv.flights.indexOf(flight)
      if (at >= 0) conv.flights.splice(at, 1)
      return
    }
    flight.acked = true
    if (flight.to > conv.highest) { conv.highest = flight.to; conv.dirty = true }
    conv.settle()
    this.note(conv)
  }

  /** There may be room in the window. */
  opened (): void {
    this.retry()
    this.pump()
  }

  /** The kernel took the first `n` QoS 0 packets that were not taken before. */
  kernelTook (n: number): void {
    for (const f of this.atZero.splice(0, n)) {
      f.conv!.took(f)
      ;(this.taken ??= new Set()).add(f.conv!)
    }
    this.opened()
  }

  get zeroCount (): number { return this.atZero.length }
  /** Answers, events or marks wait for the window or for the kernel. */
  get holdsBack (): boolean { return this.extrasOrNull?.waiting === true }

  /** There may be room again for what waits. */
  retry (): void { this.extrasOrNull?.drain() }

  /** Something came from the client: what the kernel took before it counts as acknowledged. */
  heard (): void {
    this.retry()
    if (this.taken === null) return
    for (const conv of this.taken) for (const f of conv.flights.filter(f => f.kind === 'taken')) this.land(f)
    this.taken = null
  }

  /** Sends what is due while the window is open. */
  pump (): void {
    if (this.resend !== null) {
      this.resend.pump()
      if (!this.resend.done) return
      this.resend = null
    }
    this.catchUp?.pump()
  }

  /** The replay is prepared: from here on entries go out as they come. */
  goLive (): void {
    this.state = 'live'
    this.seen = null
    this.pump()
  }

  /** The device says where it stands (`rcpt`, `sync`): everything up to `seq`, which is at most the head, counts as acknowledged. */
  moveTo (key: ConvKey, seq: number): void {
    const conv = this.convs.get(key)
    if (conv === undefined) {
      const at = this.holes?.get(key)
      // nothing moves there: without a hole the cursor stands behind all that was given
      if (at === undefined ? this.state === 'live' : at >= seq) return
      ;(this.holes ??= new Map()).set(key, seq)
      this.world.named(this, key, seq)
      return
    }
    if (seq <= conv.cursor) return
    conv.cursor = seq
    while (conv.flights.length > 0 && conv.flights[0]!.to <= seq) conv.flights.shift()
    conv.settle()
    if (conv.next <= seq) conv.next = seq + 1
    if (conv.gap !== null && conv.gap.to <= seq) conv.gap = null
    if (seq > conv.highest) conv.highest = seq
    if (this.holes?.has(key) === true) this.holes.set(key, seq)
    conv.dirty = true
    this.world.moved(this)
  }

  /** Forgets conversations that came to rest, after their cursors were saved. */
  tidy (): void {
    for (const [key, conv] of this.convs) {
      if (!conv.idle) continue
      if (conv.cursor < conv.head) (this.holes ??= new Map()).set(key, conv.cursor)
      else this.holes?.delete(key)
      this.convs.delete(key)
    }
  }

  /** Ends the session's part of the connection; gives what is unacknowledged, for the next one. */
  close (byClient: boolean): RetainedWindow | null {
    this.closed = true
    this.catchUp?.close()
    const left = [...this.flights.values(), ...this.resend?.flights ?? []].filter(f => f.conv !== null)
    if (this.record === null || left.length === 0) return null
    const oldest = left[0]!
    let loss = this.loss
    if (byClient) {
      const same = loss !== null && loss.key === oldest.conv!.key && loss.seq === oldest.from
      loss = { key: oldest.conv!.key, seq: oldest.from, count: same ? loss!.count + 1 : 1 }
    }
    const flights = new Map<ConvKey, Set<Flight>>()
    for (const f of left) {
      const { key, flights: ordered, ahead } = f.conv!
      const of = flights.get(key) ?? new Set()
      for (const other of [...ordered, ...ahead ?? [], f]) if (other.kind !== 'zero' && other.kind !== 'taken') of.add(other)
      flights.set(key, of)
    }
    const convs = [...flights].map(([key, all]) => ({ key, flights: [...all].map(({ conv: _, ...f }) => f) }))
    return { convs, order: left.map(f => f.packetId), loss }
  }
}
