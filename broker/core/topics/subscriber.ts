import type { TopicAcl } from '../../domain/acl.js'
import { ChurnMap } from '../../domain/churn-map.js'
import type { SessionId } from '../../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../../domain/topic-message.js'
import type { NodeId } from '../../ports/bus.js'
import type { QueuedMessage, QueueEnds, TopicChange, TopicStore } from '../../ports/topics.js'
import type { TopicLink } from './link.js'
import type { Orders } from './orders.js'

/** What subscribers share. */
export interface SubscriberWorld {
  readonly store: Pick<TopicStore, 'commit' | 'queue'>
  readonly orders: Orders
  /** Of several nodes: asks the store how long a queue is. Null: nobody else writes to it. */
  readonly ends: ((session: SessionId) => Promise<QueueEnds>) | null
  /** In the order of the topics; undefined: nothing is retained there. */
  retained (topics: readonly string[]): Promise<(TopicMessage | undefined)[]>
  readonly clock: { now (): number }
  /** Messages that wait for one session; 0: no limit. */
  readonly queuedMessages: number
  /** Changes that nobody waits for; a failure is logged. */
  change (changes: readonly TopicChange[]): void
  /** The store could not be read. */
  failed (err: unknown): void
  count: TopicCounts
}

export interface TopicCounts { delivered: number, dropped: { queue: number, slow: number, denied: number, expired: number, large: number } }

/** A subscription and whose it is. */
export interface Held { readonly subscriber: Subscriber, readonly subscription: TopicSubscription }

/** Packets at QoS 1 and 2 in flight to one client. */
const MAX_IN_FLIGHT = 256
/** A client that reads so slowly is given nothing more at QoS 0, and waits for the rest. */
const MAX_UNSENT_BYTES = 1 << 20
/** Bytes of what waits in memory for a session that ends with its connection. */
const MAX_WAITING_BYTES = 4 << 20
/** Messages of a stored queue in memory. */
const PAGE = 64
/** Retained messages in memory on their way to one subscriber. */
const RETAINED_PAGE = 16

