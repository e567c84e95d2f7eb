import type { TopicAcl } from '../../domain/acl.js'
import { shareOf } from '../../domain/filters.js'
import type { SessionId } from '../../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../../domain/topic-message.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { TopicChange, TopicStore } from '../../ports/topics.js'
import { FilterTrie } from './filter-trie.js'
import type { TopicLink } from './link.js'
import { counted } from './orders.js'
import { Retained } from './retained.js'
import { ShareGroup } from './shares.js'
import { type Held, Subscriber, type SubscriberWorld, type TopicCounts } from './subscriber.js'
import type { SysTopics } from './sys-topics.js'

export interface TopicsDeps {
  store: TopicStore
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

  constructor (private readonly deps: TopicsDeps) {
    const { store, clock, logger, limits, count, sys } = deps
    this.retained = new Retained(store, clock, counted, limits.retainedMessages)
    this.world = {
      store, clock, count, queuedMessages: limits.queuedMessages, orders: counted, ends: null,
      retained: async topics => {
        const stored = await this.retained.get(topics)
        return topics.map((t, i) => sys.get(t) ?? stored[i])
      },
      failed: err => { logger.warn({ err }, 'ordinary topics: the store could not be read') },
      change: changes => { store.commit(changes).catch((err: unknown) => { logger.warn({ err }, 'ordinary topics: a change was not stored') }) }
    }
  }

  /** Takes up what an earlier process left. */
  async load (): Promise<void> {
    await this.retained.load()
    for (const s of await this.deps.store.sessions()) {
      const subscriber = this.subscriber(s.id, true)
      subscriber.stands(s.queue, s.queue.last)
      // what was connected when the process ended has been away since now
      subscriber.endsMs = s.endsMs !== 0 ? s.endsMs : this.deps.clock.now() + s.expirySeconds * 1000
      for (const subscription of s.subscriptions) this.hold(subscriber, subscription)
    }
    this.sweepLater()
  }

  get counts (): { sessions: number, subscriptions: number, retained: number } {
    return { sessions: this.subscribers.size, subscriptions: this.subscriptions, retained: this.retained.count }
  }

  // ---- sessions

  /** A connection takes up the session's part in ordinary topics; null: it has none yet. */
  attach (id: SessionId, link: TopicLink, acl: TopicAcl, expirySeconds: number): Subscriber | null {
    const subscriber = this.subscribers.get(id)
    if (subscriber === undefined) return null
    this.world.change([{ kind: 'session', session: id, endsMs: 0, expirySeconds }])
    subscriber.attach(link, acl)
    return subscriber
  }

  /** For a connection's first subscription to an ordinary topic. */
  begin (id: SessionId, link: TopicLink, acl: TopicAcl, persistent: boolean): Subscriber {
    const subscriber = this.subscriber(id, persistent)
    subscriber.attach(link, acl)
    return subscriber
  }

  /** The connection ended; the session lives on for so many seconds. */
  async detach (subscriber: Subscriber, expirySeconds: number): Promise<void> {
    subscriber.detach()
    if (!subscriber.persistent || expirySeconds === 0) { await this.forget(subscriber.id); return }
    subscriber.endsMs = this.deps.clock.now() + expirySeconds * 1000
    await this.deps.store.commit([{ kind: 'session', session: subscriber.id, endsMs: subscriber.endsMs, expirySeconds }])
  }

  /** The session is over: nothing of it stays [MQTT-3.1.2-6]. Durable when it resolves. */
  async forget (id: SessionId): Promise<void> {
    const subscriber = this.subscribers.get(id)
    if (subscriber !== undefined) {
      for (const filter of [...subscriber.subscriptions.keys()]) this.release(subscriber, filter)
      this.subscribers.delete(id)
    }
    if (subscriber?.persistent !== true && (await this.deps.store.receivedIds(id)).length === 0) return
    await this.deps.store.commit([{ kind: 'forget', session: id }])
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
    if (retain === 2 || (retain === 1 && !isNew) || shareOf(filter) !== null) return
    const topics = filter.startsWith('$') ? this.deps.sys.matching(filter) : this.retained.matching(filter)
    if (topics.length > 0) subscriber.askRetained(topics, subscription)
  }

  unsubscribe (subscriber: Subscriber, filter: string): void { this.release(subscriber, filter) }

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
    for (const t of targets) {
      const how = t.subscriber.id === m.from ? t.own : t.all
      if (how !== null) this.hand(t.subscriber, m, how, queues)
    }
    for (const group of shares) {
      const held = group.pick(m.qos)
      if (held !== undefined) this.hand(held.subscriber, m, merged([held.subscription]), queues)
    }
    if (queues.length > 0) changes.push({ kind: 'enqueue', message: m, to: queues })
    if (changes.length === 0) return undefined
    return this.deps.store.commit(changes).then(() => {
      if (kept !== null) this.retained.stored(m.topic, kept.version)
      for (const { subscriber, ...q } of queues) subscriber.placed({ ...q, message: m, released: false })
    })
  }

  private hand (subscriber: Subscriber, m: TopicMessage, how: Merged, queues: Placed[]): void {
    const qos = Math.min(m.qos, how.qos) as 0 | 1 | 2
    const retain = m.retain && how.keepRetain
    if (qos === 0) { subscriber.giveOnce(m, retain, how.ids); return }
    if (!subscriber.persistent) { subscriber.give(m, qos, retain, how.ids); return }
    if (subscriber.endsMs !== 0 && subscriber.endsMs <= this.deps.clock.now()) return
    const order = subscriber.place()
    if (order !== 0) queues.push({ subscriber, session: subscriber.id, order, qos, retain, ids: how.ids })
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
      const now = this.deps.clock.now()
      for (const s of [...this.subscribers.values()]) {
        if (s.endsMs !== 0 && s.endsMs <= now) this.forget(s.id).catch((err: unknown) => { this.deps.logger.warn({ err, session: s.id }, 'a session that is over could not be forgotten') })
      }
      const changes = this.retained.sweep()
      if (changes.length > 0) this.world.change(changes)
      this.sweepLater()
    })
  }

  close (): void { this.sweeping?.cancel() }
}

function merged (held: readonly TopicSubscription[]): Merged {
  const ids = held.filter(s => s.id !== 0).map(s => s.id)
  return { qos: Math.max(...held.map(s => s.qos)) as 0 | 1 | 2, keepRetain: held.some(s => s.keepRetain), ids: ids.length === 0 ? NO_IDS : ids }
}
