import type { TopicAcl } from '../../domain/acl.js'
import { shareOf } from '../../domain/filters.js'
import type { SessionId } from '../../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../../domain/topic-message.js'
import type { NodeId, TopicGift, TopicPlace, TopicSessionNews } from '../../ports/bus.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { SharedTopicStore, StoredSession, TopicChange, TopicStore } from '../../ports/topics.js'
import { FilterTrie } from './filter-trie.js'
import type { TopicLink } from './link.js'
import type { Orders } from './orders.js'
import type { OtherNodes } from './others.js'
import { Retained } from './retained.js'
import { ShareGroup } from './shares.js'
import { type Held, Subscriber, type SubscriberWorld, type TopicCounts } from './subscriber.js'
import type { SysTopics } from './sys-topics.js'

export interface TopicsDeps {
  store: TopicStore
  /** The same store, if other nodes use it too. */
  shared: SharedTopicStore | null
  orders: Orders
  clock: Clock
  logger: Logger
  limits: { readonly queuedMessages: number, readonly retainedMessages: number }
  count: TopicCounts
  sys: SysTopics
}

/** What all of a session's subscriptions that match a topic come to. */
interface Merged { qos: 0 | 1 | 2, keepRetain: boolean, ids: readonly number[] }
/** Who gets a topic's messages. `own`: those that the session itself published; null: it does not get them [MQTT-3.8.3-3]. */
interface Matched { targets: { subscriber: Subscriber, all: Merged, own: Merged | null }[], shares: ShareGroup[] }
/** A place in a stored queue. */
interface Placed { subscriber: Subscriber, session: SessionId, order: number, qos: 1 | 2, retain: boolean, ids: readonly number[] }

/** Topics whose receivers are remembered until a subscription changes: publishers repeat themselves. */
const MAX_MATCHED = 10_000
const SWEEP_MS = 60_000
/** Of several nodes a session is forgotten so much later: it may be on its way to one of them. */
const LATE_MS = 60_000
const NO_IDS: readonly number[] = []

/** Ordinary topics: who is subscribed to what, and what becomes of a message. */
export class Topics {
  readonly retained: Retained
  private readonly trie = new FilterTrie<Held | ShareGroup>()
  private readonly shares = new Map<string, ShareGroup>()
  private readonly subscribers = new Map<SessionId, Subscriber>()
  /** Of all sessions. */
  private subscriptions = 0
  private readonly world: SubscriberWorld
  private matched = new Map<string, Matched>()
  private matchedVersion = 0
  private sweeping: Timer | null = null
  private peers: OtherNodes | null = null

  constructor (private readonly deps: TopicsDeps) {
    const { store, shared, orders, clock, logger, limits, count, sys } = deps
    this.retained = new Retained(store, clock, orders, limits.retainedMessages)
    this.world = {
      store, clock, count, queuedMessages: limits.queuedMessages, orders,
      ends: shared === null ? null : async id => (await shared.queueEnds([id])).get(id) ?? { count: 0, last: 0 },
      retained: async topics => {
        const stored = await this.retained.get(topics)
        return topics.map((t, i) => sys.get(t) ?? stored[i])
      },
      failed: err => { logger.warn({ err }, 'ordinary topics: the store could not be read') },
      change: changes => { store.commit(changes).catch((err: unknown) => { logger.warn({ err }, 'ordinary topics: a change was not stored') }) }
    }
  }

  /** Takes up what an earlier process left, or with `peers` what all nodes have. */
  async load (peers: OtherNodes | null): Promise<void> {
    this.peers = peers
    if (peers !== null) await peers.start()
    else {
      await this.retained.load()
      for (const s of await this.deps.store.sessions()) {
        const subscriber = this.subscriber(s.id, true)
        subscriber.stands(s.queue, s.queue.last)
        // what was connected when the process ended has been away since now
        subscriber.endsMs = s.endsMs !== 0 ? s.endsMs : this.deps.clock.now() + s.expirySeconds * 1000
        for (const subscription of s.subscriptions) this.hold(subscriber, subscription)
      }
    }
    this.sweepLater()
  }

