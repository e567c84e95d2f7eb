import type { TopicAcl } from '../../domain/acl.js'
import { ChurnMap } from '../../domain/churn-map.js'
import type { SessionId } from '../../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../../domain/topic-message.js'
import type { QueuedMessage, TopicChange, TopicStore } from '../../ports/topics.js'
import type { TopicLink } from './link.js'

/** What subscribers share. */
export interface SubscriberWorld {
  readonly store: Pick<TopicStore, 'commit' | 'queue' | 'queueEnds'>
  /** Undefined: nothing is retained there. */
  retained (topic: string): TopicMessage | undefined
  readonly clock: { now (): number }
  /** Messages that wait for one session; 0: no limit. */
  readonly queuedMessages: number
  /** Changes that nobody waits for; a failure is logged. */
  change (changes: readonly TopicChange[]): void
  count: TopicCounts
}

export interface TopicCounts { delivered: number, dropped: { queue: number, slow: number, denied: number, expired: number, large: number } }

/** A subscription and whose it is. */
export interface Held { readonly subscriber: Subscriber, readonly subscription: TopicSubscription }

/** Packet ids of ordinary topics: those below are the inbox's. */
const FIRST_ID = 32_768
const IDS = 32_768
/** Packets at QoS 1 and 2 in flight to one client. */
const MAX_IN_FLIGHT = 256
/** A client that reads so slowly is given nothing more at QoS 0, and waits for the rest. */
const MAX_UNSENT_BYTES = 1 << 20
/** Bytes of what waits in memory for a session that ends with its connection. */
const MAX_WAITING_BYTES = 4 << 20
/** Messages of a stored queue in memory. */
const PAGE = 64

interface Waiting { order: number, message: TopicMessage, qos: 1 | 2, retain: boolean, ids: readonly number[], released: boolean }

/**
 * A session's part in ordinary topics: what it is subscribed to, what waits for it and what is in flight. The queue of a
 * persistent session is in the store, and read as the window opens; the other's is in memory and ends with the connection.
 */
export class Subscriber {
  readonly subscriptions = new Map<string, Held>()
  /** Characters of its filters. */
  filterBytes = 0
  private acl: TopicAcl | null = null
  link: TopicLink | null = null
  /** When a session without connection ends, ms since the epoch; 0: it has one. */
  endsMs = 0
  /** Retained messages that a new subscription asks for, by topic; read from the store as the client takes them. */
  private retained: { topic: string, qos: 0 | 1 | 2, id: number }[] = []
  private waiting: Waiting[] = []
  private waitingBytes = 0
  /** Packet id → order. */
  private flights = new ChurnMap<number, number>()
  private lastOrder: number
  /** How many of a stored queue there are, in flight or not. */
  private stored: number
  /** What stands in the store up to this order is waiting here or in flight. */
  private loadedTo = 0
  /** The highest order given on this connection … */
  private sentTo = 0
  /** … and, as far as known, on earlier ones: those are given with DUP [MQTT-3.3.1-1]. */
  private givenTo: number
  /** Retained messages on their way into the stored queue. */
  private placing = 0
  /** The last order that is durable. */
  private durableTo: number
  /** Whether each message has to be judged by the ACL when it is delivered. */
  private judged = true
  private judgedVersion = -1

  constructor (readonly id: SessionId,
    /** It outlives its connection: its queue is stored. */
    readonly persistent: boolean, private readonly world: SubscriberWorld) {
    const { count, last } = persistent ? world.store.queueEnds(id) : { count: 0, last: 0 }
    this.stored = count
    this.lastOrder = this.durableTo = this.givenTo = last
  }

  get inFlight (): number { return this.flights.size }
  /** Something waits until the client reads. */
  get holdsBack (): boolean { return this.waiting.length > 0 || this.retained.length > 0 || this.loadedTo < this.durableTo }
  /** It would be given a message now. */
  get ready (): boolean { return this.link !== null && this.hasRoom && this.waiting.length === 0 }

