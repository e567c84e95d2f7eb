import type { ISubscription, Packet } from 'mqtt-packet'
import type { CloseReason, LiveConnection } from '../core/connections.js'
import type { Link } from '../core/link.js'
import { Outgoing } from '../core/outgoing.js'
import { type Lane } from '../core/publish.js'
import type { Session } from '../core/session.js'
import type { Subscriber } from '../core/topics/subscriber.js'
import type { TopicAcl } from '../domain/acl.js'
import type { Identity, Verdict } from '../domain/identity.js'
import type { InboxFilter, Publish } from '../domain/topics.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { Logger } from '../ports/logger.js'
import { AckQueue, type Pending } from './ack-queue.js'
import { accepted } from './connack.js'
import { type Destinations, dispatch, type Receiver } from './dispatch.js'
import { encode, packetIdAt, publishFrame, withDup } from './frames.js'
import { Inbound, type Sink } from './inbound.js'
import { Throttle } from './throttle.js'
import type { TopicAliases } from './topic-aliases.js'
import type { Origin, Wire } from './wire.js'
import { WriteBatch, type WriteBatcher } from './write-batching.js'

/** What connections share. */
export interface MqttWorld {
  readonly batcher: WriteBatcher
  /** CONNECT, and what becomes of an identity after it. */
  readonly connector: {
    connect (c: Connection, packet: Buffer): Promise<void>
    again (c: Connection, token: string): Promise<Verdict>
    watchExpiry (c: Connection, identity: Identity): void
    sessionExpiry (askedSeconds: number): number
  }
  readonly chat: Destinations<Connection>['chat'] & { tooLarge (c: Connection, head: Buffer): void }
  readonly ordinary: Destinations<Connection>['ordinary'] & { ready (c: Connection): void, refreshed (c: Connection): void }
  readonly clock: Clock
  readonly logger: Logger
  /** Largest packet taken, announced as Maximum Packet Size. */
  readonly maxPacketBytes: number
  /** Publishes of one connection in a second; 0: no limit. */
  readonly publishPerSecond: number
  /** A packet for Aedes: SUBSCRIBE, UNSUBSCRIBE, DISCONNECT. */
  toAedes (connection: Connection, packet: Packet): void
  ended (connection: Connection, reason: CloseReason): Promise<void>
}

/** Aedes's client, as its stream knows it. */
export interface StreamOwner { close (): void }

/** What a SUBSCRIBE asks for and is granted. */
export interface Asking {
  inbox: readonly ISubscription[]
  ordinary: readonly ISubscription[]
  /** Subscription Identifier; 0: none. */
  id: number
  /** Aedes asks for it to be stored once for each filter. */
  stored: Promise<void> | null
}
const NOTHING_ASKED: Asking = { inbox: [], ordinary: [], id: 0, stored: null }

/** Of a 3.x client, up to this much is read and dropped to answer `too-large`; more closes the connection. */
export const MAX_SKIP_BYTES = 16 << 20
const CONNECT = 0x10
/** Largest packet before CONNECT is accepted. */
const MAX_CONNECT_BYTES = 256 << 10
/** Publishes without an answer past which a connection is not read (guarantee 5). */
const MAX_HELD = 100
const MAX_HELD_BYTES = 1 << 20
/** A client that publishes but does not read its answers is not read either. */
const MAX_UNSENT_BYTES = 256 << 10
/** Bytes kept while CONNECT or a SUBSCRIBE is being worked on; what follows stays in the socket. */
const MAX_EARLY_BYTES = 1 << 20
/** Longest wait for the last bytes to leave when the broker closes. */
const LINGER_MS = 2000
/** A packet's fixed header is 2 to 5 bytes: who takes longer for it wastes our time. */
const MAX_HEADER_MS = 10_000
/** A slow upload is a live connection so long: the largest packet of the default limits at 600 bytes a second. */
const MAX_PACKET_MS = 600_000

/**
 * One socket. It cuts packets, answers what needs nobody else (PUBACK, PINGREQ, chat), and hands the rest to Aedes, for
 * whom it plays the stream: Aedes writes to it and never reads from it.
 */