  all (): Subscriber[] { return [...this.subscribers.values()] }

  get counts (): { sessions: number, subscriptions: number, retained: number } {
    return { sessions: this.subscribers.size, subscriptions: this.subscriptions, retained: this.retained.count }
  }

  // ---- sessions

  /** A connection takes up the session's part in ordinary topics; null: it has none yet. */
  attach (id: SessionId, link: TopicLink, acl: TopicAcl, expirySeconds: number): Subscriber | null {
    const subscriber = this.subscribers.get(id)
    if (subscriber === undefined) return null
    this.world.change([{ kind: 'session', session: id, endsMs: 0, expirySeconds }])
    subscriber.expirySeconds = expirySeconds
    subscriber.attach(link, acl)
    this.peers?.session(id, { to: 'attached' })
    return subscriber
  }

  /** For a connection's first subscription to an ordinary topic. */
  begin (id: SessionId, link: TopicLink, acl: TopicAcl, expirySeconds: number): Subscriber {
    const subscriber = this.subscriber(id, expirySeconds > 0)
    subscriber.expirySeconds = expirySeconds
    subscriber.attach(link, acl)
    return subscriber
  }

  /** The connection ended; the session lives on for so many seconds. */
  async detach (subscriber: Subscriber, expirySeconds: number): Promise<void> {
    subscriber.detach()
    if (!subscriber.persistent || expirySeconds === 0) { await this.forget(subscriber.id); return }
    subscriber.endsMs = this.deps.clock.now() + expirySeconds * 1000
    await this.deps.store.commit([{ kind: 'session', session: subscriber.id, endsMs: subscriber.endsMs, expirySeconds, givenTo: subscriber.given }])
    this.peers?.session(subscriber.id, { to: 'detached', endsMs: subscriber.endsMs })
  }

  /** Before CONNACK: another node may have changed what is known here of a session that goes on. */
  async resume (id: SessionId): Promise<void> {
    if (this.peers === null) return
    const stored = await this.peers.stored(id)
    if (stored === undefined) this.drop(id)
    else this.adjust(stored)
  }

  /** The session is over: nothing of it stays [MQTT-3.1.2-6]. Durable when it resolves. */
  async forget (id: SessionId): Promise<void> {
    const { store, shared } = this.deps
    const subscriber = this.drop(id)
    if (subscriber !== undefined) this.peers?.session(id, { to: 'forgotten' })
    if (subscriber?.persistent !== true && (await store.receivedIds(id)).length === 0 && await shared?.session(id) === undefined) return
    await store.commit([{ kind: 'forget', session: id }])
  }

  private drop (id: SessionId): Subscriber | undefined {
    const subscriber = this.subscribers.get(id)
    if (subscriber === undefined) return undefined
    for (const filter of [...subscriber.subscriptions.keys()]) this.release(subscriber, filter)
    this.subscribers.delete(id)
    return subscriber
  }

  private subscriber (id: SessionId, persistent: boolean): Subscriber {
    let s = this.subscribers.get(id)
    if (s === undefined) this.subscribers.set(id, s = new Subscriber(id, persistent, this.world))
    return s
  }

  // ---- subscriptions

  filtersOf (id: SessionId): string[] { return [...this.subscribers.get(id)?.subscriptions.keys() ?? []] }

  /** What the store has to do before SUBACK. */
  async store (id: SessionId, subscriptions: readonly TopicSubscription[], expirySeconds: number): Promise<void> {
    const changes: TopicChange[] = subscriptions.map(subscription => ({ kind: 'subscribe', session: id, subscription }))
    if (changes.length > 0) await this.deps.store.commit([{ kind: 'session', session: id, endsMs: 0, expirySeconds }, ...changes])
  }

  async unstore (id: SessionId, filters: readonly string[]): Promise<void> {
    if (filters.length > 0) await this.deps.store.commit(filters.map(filter => ({ kind: 'unsubscribe', session: id, filter })))
  }

