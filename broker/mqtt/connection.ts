import type { IDisconnectPacket, IPublishPacket, ISubscribePacket, IUnsubscribePacket, Packet } from 'mqtt-packet'
import type { CloseReason, LiveConnection } from '../core/connections.js'
import type { Link } from '../core/link.js'
import { Outgoing } from '../core/outgoing.js'
import { type Lane } from '../core/publish.js'
import type { Session } from '../core/session.js'
import type { Identity, Verdict } from '../domain/identity.js'
import { type InboxFilter, inboxFilter, isFilter, type Publish } from '../domain/topics.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { Logger } from '../ports/logger.js'
import { AckQueue } from './ack-queue.js'
import type { Arrived } from './arrived.js'
import { ackFrame, decode, encode, packetIdAt, PINGRESP, publishFrame, withDup } from './frames.js'
import { Inbound, type Sink } from './inbound.js'
import type { Throttle } from './throttle.js'
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
  /** What is published. */
  readonly chat: {
    parse (c: Connection, topic: string): Publish | null
    publish (c: Connection, kind: Publish, m: Arrived): void
    slow (c: Connection, packet: IPublishPacket): void
    tooLarge (c: Connection, head: Buffer): void
  }
  readonly clock: Clock
  readonly logger: Logger
  /** Largest packet taken, announced as Maximum Packet Size. */
  readonly maxPacketBytes: number
  /** A packet for Aedes: SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, the QoS 2 handshake of deliveries. */
  toAedes (connection: Connection, packet: Packet): void
  ended (connection: Connection, reason: CloseReason): Promise<void>
}

/** Aedes's client, as its stream knows it. */
export interface StreamOwner { close (): void }

/** Of a 3.x client, up to this much is read and dropped to answer `too-large`; more closes the connection. */
export const MAX_SKIP_BYTES = 16 << 20
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

const nothing = (): void => {}

/**
 * One socket. It cuts packets, answers what needs nobody else (PUBACK, PINGREQ, chat), and hands the rest to Aedes, for
 * whom it plays the stream: Aedes writes to it and never reads from it.
 */