export class Connection implements Link, Sink, Receiver, LiveConnection {
  phase: 'new' | 'connecting' | 'ready' | 'closed' = 'new'
  version = 4
  /** Set by Aedes when it makes its client for this stream. */
  client: StreamOwner | null = null
  sessionOrNull: Session | null = null
  identity: Identity | null = null
  lane: Lane | null = null
  /** The client's Receive Maximum. */
  clientReceiveMaximum = 65_535
  maxPacketBytes = 0
  requestProblemInformation = true
  wantsResponseInformation = false
  keepAliveMs = 0
  /** How long the session outlives the connection, seconds; 0: it ends with it. What the client asked for, within the limit. */
  expirySeconds = 0
  askedExpirySeconds = 0
  /** Told in CONNACK when it is not the client's own, seconds [MQTT-3.2.2.3.14]. */
  serverKeepAlive: number | undefined = undefined
  /** A session of an earlier connection goes on [MQTT-3.2.2-2]. */
  sessionPresent = false
  /** Made for an empty client id; told in CONNACK [MQTT-3.2.2.3.7]. */
  assignedClientId: string | undefined = undefined
  /** The client said DISCONNECT: what follows is its doing; with or without its will. */
  leaving: 'no' | 'with will' | 'for good' = 'no'
  heardMs: number
  /** When its session was claimed for it, ms; 0: not yet. */
  claimedMs = 0
  readonly acks = new AckQueue()
  /** QoS 2 packet ids between PUBLISH and PUBREL: true once PUBREC was sent. */
  received: Map<number, boolean> | null = null
  /** Those of them that are stored: of a session that outlives the connection. */
  storedIds: Set<number> | null = null
  /** Its part in ordinary topics, once it has one. */
  topics: Subscriber | null = null
  /** Its rules for ordinary topics, once they are asked for. */
  acl: TopicAcl | null = null
  aliases: TopicAliases | null = null
  /** The client's Topic Alias Maximum. */
  topicAliasMaximum = 0
  throttle: Throttle | null = null
  /** RPC requests whose answers did not leave yet, and what lets the next ones go on. */
  rpcRunning = 0
  rpcWaiting: (() => void)[] | null = null
  lastTopic = ''
  lastPublish: Publish | null = null
  /** A will on one of our topics was left out; told when the client can hear it. */
  willIgnored = false
  expiry: Timer[] = []
  closing: Promise<void> | null = null
  /** For the listener that counts newcomers: called once, when it has signed in or has ended. */
  leavesDoor: (() => void) | null = null
  asking = NOTHING_ASKED
  /** Called once, when CONNACK was written or the connection ended before. */
  settled: (() => void) | null = null
  private readonly inbound = new Inbound()
  private readonly batch: WriteBatch
  private zeroFlushed = 0
  private welcomed = false
  private paused = false
  /** Since when a packet, or its frame, is under way; 0: none is. */
  private partSinceMs = 0
  /** Aedes works on a SUBSCRIBE or UNSUBSCRIBE: what follows it in the same flight counts on it, and waits. */
  private subscribing = false
  private connectTimer: Timer | null
  private linger: Timer | null = null

  constructor (private readonly wire: Wire, readonly origin: Origin, private readonly world: MqttWorld, connectTimeoutMs: number) {
    this.batch = new WriteBatch(wire, world.batcher, () => this.flushing())
    this.heardMs = world.clock.now()
    this.connectTimer = world.clock.after(connectTimeoutMs, () => { if (this.phase === 'new') this.close('broker') })
  }

  get session (): Session { return this.sessionOrNull! }

  // ---- bytes in

  data (chunk: Buffer): void {
    if (this.phase === 'closed') return
    this.heardMs = this.world.clock.now()
    this.sessionOrNull?.heard()
    this.cut(chunk)
    this.notePart()
    this.pauseIfFull()
  }

  /** `chunk` null: goes on with what was kept. A mistake of ours ends this connection, not all the others with the process. */
  private cut (chunk: Buffer | null): void {
    try {
      if (chunk === null) this.inbound.go(this)
      else this.inbound.data(chunk, this)
    } catch (err) {
      this.world.logger.error({ err, address: this.origin.address, session: this.sessionOrNull?.id }, 'a packet could not be worked on; its connection is closed')
      this.close('broker', 0x83, 'the broker failed on a packet; its log says why')
    }
  }

  /** Bytes came, of which the wire may hold some back: it is a live connection all the same. */
  stirred (): void {
    this.heardMs = this.world.clock.now()
    this.notePart()
  }

  private notePart (): void {
    if (this.inbound.partial === null && (this.wire.pendingBytes ?? 0) === 0) this.partSinceMs = 0
    else if (this.partSinceMs === 0) this.partSinceMs = this.heardMs
  }

  /** A packet that is under way takes longer than it may. */
  isDragging (nowMs: number): boolean {
    return this.partSinceMs > 0 && nowMs - this.partSinceMs > (this.inbound.partial === 'header' ? MAX_HEADER_MS : MAX_PACKET_MS)
  }

  get reading (): boolean { return this.phase === 'new' || (this.phase === 'ready' && !this.full && !this.subscribing) }