  /** Called when SUBACK is written. `retain`: Retain Handling [MQTT-3.3.1-9 to -11]; a shared subscription gets nothing retained. */
  subscribe (subscriber: Subscriber, subscription: TopicSubscription, retain: 0 | 1 | 2): void {
    const { filter } = subscription
    const isNew = !subscriber.subscriptions.has(filter)
    this.release(subscriber, filter)
    this.hold(subscriber, subscription)
    this.peers?.subscribed(subscriber, subscription)
    if (retain === 2 || (retain === 1 && !isNew) || shareOf(filter) !== null) return
    const topics = filter.startsWith('$') ? this.deps.sys.matching(filter) : this.retained.matching(filter)
    if (topics.length > 0) subscriber.askRetained(topics, subscription)
  }

  unsubscribe (subscriber: Subscriber, filter: string): void {
    this.release(subscriber, filter)
    this.peers?.unsubscribed(subscriber, filter)
  }

  private hold (subscriber: Subscriber, subscription: TopicSubscription): void {
    const held: Held = { subscriber, subscription }
    subscriber.subscriptions.set(subscription.filter, held)
    subscriber.filterBytes += subscription.filter.length
    this.subscriptions++
    subscriber.changed()
    const share = shareOf(subscription.filter)
    if (share === null || share === 'bad') { this.trie.add(subscription.filter, held); return }
    let group = this.shares.get(subscription.filter)
    if (group === undefined) {
      this.shares.set(subscription.filter, group = new ShareGroup(share.filter))
      this.trie.add(share.filter, group)
    }
    group.join(held)
  }

  private release (subscriber: Subscriber, filter: string): void {
    const held = subscriber.subscriptions.get(filter)
    if (held === undefined) return
    subscriber.subscriptions.delete(filter)
    subscriber.filterBytes -= filter.length
    this.subscriptions--
    subscriber.changed()
    const group = this.shares.get(filter)
    if (group === undefined) { this.trie.remove(filter, held); return }
    group.leave(held)
    if (!group.empty) return
    this.shares.delete(filter)
    this.trie.remove(group.filter, group)
  }

  // ---- messages

  /**
   * Gives the message to whoever is subscribed; waits for no receiver. `changes` stand in the same commit as what is kept
   * of it. Undefined: nothing had to be stored; else durable when it resolves, and the publisher is answered then.
   */
  publish (m: TopicMessage, changes: TopicChange[] = []): Promise<void> | undefined {
    const kept = m.retain ? this.retained.keep(m) : null
    if (kept !== null) changes.push(kept)
    const { targets, shares } = this.matching(m.topic)
    const queues: Placed[] = []
    const gifts: TopicGift[] = []
    const handled: SessionId[] = []
    for (const t of targets) {
      const how = t.subscriber.id === m.from ? t.own : t.all
      if (how === null) continue
      if (t.subscriber.persistent && m.qos > 0 && how.qos > 0) handled.push(t.subscriber.id)
      this.hand(t.subscriber, m, how, queues)
    }
    for (const group of shares) {
      const held = group.pick(m.qos, this.peers?.up === true)
      if (held === undefined) continue
      const { subscriber } = held
      const how = merged([held.subscription])
      const qos = Math.min(m.qos, how.qos) as 0 | 1 | 2
      if (subscriber.elsewhere !== null && (qos === 0 || !subscriber.persistent)) gifts.push({ session: subscriber.id, qos, retain: m.retain && how.keepRetain, ids: how.ids })
      else this.hand(subscriber, m, how, queues)
    }
    // at once, as to who is connected here: what must be stored is told of when it is
    if (m.from !== '' || !m.topic.startsWith('$SYS/')) this.peers?.message(m, kept?.version ?? 0, gifts, handled)
    if (queues.length > 0) changes.push({ kind: 'enqueue', message: m, to: queues })
    if (changes.length === 0) return undefined
    return this.deps.store.commit(changes).then(() => {
      if (kept !== null) this.retained.stored(m.topic, kept.version)
      this.placed(m, queues, kept === null ? null : { topic: m.topic, version: kept.version })
    })
  }