export class Connection implements Link, Sink, LiveConnection {
  phase: 'new' | 'connecting' | 'ready' | 'closed' = 'new'
  version = 4
  /** Set by Aedes when it makes its client for this stream. */
  client: StreamOwner | null = null
  sessionOrNull: Session | null = null
  identity: Identity | null = null
  lane: Lane | null = null
  receiveMaximum = 65_535
  maxPacketBytes = 0
  requestProblemInformation = true
  keepAliveMs = 0
  /** Told in CONNACK when it is not the client's own, seconds [MQTT-3.2.2.3.14]. */
  serverKeepAlive: number | undefined = undefined
  /** A session of an earlier connection goes on [MQTT-3.2.2-2]. */
  sessionPresent = false
  /** Made for an empty client id; told in CONNACK [MQTT-3.2.2.3.7]. */
  assignedClientId: string | undefined = undefined
  /** The client said DISCONNECT: what follows is its doing. */
  leaving = false
  heardMs: number
  readonly acks = new AckQueue()
  /** QoS 2 packet ids between PUBLISH and PUBREL: true once PUBREC was sent. */
  received: Map<number, boolean> | null = null
  throttle: Throttle | null = null
  /** RPC requests whose answers did not leave yet, and what lets the next ones go on. */
  rpcRunning = 0
  rpcWaiting: (() => void)[] | null = null
  /** The last topic published to and what it means: senders repeat themselves. */
  lastTopic = ''
  lastPublish: Publish | null = null
  /** A will on one of our topics was left out; told when the client can hear it. */
  willIgnored = false
  expiry: Timer[] = []
  closing: Promise<void> | null = null
  /** For the listener that counts: the CONNECT was accepted; the connection ended. */
  signedIn: () => void = nothing
  gone: () => void = nothing
  /** Called once, when CONNACK was written or the connection ended before. */
  settled: (() => void) | null = null
  private readonly inbound = new Inbound()
  private readonly batch: WriteBatch
  private zeroFlushed = 0
  private paused = false
  /** Aedes works on a SUBSCRIBE or UNSUBSCRIBE: what follows it in the same flight counts on it, and waits. */
  private subscribing = false
  private readonly connectTimer: Timer

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
    this.inbound.data(chunk, this)
    this.pauseIfFull()
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
    this.inbound.go(this)
    if (!this.paused || !this.reading) return
    this.paused = false
    this.heardMs = this.world.clock.now() // the keep-alive clock waited while nothing was read
    this.wire.resume()
  }

  /** Whether a filter may be granted: it is one of the own inbox. */
  mayHold (filter: string): boolean { return inboxFilter(filter, this.session.user) !== null }

  get isPaused (): boolean { return this.paused }

  sized (header: number, bytes: number): 'take' | 'skip' | 'refuse' {
    if (this.phase !== 'ready') {
      if (bytes <= MAX_CONNECT_BYTES) return 'take'
      this.close('broker')
      return 'refuse'
    }
    if (bytes <= this.world.maxPacketBytes) return 'take'
    if (this.version < 5 && header >> 4 === 3 && bytes <= MAX_SKIP_BYTES) return 'skip'
    this.close('broker', 0x95) // [MQTT-3.1.2-24]
    return 'refuse'
  }

  skipped (head: Buffer): void { this.world.chat.tooLarge(this, head) }

  malformed (why: string, code = 0x81): void {
    this.world.logger.debug({ address: this.origin.address, why }, 'malformed packet')
    this.close('broker', code)
  }

  packet (b: Buffer, start: number, body: number, end: number): void {
    if (this.phase === 'closed') return
    const type = b[start]! >> 4
    if (this.phase === 'new') { this.connect(b.subarray(start, end), type); return }
    if (type === 3 && this.publishFast(b, start, body, end)) return
    if (type === 4 && end === body + 2 && (b[start]! & 15) === 0 && (b[body]! | b[body + 1]!) !== 0) { this.session.ack(b[body]! << 8 | b[body + 1]!); return }
    if (type === 12 && end === body && (b[start]! & 15) === 0) { this.write(PINGRESP); return }
    const packet = decode(b.subarray(start, end), this.version)
    if (packet instanceof Error) { this.malformed(packet.message); return }
    this.slow(packet)
  }

  private connect (bytes: Buffer, type: number): void {
    if (type !== 1) { this.close('broker'); return } // [MQTT-3.1.0-1]
    this.connectTimer.cancel()
    this.phase = 'connecting'
    this.world.connector.connect(this, bytes).catch((err: unknown) => {
      this.world.logger.error({ err, address: this.origin.address }, 'a CONNECT failed')
      this.close('broker')
    })
  }

  /** A PUBLISH on one of our topics, read without mqtt-packet. False: leave it to the slow path. */
  private publishFast (b: Buffer, start: number, body: number, end: number): boolean {
    const flags = b[start]!
    const qos = flags >> 1 & 3
    if (qos > 1 || (flags & 1) === 1 || end - body < 2) return false
    const topicEnd = body + 2 + (b[body]! << 8 | b[body + 1]!)
    const first = b[body + 2]
    if (topicEnd > end || (first !== 117 && first !== 103) || b[body + 3] !== 47) return false
    let at = topicEnd
    let packetId = 0
    if (qos === 1) {
      if (at + 2 > end) return false
      packetId = b[at]! << 8 | b[at + 1]!
      if (packetId === 0) return false
      at += 2
    }
    if (this.version === 5 && b[at++] !== 0) return false
    const topic = b.toString('latin1', body + 2, topicEnd)
    const known = topic === this.lastTopic ? this.lastPublish : this.world.chat.parse(this, topic)
    if (known === null || at > end) return false
    this.world.chat.publish(this, known, { topic, payload: b.subarray(at, end), qos: qos as 0 | 1, dup: (flags & 8) !== 0, packetId })
    return true
  }

  private slow (packet: Packet): void {
    switch (packet.cmd) {
      case 'publish':
        if (packet.properties?.topicAlias === undefined) this.world.chat.slow(this, packet)
        else this.malformed('a topic alias, of which none were offered', 0x94) // [MQTT-3.3.2-9]
        return
      case 'pubrel':
        this.received?.delete(packet.messageId!)
        this.write(ackFrame(0x70, packet.messageId!))
        return
      case 'puback': this.session.ack(packet.messageId!); return
      case 'pingreq': this.write(PINGRESP); return
      case 'connect': this.malformed('a second CONNECT', 0x82); return // [MQTT-3.1.0-2]
      case 'disconnect': this.disconnect(packet); return
      case 'subscribe': case 'unsubscribe': this.subscribe(packet); return
      default: this.world.toAedes(this, packet)
    }
  }

  private subscribe (packet: ISubscribePacket | IUnsubscribePacket): void {
    const filters = packet.cmd === 'subscribe' ? packet.subscriptions.map(s => s.topic) : packet.unsubscriptions
    if (!filters.every(isFilter)) { this.malformed('wildcards where none may stand', 0x8f); return } // [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1]
    this.subscribing = true
    this.world.toAedes(this, packet)
  }

  private disconnect (packet: IDisconnectPacket): void {
    const record = this.session.record
    const seconds = packet.properties?.sessionExpiryInterval
    if (record !== null && seconds !== undefined && record.sessionExpirySeconds > 0) record.sessionExpirySeconds = this.world.connector.sessionExpiry(seconds) // [MQTT-3.14.2-2]
    this.leaving = true
    this.world.toAedes(this, packet)
  }

  // ---- bytes out

  /** For this turn's one write. Never waits, and never refuses: what may grow is bounded by who writes. */
  write (bytes: Buffer | string): boolean {
    if (this.phase !== 'closed') this.batch.push(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
    return true
  }

  deliver (out: Outgoing, qos: 0 | 1, packetId: number, dup: boolean, long: boolean): void {
    if (this.phase === 'closed') return
    let frame = publishFrame(out, qos, this.version === 5, long ? `u/${this.session.user}` : null)
    if (this.maxPacketBytes !== 0 && frame.length > this.maxPacketBytes) return // what must not be lost was measured before [MQTT-3.1.2-24]
    if (dup) frame = withDup(frame)
    if (qos === 0) this.batch.push(frame)
    else this.batch.push(frame, packetIdAt(frame), packetId)
  }

  sizeOf (out: Outgoing, qos: 0 | 1, long: boolean): number {
    return publishFrame(out, qos, this.version === 5, long ? `u/${this.session.user}` : null).length
  }

  get unsentBytes (): number { return this.batch.unsentBytes }

  /** Tells the session when the kernel has this flush: the QoS 0 entries in it, or room for what waits. */
  private flushing (): (() => void) | undefined {
    const session = this.sessionOrNull
    if (session === null) return undefined
    const n = session.zeroCount - this.zeroFlushed
    const full = this.batch.unsentBytes > MAX_UNSENT_BYTES // it may be paused before this is out
    if (n === 0 && !full && !session.holdsBack) return undefined
    this.zeroFlushed += n
    return () => {
      this.zeroFlushed -= n
      session.kernelTook(n)
      if (full) this.readOn()
    }
  }

  // ---- life

  /** CONNACK was written: the session takes up what it held, and what came meanwhile is read. */
  ready (held: [InboxFilter, 0 | 1][]): void {
    if (this.phase !== 'connecting') return
    this.phase = 'ready'
    this.signedIn()
    this.wire.signedIn?.()
    this.settled?.()
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
  refresh (identity: Identity): void { this.world.connector.watchExpiry(this, identity) }

  /** Ends the connection; MQTT 5 clients are told why [MQTT-3.14.4-1]. Idempotent. */
  close (reason: CloseReason, code?: number): void {
    if (this.phase === 'closed') return
    if (code !== undefined && this.version === 5 && this.phase === 'ready') this.write(encode({ cmd: 'disconnect', reasonCode: code }, 5))
    this.batch.flush()
    this.phase = 'closed'
    this.wire.destroySoon()
    this.world.clock.after(LINGER_MS, () => this.wire.destroy())
    this.end(reason)
  }

  /** The wire is gone. */
  wireClosed (): void {
    if (this.phase === 'closed') return
    this.phase = 'closed'
    this.end('closed')
  }

  private end (reason: CloseReason): void {
    this.batch.drop()
    this.connectTimer.cancel()
    for (const t of this.expiry) t.cancel()
    this.throttle?.stop()
    if (this.lane !== null) this.lane.closed = true
    this.client?.close()
    this.settled?.()
    this.gone()
    this.closing = this.world.ended(this, reason)
  }

  // ---- the stream that Aedes sees: it never gets bytes from it, and hears of its end by close()

  get destroyed (): boolean { return this.phase === 'closed' }
  destroy (): void { this.close(this.leaving ? 'client' : 'broker') }
  setMaxListeners (): this { return this }
  on (): this { return this }
  once (): this { return this }
  removeListener (): this { return this }
  removeAllListeners (): this { return this }
  emit (): boolean { return false }
  read (): null { return null }
}
