import type { ConvKey, DeviceId, SessionId, UserId } from '../domain/ids.js'
import type { InboxFilter } from '../domain/topics.js'
import type { Clock } from '../ports/clock.js'
import type { Device } from '../ports/devices.js'
import type { LogStore } from '../ports/log.js'
import type { Logger } from '../ports/logger.js'
import { deflated } from './batch.js'
import { ConvState, type Flight } from './conv-state.js'
import { Extras } from './extras.js'
import { Grants } from './grants.js'
import type { Link } from './link.js'
import { EntryView, Outgoing } from './outgoing.js'
import type { Recent } from './recent.js'
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
  /** Called once when the session first holds a branch of the inbox, and once when it first holds `msg` or `batch`. */
  enter (session: Session): void
  replay (session: Session): void
  count: { delivered: number, caughtUp: number }
}

/** After this many losses of the same oldest entry it is sent alone … */
const ALONE_FROM = 2
/** … and after this many announced by a gap (protocol.md, guarantee 3). */
const GAP_AFTER = 5
const PACKET_IDS = 32_767
/** Bytes of entries read from the log at once for one session. */
const PAGE_BYTES = 64 << 10

/**
 * One connected device: a window of what is in flight, and positions in the logs. It holds no queue of messages; what
 * does not fit the window is read from the log when the window opens.
 */
export class Session {
  readonly grants = new Grants()
  /** Conversations in which something moves. */
  readonly convs = new Map<ConvKey, ConvState>()
  /** Group conversations under which the roster has this session. */
  groups: ConvKey[] = []
  state: 'outside' | 'entered' | 'replaying' | 'live' = 'outside'
  closed = false
  /** Entries seen while the replay is being prepared: the first and last seq per conversation. */
  early: Map<ConvKey, { first: number, last: number }> | null = null
  /** Cursors that stay behind what this connection was given (clean start): holes that no PUBACK closes. */
  holes: Map<ConvKey, number> | null = null
  /** Sent before, on the last connection: goes first, same packet id, DUP. */
  resend: Flight[] = []
  loss: Loss | null = null
  readonly flights = new Map<number, Flight>()
  private entryFlights = 0
  private nextId = 1 + Math.floor(Math.random() * PACKET_IDS)
  private queue: ConvState[] = []
  private page: { conv: ConvState, views: EntryView[] } | null = null
  private loading = false
  /** Sent at QoS 0 and not yet taken by the kernel, in order; bounded by the window. */
  private atZero: { conv: ConvState, seq: number }[] = []
  private taken: Set<ConvState> | null = null
  private extrasOrNull: Extras | null = null

  constructor (
    readonly id: SessionId, readonly user: UserId, readonly device: DeviceId,
    /** Null for a connection that makes no device: its cursors are kept nowhere. */
    public record: Device | null,
    /** `now`: only what is new; `cursors`: all after the device's cursors; `new-device`: from where the user's furthest device stands. */
    readonly from: 'now' | 'cursors' | 'new-device',
    readonly link: Link, private readonly world: SessionWorld) {}

  get extras (): Extras { return this.extrasOrNull ??= new Extras(this) }
  get window (): number { return Math.min(this.world.limits.inFlight, this.link.receiveMaximum) }
  /** Entries and gaps never take the last quarter of the window; of a window of one they have it. */
  get entryWindow (): number { const w = this.window; return w === 1 ? 1 : w - Math.max(1, w >> 2) }
  /** Largest PUBLISH that the client and the device take, bytes; 0: any. */
  get maxPacketBytes (): number {
    const [a, b] = [this.link.maxPacketBytes, this.record?.maxPacketBytes ?? 0]
    return a === 0 ? b : b === 0 ? a : Math.min(a, b)
  }

  private get ackMoves (): boolean { return this.record?.ack !== 'rcpt' }

  setGrants (filters: Iterable<[InboxFilter, 0 | 1]>): void {
    this.grants.set(filters)
    if (this.closed || !this.grants.any) return
    if (this.state === 'outside') { this.state = 'entered'; this.world.enter(this) }
    const reads = this.grants.holds('msg') || this.grants.holds('batch')
    if (this.state === 'entered' && reads) { this.state = 'replaying'; this.early = new Map(); this.world.replay(this) }
    if (this.state === 'live') this.pump()
  }