  private placed (m: TopicMessage, queues: readonly Placed[], kept: { topic: string, version: number } | null): void {
    for (const { subscriber, ...q } of queues) subscriber.placed({ ...q, message: m, released: false })
    if (this.peers === null || (queues.length === 0 && kept === null)) return
    this.peers.queued(queues.some(q => q.subscriber.elsewhere !== null) ? m : null, queues.map(({ subscriber: _, ...place }) => place), kept)
  }

  private hand (subscriber: Subscriber, m: TopicMessage, how: Merged, queues: Placed[]): void {
    const qos = Math.min(m.qos, how.qos) as 0 | 1 | 2
    const retain = m.retain && how.keepRetain
    if (m.retain) subscriber.outdates(m.topic)
    if (qos === 0) { subscriber.giveOnce(m, retain, how.ids); return }
    if (!subscriber.persistent) { subscriber.give(m, qos, retain, how.ids); return }
    if (subscriber.endsMs !== 0 && subscriber.endsMs <= this.deps.clock.now()) return
    const order = subscriber.place()
    if (order !== 0) queues.push({ subscriber, session: subscriber.id, order, qos, retain, ids: how.ids })
  }

  // ---- news of other nodes

  /** Another node published it. */
  heard (m: TopicMessage, version: number, give: readonly TopicGift[], handled: ReadonlySet<SessionId>): void {
    if (version !== 0) this.retained.heard(m, version)
    const queues: Placed[] = []
    for (const t of this.matching(m.topic).targets) {
      const how = t.subscriber.id === m.from ? t.own : t.all
      if (how === null || t.subscriber.link === null) continue
      if (handled.has(t.subscriber.id)) { if (m.retain) t.subscriber.outdates(m.topic) }
      // that node did not yet know of a subscription here
      else this.hand(t.subscriber, m, how, queues)
    }
    for (const g of give) {
      const subscriber = this.subscribers.get(g.session)
      if (subscriber === undefined || subscriber.link === null) continue
      if (g.qos === 0) subscriber.giveOnce(m, g.retain, g.ids)
      else if (!subscriber.persistent) subscriber.give(m, g.qos, g.retain, g.ids)
    }
    if (queues.length === 0) return
    this.deps.store.commit([{ kind: 'enqueue', message: m, to: queues }]).then(() => { this.placed(m, queues, null) }, this.world.failed)
  }

  heardQueued (m: TopicMessage | null, places: readonly TopicPlace[], kept: { topic: string, version: number } | null): void {
    if (kept !== null) this.retained.stored(kept.topic, kept.version)
    for (const p of places) {
      const subscriber = this.subscribers.get(p.session)
      if (m === null) subscriber?.missed(p.order)
      else subscriber?.placedElsewhere({ ...p, message: m, released: false })
    }
  }

  heardSession (id: SessionId, node: NodeId, change: TopicSessionNews['change']): void {
    const known = this.subscribers.get(id)
    if (known !== undefined && known.link !== null) return // it has a connection here, and what is said of it was before
    if (change.to === 'subscribed') {
      const subscriber = this.subscriber(id, change.persistent)
      subscriber.expirySeconds = change.expirySeconds
      subscriber.moved(node, 0)
      for (const subscription of change.subscriptions) {
        this.release(subscriber, subscription.filter)
        this.hold(subscriber, subscription)
      }
    }
    if (known === undefined) return
    if (change.to === 'unsubscribed') for (const f of change.filters) this.release(known, f)
    if (change.to === 'attached') known.moved(node, 0)
    if (change.to === 'detached' && (known.elsewhere === node || known.elsewhere === null)) known.moved(null, change.endsMs)
    if (change.to === 'forgotten') this.drop(id)
  }

  /** All sessions as they are stored; but for those of which `newer` news came. */
  synchronize (stored: readonly StoredSession[], newer: (id: SessionId) => boolean): void {
    const there = new Set<SessionId>()
    for (const s of stored) {
      there.add(s.id)
      if (!newer(s.id)) this.adjust(s)
    }
    for (const s of this.all()) if (s.persistent && s.link === null && !there.has(s.id) && !newer(s.id)) this.drop(s.id)
  }