interface Asked { topic: string, qos: 0 | 1 | 2, id: number }
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
  /** Another node that it is connected to. */
  elsewhere: NodeId | null = null
  /** How long it outlives its connection. */
  expirySeconds = 0
  /** Retained messages that a new subscription asks for, by topic; read from the store as the client takes them. */
  private asked: Asked[] = []
  private fetched: (Asked & { message: TopicMessage })[] = []
  private fetching = false
  /** Topics whose newer message came while the retained one was being read. */
  private newer = new Set<string>()
  private waiting: Waiting[] = []
  private waitingBytes = 0
  /** Packet id → order. */
  private flights = new ChurnMap<number, number>()
  private lastOrder: number
  /** How many of a stored queue there are, in flight or not; of several nodes at least so many, unless `exact`. */
  private stored = 0
  private exact = true
  private counting = false
  /** What stands in the store up to this order is waiting here, in flight or done, but for stragglers: */
  private loadedTo = 0
  /** Another node's message may stand here, in front of what was loaded; 0: none does. */
  private straggler = 0
  private loading = false
  /** What was done since the load began, and may be in it. */
  private readonly done = new Set<number>()
  /** The highest order given on this connection … */
  private sentTo = 0
  /** … and, as far as known, on earlier ones: those are given with DUP [MQTT-3.3.1-1]. */
  private givenTo = 0
  /** Retained messages on their way into the stored queue. */
  private placing = 0
  /** The last order that is durable. */
  private durableTo = 0
  /** Whether each message has to be judged by the ACL when it is delivered. */
  private judged = true
  private judgedVersion = -1

  constructor (readonly id: SessionId,
    /** It outlives its connection: its queue is stored. */
    readonly persistent: boolean, private readonly world: SubscriberWorld) {
    this.lastOrder = 0
  }

  /** What the store says of the queue. `givenTo`: as far as known it was given up to there. */
  stands ({ count, last }: QueueEnds, givenTo: number): void {
    this.stored = count
    this.exact = this.elsewhere === null
    this.lastOrder = Math.max(this.lastOrder, last, givenTo)
    this.durableTo = Math.max(this.durableTo, last)
    this.givenTo = Math.max(this.givenTo, givenTo)
  }

  get inFlight (): number { return this.flights.size }
  /** Something waits until the client reads. */
  get holdsBack (): boolean { return this.waiting.length > 0 || this.asked.length > 0 || this.fetched.length > 0 || this.loadedTo < this.durableTo || this.straggler !== 0 }
  /** It would be given a message now. */
  get ready (): boolean { return this.link !== null && this.hasRoom && this.waiting.length === 0 }

  attach (link: TopicLink, acl: TopicAcl): void {
    this.link = link
    this.judgeBy(acl)
    this.endsMs = 0
    this.elsewhere = null
    this.loadedTo = 0
    this.straggler = 0
    this.pump()
  }

  detach (): void {
    this.link = null
    this.waiting = []
    this.waitingBytes = 0
    this.asked = []
    this.fetched = []
    this.flights = new ChurnMap()
    this.givenTo = Math.max(this.givenTo, this.sentTo)
  }

  /** The highest order that was given to it, as far as this node knows. */
  get given (): number { return Math.max(this.givenTo, this.sentTo) }

  /** Another node has it now; null: none has any more. */
  moved (node: NodeId | null, endsMs: number): void {
    if (node === null && this.elsewhere !== null) this.recount()
    this.elsewhere = node
    this.endsMs = endsMs
    if (node !== null) this.exact = false // what it acknowledges there is not told
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
      const next = this.world.orders.next(this.lastOrder)
      if (this.send({ order: next, message, qos, retain, ids, released: false })) this.lastOrder = next
      return
    }
    const most = this.world.queuedMessages
    if ((most !== 0 && this.waiting.length >= most) || this.waitingBytes + bytesOf(message) > MAX_WAITING_BYTES) { this.world.count.dropped.queue++; return }
    // what came in shares its memory with all that the socket read at once
    this.wait({ order: this.lastOrder = this.world.orders.next(this.lastOrder), message: kept(message), qos, retain, ids, released: false })
  }

  private wait (w: Waiting): void {
    this.waiting.push(w)
    this.waitingBytes += bytesOf(w.message)
  }

  private get full (): boolean {
    const most = this.world.queuedMessages
    if (most === 0 || this.stored < most) return false
    if (this.exact) return true
    this.recount()
    return this.stored >= 2 * most // until it is known what was acknowledged elsewhere
  }

  private recount (): void {
    const { ends } = this.world
    if (ends === null || this.counting) return
    this.counting = true
    const before = this.stored
    ends(this.id).then(({ count, last }) => {
      this.stored = count + Math.max(0, this.stored - before)
      this.exact = this.elsewhere === null
      this.lastOrder = Math.max(this.lastOrder, last)
    }, this.world.failed).finally(() => { this.counting = false })
  }

  /** Takes a place in the stored queue, whose row the caller writes; 0: it is full, the message is dropped. */
  place (): number {
    if (this.full) { this.world.count.dropped.queue++; return 0 }
    this.stored++
    return this.lastOrder = this.world.orders.next(this.lastOrder)
  }

  /** Another node put a message into the stored queue. */
  placedElsewhere (w: Waiting): void {
    this.stored++
    this.lastOrder = Math.max(this.lastOrder, w.order)
    this.placed(w)
  }

  /** The message is in the stored queue. Of one node called in the order of {@link place}. */
  placed (w: Waiting): void {
    const behind = this.loadedTo < this.durableTo
    this.durableTo = Math.max(this.durableTo, w.order)
    this.lastOrder = Math.max(this.lastOrder, w.order) // the store may have moved it
    if (this.link === null) return
    if (w.order <= this.loadedTo) {
      // a load may have brought it, and it may be acknowledged since: only the store knows
      if (this.world.ends === null) return
      this.straggler = this.straggler === 0 ? w.order : Math.min(this.straggler, w.order)
    } else if (!behind && !this.loading && this.waiting.length < PAGE) {
      this.loadedTo = w.order
      this.wait(this.waiting.length === 0 && this.hasRoom ? w : { ...w, message: kept(w.message) })
    } // else it is read back when there is room
    this.pump()
  }

  /** Another node's message, of which only the place is known here. */
  missed (order: number): void {
    this.stored++
    this.lastOrder = Math.max(this.lastOrder, order)
    this.durableTo = Math.max(this.durableTo, order)
    if (this.link === null) return
    if (order <= this.loadedTo) this.straggler = this.straggler === 0 ? order : Math.min(this.straggler, order)
    this.pump()
  }

  /** Whether what is stored and was not heard of is more than what is here; reads it then. */
  compare ({ count, last }: QueueEnds): void {
    if (this.link === null || this.loading || (last <= this.loadedTo && count <= this.flights.size + this.waiting.length)) return
    this.stored = Math.max(this.stored, count)
    this.durableTo = Math.max(this.durableTo, last)
    this.straggler = 1
    this.pump()
  }

  /** Retained messages for a new subscription. */
  askRetained (topics: readonly string[], s: TopicSubscription): void {
    for (const topic of topics) this.asked.push({ topic, qos: s.qos, id: s.id })
    this.pump()
  }

  /** A message that is now the retained one of its topic: an older one that is being read must not follow it. */
  outdates (topic: string): void { if (this.fetching) this.newer.add(topic) }

  // ---- what the client answers

  /** PUBACK, PUBCOMP, or a PUBREC that refuses. False: no such packet id is in flight. */
  acknowledge (packetId: number): boolean {
    const order = this.flights.get(packetId)
    if (order === undefined) return false
    this.flights.delete(packetId)
    this.over(order)
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

  private over (order: number): void {
    if (!this.persistent) return
    this.stored--
    if (this.loading) this.done.add(order)
    this.world.change([{ kind: 'dequeue', session: this.id, order }])
  }

  // ---- what goes out

  private get hasRoom (): boolean {
    const { link, flights } = this
    return link !== null && flights.size < MAX_IN_FLIGHT && link.quota > flights.size && link.unsentBytes <= MAX_UNSENT_BYTES
  }

  /** Gives what waits while the client takes it. */
  pump (): void {
    if (this.straggler !== 0) this.load()
    for (;;) {
      if (!this.hasRoom) return
      const next = this.waiting[0]
      if (next === undefined) {
        this.load()
        if (!this.giveRetained()) return
        continue
      }
      if (!this.send(next)) return
      this.waiting.shift()
      this.waitingBytes -= bytesOf(next.message)
    }
  }

  /** Reads the next page of the stored queue; one at a time. */
  private load (): void {
    const { link, world, straggler, durableTo } = this
    if (!this.persistent || this.loading || link === null || this.waiting.length >= PAGE || (this.loadedTo >= durableTo && straggler === 0)) return
    const after = straggler === 0 ? this.loadedTo : Math.min(straggler - 1, this.loadedTo)
    this.loading = true
    this.straggler = 0
    this.done.clear()
    world.store.queue(this.id, after, PAGE).then(read => {
      this.loading = false
      if (this.link === link) this.take(read, durableTo)
      this.pump()
    }, (err: unknown) => {
      this.loading = false
      world.failed(err)
    })
  }

  private take (read: readonly QueuedMessage[], durableTo: number): void {
    const last = read.at(-1)?.order ?? 0
    for (const q of read) {
      if (q.order <= this.loadedTo && (this.done.has(q.order) || this.flights.get(this.world.orders.packetId(q.order)) === q.order || this.waiting.some(w => w.order === q.order))) continue
      this.wait(q)
    }
    this.waiting.sort((a, b) => a.order - b.order)
    if (read.length === PAGE && last < this.loadedTo) this.straggler = this.straggler === 0 ? last + 1 : Math.min(this.straggler, last + 1)
    this.loadedTo = Math.max(this.loadedTo, last, read.length < PAGE ? durableTo : 0)
    this.durableTo = Math.max(this.durableTo, this.loadedTo)
    this.lastOrder = Math.max(this.lastOrder, this.durableTo)
  }

  /** False: its packet id is still in flight, it has to wait. */
  private send (w: Waiting): boolean {
    const link = this.link!
    const packetId = this.world.orders.packetId(w.order)
    if (this.flights.has(packetId)) return false
    if (w.released) {
      this.flights.set(packetId, w.order)
      link.release(packetId)
      return true
    }
    const dup = w.order <= this.givenTo && this.persistent
    if (!this.judge(w.message) || !this.transmit(link, w.message, w.qos, packetId, dup, w.retain, w.ids)) this.over(w.order)
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

  /** False: none is there yet, or as many as may be are on their way. */
  private giveRetained (): boolean {
    const next = this.fetched[0]
    if (next === undefined) this.fetchRetained()
    if (next === undefined || (this.persistent && (this.placing >= PAGE || this.full))) return false
    const { message } = next
    const qos = Math.min(message.qos, next.qos) as 0 | 1 | 2
    const order = qos > 0 && this.persistent ? this.place() : 0
    this.fetched.shift()
    const ids = next.id === 0 ? [] : [next.id]
    if (qos === 0) this.giveOnce(message, true, ids)
    else if (!this.persistent) this.give(message, qos, true, ids)
    else this.placeRetained({ order, message, qos, retain: true, ids, released: false })
    return true
  }

  private fetchRetained (): void {
    const { link, world } = this
    if (this.fetching || this.asked.length === 0) return
    const asked = this.asked.splice(0, RETAINED_PAGE)
    this.fetching = true
    this.newer.clear()
    world.retained(asked.map(a => a.topic)).then(messages => {
      this.fetching = false
      if (this.link === link) {
        asked.forEach((a, i) => {
          const message = messages[i]
          if (message !== undefined && !this.newer.has(a.topic)) this.fetched.push({ ...a, message })
        })
      }
      this.pump()
    }, (err: unknown) => {
      this.fetching = false
      world.failed(err)
    })
  }

  private placeRetained (w: Waiting): void {
    this.placing++
    const to = { session: this.id, order: w.order, qos: w.qos, retain: w.retain, ids: w.ids }
    this.world.store.commit([{ kind: 'enqueue', message: w.message, to: [to] }]).then(() => {
      this.placing--
      this.placed({ ...w, order: to.order })
    }, () => {}) // the store is closed, and so will be the connection
  }
}

const bytesOf = (m: TopicMessage): number => m.payload.length + m.topic.length
const kept = (m: TopicMessage): TopicMessage => ({ ...m, payload: Buffer.from(m.payload), properties: Buffer.from(m.properties) })