  attach (link: TopicLink, acl: TopicAcl): void {
    this.link = link
    this.judgeBy(acl)
    this.endsMs = 0
    this.loadedTo = 0
    this.pump()
  }

  detach (): void {
    this.link = null
    this.waiting = []
    this.waitingBytes = 0
    this.retained = []
    this.flights = new ChurnMap()
    this.givenTo = Math.max(this.givenTo, this.sentTo)
  }

  // ---- what comes

  /** At QoS 0: now or never. */
  giveOnce (message: TopicMessage, retain: boolean, ids: readonly number[]): void {
    const { link, world } = this
    if (link === null) return
    if (link.unsentBytes > MAX_UNSENT_BYTES) world.count.dropped.slow++
    else if (this.judge(message)) this.transmit(link, message, 0, 0, false, retain, ids)
  }

  /** At QoS 1 or 2 to a session that ends with its connection. */
  give (message: TopicMessage, qos: 1 | 2, retain: boolean, ids: readonly number[]): void {
    if (this.link === null) return
    if (this.waiting.length === 0 && this.hasRoom) {
      const next = this.lastOrder + 1
      if (this.send({ order: next, message, qos, retain, ids, released: false })) this.lastOrder = next
      return
    }
    const most = this.world.queuedMessages
    if ((most !== 0 && this.waiting.length >= most) || this.waitingBytes + bytesOf(message) > MAX_WAITING_BYTES) { this.world.count.dropped.queue++; return }
    // what came in shares its memory with all that the socket read at once
    this.wait({ order: ++this.lastOrder, message: kept(message), qos, retain, ids, released: false })
  }

  private wait (w: Waiting): void {
    this.waiting.push(w)
    this.waitingBytes += bytesOf(w.message)
  }

  private get full (): boolean { return this.world.queuedMessages !== 0 && this.stored >= this.world.queuedMessages }

  /** Takes a place in the stored queue, whose row the caller writes; 0: it is full, the message is dropped. */
  place (): number {
    if (this.full) { this.world.count.dropped.queue++; return 0 }
    this.stored++
    return ++this.lastOrder
  }

  /** The message is in the stored queue. Called in the order of {@link place}. */
  placed (w: Waiting): void {
    this.durableTo = w.order
    if (this.link === null || this.loadedTo < w.order - 1 || this.waiting.length >= PAGE) return // read back when there is room
    this.loadedTo = w.order
    this.wait(this.waiting.length === 0 && this.hasRoom ? w : { ...w, message: kept(w.message) })
    this.pump()
  }

  /** Retained messages for a new subscription. */
  askRetained (topics: readonly string[], s: TopicSubscription): void {
    for (const topic of topics) this.retained.push({ topic, qos: s.qos, id: s.id })
    this.pump()
  }

  // ---- what the client answers

  /** PUBACK, PUBCOMP, or a PUBREC that refuses. False: no such packet id is in flight. */
  acknowledge (packetId: number): boolean {
    const order = this.flights.get(packetId)
    if (order === undefined) return false
    this.flights.delete(packetId)
    this.done(order)
    if (this.holdsBack) this.pump()
    return true
  }

  /** PUBREC: resolves to whether PUBREL may go out; what is stored must say so first, or a crash would send the message again. */
  async received (packetId: number): Promise<boolean> {
    const order = this.flights.get(packetId)
    if (order === undefined) return false
    if (this.persistent) await this.world.store.commit([{ kind: 'release', session: this.id, order }])
    return true
  }

  private done (order: number): void {
    if (!this.persistent) return
    this.stored--
    this.world.change([{ kind: 'dequeue', session: this.id, order }])
  }

  // ---- what goes out

  private get hasRoom (): boolean {
    const { link, flights } = this
    return link !== null && flights.size < MAX_IN_FLIGHT && link.quota > flights.size && link.unsentBytes <= MAX_UNSENT_BYTES
  }