  private get full (): boolean {
    return this.acks.count >= MAX_HELD || this.acks.bytes >= MAX_HELD_BYTES || this.batch.unsentBytes > MAX_UNSENT_BYTES
  }

  private pauseIfFull (): void {
    if (this.paused || this.phase === 'closed' || this.reading) return
    if ((this.phase === 'connecting' || this.subscribing) && this.inbound.kept < MAX_EARLY_BYTES) return
    this.paused = true
    this.wire.pause()
  }

  /** Reads on when there is room again. Called when answers left, and by the keep-alive round. */
  readOn (): void {
    if (!this.reading) return
    this.cut(null)
    if (!this.paused || !this.reading) return
    this.paused = false
    this.heardMs = this.world.clock.now() // the clocks waited while nothing was read
    this.partSinceMs = 0
    this.notePart()
    this.wire.resume()
  }

  get isPaused (): boolean { return this.paused }

  sized (header: number, bytes: number): 'take' | 'skip' | 'refuse' {
    if (this.phase !== 'ready') {
      if (bytes <= MAX_CONNECT_BYTES && header === CONNECT) return 'take'
      this.close('broker')
      return 'refuse'
    }
    if (bytes <= this.world.maxPacketBytes) return 'take'
    if (this.version < 5 && header >> 4 === 3 && bytes <= MAX_SKIP_BYTES) return 'skip'
    this.close('broker', 0x95, `a packet of ${bytes} bytes; ${this.world.maxPacketBytes} are taken`) // [MQTT-3.1.2-24]
    return 'refuse'
  }

  skipped (head: Buffer): void {
    this.partSinceMs = 0
    this.world.chat.tooLarge(this, head)
  }

  malformed (why: string, code = 0x81): void {
    this.world.logger.debug({ address: this.origin.address, why }, 'malformed packet')
    this.close('broker', code, why)
  }

  packet (b: Buffer, start: number, body: number, end: number): void {
    if (this.phase === 'closed') return
    this.partSinceMs = 0
    const type = b[start]! >> 4
    if (this.phase === 'new') { this.connect(b.subarray(start, end), type); return }
    dispatch(this, this.world, b, start, body, end)
  }

  private connect (bytes: Buffer, type: number): void {
    if (type !== 1) { this.close('broker'); return } // [MQTT-3.1.0-1]
    this.cancelTimer()
    this.phase = 'connecting'
    this.world.connector.connect(this, bytes).catch((err: unknown) => {
      this.world.logger.error({ err, address: this.origin.address }, 'a CONNECT failed')
      this.close('broker')
    })
  }

  /** SUBSCRIBE, UNSUBSCRIBE or DISCONNECT goes to Aedes. */
  handOver (packet: Packet): void {
    this.subscribing = packet.cmd !== 'disconnect'
    this.world.toAedes(this, packet)
  }

  // ---- bytes out

  /** For this turn's one write. Never waits, and never refuses: what may grow is bounded by who writes. */
  send (bytes: Buffer): void { if (this.phase !== 'closed') this.batch.push(bytes) }

  /** Whether the client takes a packet of that size [MQTT-3.1.2-24]. */
  fits (packet: Buffer): boolean { return this.maxPacketBytes === 0 || packet.length <= this.maxPacketBytes }

  deliver (out: Outgoing, qos: 0 | 1, packetId: number, dup: boolean, long: boolean): void {
    if (this.phase === 'closed') return
    let frame = publishFrame(out, qos, this.version === 5, long ? `u/${this.session.user}` : null)
    if (!this.fits(frame)) return // what must not be lost was measured before [MQTT-3.1.2-24]
    if (dup) frame = withDup(frame)
    this.push(frame, packetId)
  }

  /** A PUBLISH, which may be shared with others: its packet id is written beside it; 0: it has none. */
  push (frame: Buffer, packetId: number): void {
    if (packetId === 0) this.batch.push(frame)
    else this.batch.push(frame, packetIdAt(frame), packetId)
  }

  sizeOf (out: Outgoing, qos: 0 | 1, long: boolean): number {
    return publishFrame(out, qos, this.version === 5, long ? `u/${this.session.user}` : null).length
  }

  get unsentBytes (): number { return this.batch.unsentBytes }

  /** What the inbox may have in flight: ordinary topics take from the same Receive Maximum. */
  get receiveMaximum (): number { return this.clientReceiveMaximum - (this.topics?.inFlight ?? 0) }

  /** Runs a publish now, or in its turn. */
  throttled (run: () => void): void {
    const { publishPerSecond, clock } = this.world
    if (publishPerSecond === 0) run()
    else (this.throttle ??= new Throttle(publishPerSecond, clock)).run(run)
  }