  /** A new entry of a conversation of this user. */
  entry (view: EntryView): void {
    const e = view.entry
    if (this.state !== 'live') {
      if (this.early !== null) {
        const seen = this.early.get(e.conv)
        if (seen === undefined) this.early.set(e.conv, { first: e.seq, last: e.seq })
        else seen.last = e.seq
      }
      return
    }
    let conv = this.convs.get(e.conv)
    if (conv === undefined) {
      conv = new ConvState(e.conv, this.holes?.get(e.conv) ?? e.seq - 1, e.seq)
      this.convs.set(e.conv, conv)
    }
    if (e.seq < conv.next) return // catch-up gave it already
    conv.head = e.seq
    if (conv.next === e.seq && !conv.queued && conv.gap === null && (this.isOwn(view) || (this.mayLive() && this.mayEntry()))) {
      conv.next++
      this.give(conv, view)
    } else {
      this.world.recent.add(view)
      this.enqueue(conv)
      this.pump()
    }
  }

  enqueue (conv: ConvState): void {
    if (conv.queued) return
    conv.queued = true
    this.queue.push(conv)
  }

  private isOwn (view: EntryView): boolean { return view.entry.dev === this.device && view.entry.from === this.user }
  private mayLive (): boolean { return this.grants.holds('msg') }
  private mayEntry (): boolean {
    if (this.closed || this.resend.length > 0) return false
    const most = this.loss !== null && this.loss.count >= ALONE_FROM ? 1 : this.entryWindow
    return this.entryFlights + this.atZero.length < most && this.flights.size < this.window
  }

  private give (conv: ConvState, view: EntryView): void {
    const seq = view.entry.seq
    if (this.isOwn(view)) {
      conv.pass(seq, seq)
      if (conv.dirty) this.world.moved(this)
      return
    }
    const out = view.for(this.user, this.world.clock.now())
    const qos = this.grants.qos('msg')
    const long = this.grants.isLong('msg')
    const max = this.maxPacketBytes
    if (max !== 0 && this.link.sizeOf(out, qos, long) > max) { this.giveGap(conv, seq, seq); return }
    this.world.count.delivered++
    if (qos === 0) this.zero(conv, seq, out, long)
    else this.link.deliver(out, 1, this.fly(conv, seq, seq, 'entry').packetId, false, long)
  }

  private zero (conv: ConvState, seq: number, out: Outgoing, long: boolean): void {
    this.atZero.push({ conv, seq })
    this.link.deliver(out, 0, 0, false, long)
  }

  /** Announces that `from` to `to` are left out; to who does not hold `gap` they count as acknowledged at once. */
  giveGap (conv: ConvState, from: number, to: number): void {
    if (!this.grants.holds('gap')) { conv.pass(from, to); if (conv.dirty) this.world.moved(this); return }
    const out = Outgoing.json('gap', { conv: this.nameOf(conv.key), from, to, head: conv.head })
    const long = this.grants.isLong('gap')
    if (this.grants.qos('gap') === 0) this.zero(conv, to, out, long)
    else this.link.deliver(out, 1, this.fly(conv, from, to, 'gap').packetId, false, long)
  }