  /** Gives what waits while the client takes it. */
  pump (): void {
    for (;;) {
      if (!this.hasRoom) return
      if (this.waiting.length === 0) this.load()
      const next = this.waiting[0]
      if (next === undefined) { if (!this.giveRetained()) return; continue }
      if (!this.send(next)) return
      this.waiting.shift()
      this.waitingBytes -= bytesOf(next.message)
    }
  }

  private load (): void {
    if (!this.persistent || this.loadedTo >= this.durableTo) return
    const read: QueuedMessage[] = this.world.store.queue(this.id, this.loadedTo, PAGE)
    this.loadedTo = read.length < PAGE ? this.durableTo : read.at(-1)!.order
    for (const q of read) if (q.order <= this.durableTo) this.wait(q)
  }

  /** False: its packet id is still in flight, it has to wait. */
  private send (w: Waiting): boolean {
    const link = this.link!
    const packetId = FIRST_ID + w.order % IDS
    if (this.flights.has(packetId)) return false
    if (w.released) {
      this.flights.set(packetId, w.order)
      link.release(packetId)
      return true
    }
    const dup = w.order <= this.givenTo && this.persistent
    if (!this.judge(w.message) || !this.transmit(link, w.message, w.qos, packetId, dup, w.retain, w.ids)) this.done(w.order)
    else this.flights.set(packetId, w.order)
    this.sentTo = Math.max(this.sentTo, w.order)
    return true
  }

  private transmit (link: TopicLink, message: TopicMessage, qos: 0 | 1 | 2, packetId: number, dup: boolean, retain: boolean, ids: readonly number[]): boolean {
    const { count, clock } = this.world
    // what was sent once does not expire [MQTT-3.3.2-5] [MQTT-4.3.3-7]
    if (!dup && message.expiresMs !== 0 && message.expiresMs <= clock.now()) { count.dropped.expired++; return false }
    if (!link.give(message, qos, packetId, dup, retain, ids)) { count.dropped.large++; return false }
    count.delivered++
    return true
  }

  private judge (message: TopicMessage): boolean {
    const acl = this.acl!
    if (this.judgedVersion !== acl.version) {
      this.judgedVersion = acl.version
      this.judged = ![...this.subscriptions.values()].every(h => acl.allows(h.subscription.filter))
    }
    if (!this.judged || acl.mayReceive(message.topic)) return true
    this.world.count.dropped.denied++
    return false
  }

  /** The subscriptions changed. */
  changed (): void { this.judgedVersion = -1 }

  judgeBy (acl: TopicAcl): void {
    this.acl = acl
    this.judgedVersion = -1
  }

  /** False: none is left, or as many as may be are on their way. */
  private giveRetained (): boolean {
    const next = this.retained[0]
    if (next === undefined || (this.persistent && (this.placing >= PAGE || this.full))) return false
    const message = this.world.retained(next.topic)
    const qos = message === undefined ? 0 : Math.min(message.qos, next.qos) as 0 | 1 | 2
    const order = qos > 0 && this.persistent ? this.place() : 0
    this.retained.shift()
    if (message === undefined) return true
    const ids = next.id === 0 ? [] : [next.id]
    if (qos === 0) this.giveOnce(message, true, ids)
    else if (!this.persistent) this.give(message, qos, true, ids)
    else this.placeRetained({ order, message, qos, retain: true, ids, released: false })
    return true
  }

  private placeRetained (w: Waiting): void {
    this.placing++
    const to = { session: this.id, order: w.order, qos: w.qos, retain: w.retain, ids: w.ids }
    this.world.store.commit([{ kind: 'enqueue', message: w.message, to: [to] }]).then(() => {
      this.placing--
      this.placed(w)
    }, () => {}) // the store is closed, and so will be the connection
  }
}

const bytesOf = (m: TopicMessage): number => m.payload.length + m.topic.length
const kept = (m: TopicMessage): TopicMessage => ({ ...m, payload: Buffer.from(m.payload), properties: Buffer.from(m.properties) })