  settle (pending: Pending, write: (() => void) | null): void {
    this.acks.settle(pending, write)
    this.readOn()
  }

  /** Tells the session when the kernel has this flush: the QoS 0 entries in it, or room for what waits. */
  private flushing (): (() => void) | undefined {
    const session = this.sessionOrNull
    if (session === null) return undefined
    const n = session.zeroCount - this.zeroFlushed
    const full = this.batch.unsentBytes > MAX_UNSENT_BYTES // it may be paused before this is out
    if (n === 0 && !full && !session.holdsBack && this.topics?.holdsBack !== true) return undefined
    this.zeroFlushed += n
    return () => {
      this.zeroFlushed -= n
      session.kernelTook(n)
      this.topics?.pump()
      if (full) this.readOn()
    }
  }

  // ---- life

  /** CONNACK was written: the session takes up what it held, and what came meanwhile is read. */
  ready (held: [InboxFilter, 0 | 1][]): void {
    if (this.phase !== 'connecting') return
    this.phase = 'ready'
    this.throughDoor()
    this.wire.signedIn?.()
    this.settled?.()
    this.world.ordinary.ready(this)
    if (held.length > 0) this.granted(held)
    this.readOn()
  }

  /** Aedes is done with a SUBSCRIBE or UNSUBSCRIBE. */
  subscribed (): void {
    this.subscribing = false
    this.readOn()
  }

  /** The session's subscriptions changed. */
  granted (held: [InboxFilter, 0 | 1][]): void {
    this.session.setGrants(held)
    if (!this.willIgnored || !this.session.grants.holds('evt')) return
    this.willIgnored = false
    this.session.extras.event(Outgoing.json('evt', { type: 'will-ignored' }))
  }

  async authenticate (token: string): Promise<Verdict> { return await this.world.connector.again(this, token) }
  refresh (identity: Identity): void {
    this.world.connector.watchExpiry(this, identity)
    this.world.ordinary.refreshed(this)
  }

  /** Ends the connection; MQTT 5 clients are told by a reason code, and in words [MQTT-3.14.4-1]. Idempotent. */
  close (reason: CloseReason, code?: number, reasonString?: string): void {
    if (this.phase === 'closed') return
    if (code !== undefined && this.version === 5 && this.phase === 'ready') {
      const told = encode({ cmd: 'disconnect', reasonCode: code, ...(reasonString === undefined ? {} : { properties: { reasonString } }) }, 5)
      this.send(this.fits(told) ? told : encode({ cmd: 'disconnect', reasonCode: code }, 5)) // [MQTT-3.14.2-3]
    }
    this.batch.flush()
    this.phase = 'closed'
    this.wire.destroySoon()
    this.linger = this.world.clock.after(LINGER_MS, () => this.wire.destroy())
    this.end(reason)
  }

  /** The wire is gone. */
  wireClosed (): void {
    this.linger?.cancel() // or each of a flood of connections would stay in memory until then
    if (this.phase === 'closed') return
    this.phase = 'closed'
    this.end('closed')
  }

  private end (reason: CloseReason): void {
    this.batch.drop()
    this.cancelTimer()
    for (const t of this.expiry) t.cancel()
    this.throttle?.stop()
    if (this.lane !== null) this.lane.closed = true
    this.client?.close()
    this.settled?.()
    this.throughDoor()
    this.closing = this.world.ended(this, reason)
  }

  /** What was of use until then is not kept by each idle connection. */
  private cancelTimer (): void {
    this.connectTimer?.cancel()
    this.connectTimer = null
  }

  private throughDoor (): void {
    const left = this.leavesDoor
    this.leavesDoor = null
    left?.()
  }

  // ---- the stream that Aedes sees: it never gets bytes from it, and hears of its end by close()

  /**
   * SUBACK and UNSUBACK. Before that comes a CONNACK that cannot say what we offer: ours goes out in its place, and at
   * that time: what waits for the session follows in a later write, when libraries have told their apps.
   */
  write (bytes: Buffer | string): boolean {
    if (this.phase === 'ready') this.send(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
    else if (!this.welcomed) this.welcome()
    return true
  }

  private welcome (): void {
    this.welcomed = true
    const connack = accepted(this, this.world.maxPacketBytes)
    if (this.fits(connack)) this.send(connack)
    else this.close('broker') // [MQTT-3.1.2-24]
  }

  get destroyed (): boolean { return this.phase === 'closed' }
  destroy (): void { this.close(this.leaving === 'no' ? 'broker' : 'client') }
  setMaxListeners (): this { return this }
  on (): this { return this }
  once (): this { return this }
  removeListener (): this { return this }
  removeAllListeners (): this { return this }
  emit (): boolean { return false }
  read (): null { return null }
}