  private adjust (s: StoredSession): void {
    const subscriber = this.subscriber(s.id, true)
    if (subscriber.link !== null) {
      // this node was taken for dead, or the session's end on another one came late
      if (s.node !== this.peers?.node) this.world.change([{ kind: 'session', session: s.id, endsMs: 0, expirySeconds: subscriber.expirySeconds }])
      subscriber.compare(s.queue)
      return
    }
    subscriber.expirySeconds = s.expirySeconds
    subscriber.moved(s.node === this.peers?.node ? null : s.node, s.endsMs)
    subscriber.stands(s.queue, s.givenTo ?? (s.node === null ? 0 : s.queue.last))
    const wanted = new Map(s.subscriptions.map(x => [x.filter, x]))
    for (const [filter, { subscription: x }] of [...subscriber.subscriptions]) {
      const y = wanted.get(filter)
      if (y === undefined || x.qos !== y.qos || x.id !== y.id || x.noLocal !== y.noLocal || x.keepRetain !== y.keepRetain) this.release(subscriber, filter)
      else wanted.delete(filter)
    }
    for (const subscription of wanted.values()) this.hold(subscriber, subscription)
  }

  /** Only these nodes live. */
  gone (alive: ReadonlySet<NodeId>): void {
    for (const s of this.all()) {
      if (s.elsewhere === null || alive.has(s.elsewhere)) continue
      if (s.persistent) s.moved(null, this.deps.clock.now() + s.expirySeconds * 1000)
      else this.drop(s.id)
    }
  }

  /** One copy for each session, at the highest QoS and with the identifiers of all that match [MQTT-3.3.4-2 to -5]. */
  private matching (topic: string): Matched {
    if (this.matchedVersion !== this.trie.version || this.matched.size >= MAX_MATCHED) {
      this.matchedVersion = this.trie.version
      this.matched = new Map()
    }
    let known = this.matched.get(topic)
    if (known !== undefined) return known
    const bySubscriber = new Map<Subscriber, TopicSubscription[]>()
    const shares: ShareGroup[] = []
    this.trie.match(topic, hold => {
      if (hold instanceof ShareGroup) { shares.push(hold); return }
      const of = bySubscriber.get(hold.subscriber)
      if (of === undefined) bySubscriber.set(hold.subscriber, [hold.subscription])
      else of.push(hold.subscription)
    })
    const targets = [...bySubscriber].map(([subscriber, held]) => {
      const others = held.filter(s => !s.noLocal)
      const all = merged(held)
      return { subscriber, all, own: others.length === held.length ? all : others.length === 0 ? null : merged(others) }
    })
    this.matched.set(topic, known = { targets, shares })
    return known
  }

  // ---- time

  private sweepLater (): void {
    this.sweeping = this.deps.clock.after(SWEEP_MS, () => {
      for (const s of this.all()) this.sweep(s).catch((err: unknown) => { this.deps.logger.warn({ err, session: s.id }, 'a session that is over could not be forgotten') })
      const changes = this.retained.sweep()
      if (changes.length > 0) this.world.change(changes)
      this.sweepLater()
    })
  }

  private async sweep (s: Subscriber): Promise<void> {
    const { clock, shared } = this.deps
    const over = (endsMs: number): boolean => endsMs !== 0 && endsMs <= clock.now() - (shared === null ? 0 : LATE_MS)
    if (!over(s.endsMs)) return
    if (shared !== null) {
      const stored = await shared.session(s.id)
      if (s.link !== null) return
      if (stored !== undefined && !over(stored.endsMs)) { this.adjust(stored); return }
    }
    await this.forget(s.id)
  }

  close (): void {
    this.sweeping?.cancel()
    this.peers?.close()
  }
}

function merged (held: readonly TopicSubscription[]): Merged {
  const ids = held.filter(s => s.id !== 0).map(s => s.id)
  return { qos: Math.max(...held.map(s => s.qos)) as 0 | 1 | 2, keepRetain: held.some(s => s.keepRetain), ids: ids.length === 0 ? NO_IDS : ids }
}