  private nameOf (key: ConvKey): string {
    return key.startsWith('g/') ? key : `u/${key.slice(2).split('/').find(u => u !== this.user) ?? this.user}`
  }

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
    do { this.nextId = this.nextId % PACKET_IDS + 1 } while (this.flights.has(this.nextId))
    return this.nextId
  }

  /** A PUBACK. False: no packet of the inbox has that id. */
  ack (packetId: number): boolean {
    const flight = this.flights.get(packetId)
    if (flight === undefined) return false
    this.flights.delete(packetId)
    const conv = flight.conv
    if (conv !== null) {
      this.entryFlights--
      this.landed(flight, conv)
    }
    this.opened()
    return true
  }

  private landed (flight: Flight, conv: ConvState): void {
    if (this.loss !== null && this.loss.key === conv.key && flight.to >= this.loss.seq) this.loss = null
    if (!this.ackMoves) return
    flight.acked = true
    if (flight.to > conv.highest) { conv.highest = flight.to; conv.dirty = true }
    conv.settle()
    if (conv.dirty) this.world.moved(this)
  }

  private opened (): void {
    this.extrasOrNull?.drain()
    if (this.queue.length > 0 || this.resend.length > 0) this.pump()
  }

  /** The kernel took the first `n` QoS 0 packets that were not taken before. */
  kernelTook (n: number): void {
    for (const { conv, seq } of this.atZero.splice(0, n)) {
      conv.taken = seq
      ;(this.taken ??= new Set()).add(conv)
    }
    this.opened()
  }

  get zeroCount (): number { return this.atZero.length }

  /** Something came from the client: what the kernel took before it counts as acknowledged. */
  heard (): void {
    if (this.taken === null) return
    for (const conv of this.taken) {
      if (this.ackMoves) {
        if (conv.taken > conv.highest) { conv.highest = conv.taken; conv.dirty = true }
        if (this.holes?.has(conv.key) !== true) conv.pass(conv.cursor + 1, conv.taken)
        this.world.moved(this)
      }
      conv.taken = 0
    }
    this.taken = null
  }

  /** Catch-up: sends what is due while the window is open. */
  pump (): void {
    while (!this.closed && this.resend.length > 0) {
      if (this.loading || !this.again(this.resend[0]!)) return
    }
    while (this.queue.length > 0 && this.mayEntry()) {
      const conv = this.queue[0]!
      if (conv.gap !== null) {
        const { from, to } = conv.gap
        conv.gap = null
        this.giveGap(conv, from, to)
      } else if (conv.next > conv.head) {
        this.queue.shift()
        conv.queued = false
      } else if (this.grants.holds('batch')) {
        if (this.loading) return
        this.load(conv, views => this.giveBatch(conv, views))
        return
      } else if (this.mayLive()) {
        const view = this.world.recent.get(conv.key, conv.next) ?? this.fromPage(conv)
        if (view === undefined) { this.load(conv, views => { this.page = { conv, views } }); return }
        conv.next++
        this.world.count.caughtUp++
        this.give(conv, view)
      } else return
    }
  }

  private fromPage (conv: ConvState): EntryView | undefined {
    const views = this.page?.conv === conv ? this.page.views : undefined
    const view = views?.find(v => v.entry.seq === conv.next)
    if (view === undefined || view === views![views!.length - 1]) this.page = null
    return view
  }

  /** Reads on from `conv.next`; one read at a time per session. */
  private load (conv: ConvState, use: (views: EntryView[]) => void): void {
    if (this.loading) return
    this.loading = true
    const limit = this.grants.holds('batch') ? 200 : Math.max(1, this.entryWindow)
    this.world.log.page(conv.key, { after: conv.next - 1, limit: Math.min(limit, conv.head - conv.next + 1), maxBytes: PAGE_BYTES }).then(entries => {
      this.loading = false
      if (this.closed) return
      if (entries.length === 0 || entries[0]!.seq !== conv.next) {
        // erased from the log (retention): what is missing is announced
        const to = entries.length === 0 ? conv.head : entries[0]!.seq - 1
        const from = conv.next
        conv.next = to + 1
        this.giveGap(conv, from, to)
      } else use(entries.map(e => new EntryView(e)))
      this.pump()
    }, (cause: unknown) => { this.loading = false; this.world.logger.error({ err: cause, session: this.id }, 'catch-up could not read the log; the next acknowledgement tries again') })
  }

  private giveBatch (conv: ConvState, views: EntryView[]): void {
    const now = this.world.clock.now()
    const given = views.filter(v => !this.isOwn(v))
    const from = conv.next
    const max = this.maxPacketBytes
    const fits = (out: Outgoing): boolean => max === 0 || this.link.sizeOf(out, this.grants.qos('batch'), this.grants.isLong('batch')) <= max
    let n = views.length
    let out: Outgoing | null = null
    if (given.length > 0) {
      const made = deflated(views, v => this.isOwn(v) ? null : v.for(this.user, now).bytes, fits)
      n = made.covered
      out = made.out
    }
    const to = views[n - 1]!.entry.seq
    conv.next = to + 1
    if (out === null) {
      if (given.length > 0) this.giveGap(conv, from, to)
      else { conv.pass(from, to); if (conv.dirty) this.world.moved(this) }
      return
    }
    this.world.count.caughtUp += n
    this.world.count.delivered += n
    const long = this.grants.isLong('batch')
    if (this.grants.qos('batch') === 0) this.zero(conv, to, out, long)
    else this.link.deliver(out, 1, this.fly(conv, from, to, 'batch').packetId, false, long)
  }

  /** Sends one packet of the last connection again. False: not now. */
  private again (f: Flight): boolean {
    if (this.entryFlights >= (this.loss !== null && this.loss.count >= ALONE_FROM ? 1 : this.entryWindow)) return false
    const conv = f.conv!
    if (this.loss !== null && this.loss.count >= GAP_AFTER && this.loss.key === conv.key && f.from <= this.loss.seq && f.to >= this.loss.seq) f.kind = 'gap'
    const fly = (out: Outgoing): void => {
      this.resend.shift()
      this.flights.set(f.packetId, f)
      this.entryFlights++
      this.link.deliver(out, 1, f.packetId, true, this.grants.isLong(out.branch))
    }
    if (f.kind === 'gap') { fly(Outgoing.json('gap', { conv: this.nameOf(conv.key), from: f.from, to: f.to, head: conv.head })); return true }
    const view = this.world.recent.get(conv.key, f.from)
    if (view !== undefined && f.kind === 'entry') { fly(view.for(this.user, this.world.clock.now())); return true }
    this.loading = true
    this.world.log.page(conv.key, { after: f.from - 1, limit: f.to - f.from + 1 }).then(entries => {
      this.loading = false
      if (this.closed) return
      const views = entries.map(e => new EntryView(e))
      const now = this.world.clock.now()
      if (views.length === 0) fly(Outgoing.json('gap', { conv: this.nameOf(conv.key), from: f.from, to: f.to, head: conv.head }))
      else if (f.kind === 'entry') fly(views[0]!.for(this.user, now))
      else fly(deflated(views, v => this.isOwn(v) ? null : v.for(this.user, now).bytes, () => true).out!)
      this.pump()
    }, (cause: unknown) => { this.loading = false; this.world.logger.error({ err: cause, session: this.id }, 'the log could not be read to send again') })
    return false
  }

  /** The replay is prepared: from here on entries go out as they come. */
  goLive (): void {
    this.state = 'live'
    this.early = null
    this.pump()
  }

  /** The device says where it stands (`rcpt`, `sync`): everything up to `seq`, at most the head, counts as acknowledged. */
  moveTo (key: ConvKey, seq: number, head: number): void {
    let conv = this.convs.get(key)
    if (conv === undefined) this.convs.set(key, conv = new ConvState(key, seq, head + 1))
    else if (seq > conv.cursor) {
      conv.cursor = seq
      while (conv.flights.length > 0 && conv.flights[0]!.to <= seq) conv.flights.shift()
      conv.settle()
      if (conv.next <= seq) conv.next = seq + 1
    }
    if (seq > conv.highest) conv.highest = seq
    this.holes?.delete(key)
    conv.dirty = true
    this.world.moved(this)
  }

  /** Forgets conversations that came to rest, after their cursors were saved. */
  tidy (): void {
    for (const [key, conv] of this.convs) {
      if (!conv.idle) continue
      if (conv.cursor < conv.head) (this.holes ??= new Map()).set(key, conv.cursor)
      this.convs.delete(key)
    }
  }

  /** Ends the session's part of the connection; gives what is unacknowledged, for the next one. */
  close (byClient: boolean): RetainedWindow | null {
    this.closed = true
    const left = [...this.flights.values(), ...this.resend].filter(f => f.conv !== null)
    if (this.record === null || left.length === 0) return null
    const oldest = left[0]!
    let loss = this.loss
    if (byClient) {
      const same = loss !== null && loss.key === oldest.conv!.key && loss.seq === oldest.from
      loss = { key: oldest.conv!.key, seq: oldest.from, count: same ? loss!.count + 1 : 1 }
    }
    const convs = [...new Set(left.map(f => f.conv!))].map(c => ({
      key: c.key, cursor: c.cursor, highest: c.highest, flights: c.flights.map(({ conv: _, ...f }) => f)
    }))
    return { convs, order: left.map(f => f.packetId), loss }
  }
}
