import { shareOf } from '../../domain/filters.js'
import type { SessionId } from '../../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../../domain/topic-message.js'
import { type Bus, nodeChannel, type NodeId, TOPICS, type TopicGift, type TopicNews, type TopicPlace, type TopicSessionNews } from '../../ports/bus.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { QueueEnds, SharedTopicStore, StoredSession, StoredWill } from '../../ports/topics.js'
import type { OtherNodes } from './others.js'
import type { Subscriber } from './subscriber.js'
import type { Topics } from './topics.js'

/** Nodes that are gone are looked for so often. */
const CHECK_MS = 10_000
/** Every so many checks the queues of what is connected here are compared with the store, though no news is known to be lost. */
const COMPARE_EVERY = 6
/** Sessions of one question. */
const AT_ONCE = 500
const NO_QUEUE: QueueEnds = { count: 0, last: 0 }

/**
 * Ordinary topics over nodes: tells the others what this one published and who is subscribed here, and takes what they
 * tell. What the news loses is read from the store again (docs/adr/007-ordinary-topics-on-nodes.md).
 */
export class TopicPeers implements OtherNodes {
  up = false
  private timer: Timer | null = null
  private checks = 0
  private reading: Promise<void> | null = null
  private readAgain = false
  /** Sessions of which news came while the store was being read: it is newer. */
  private readonly touched = new Set<SessionId>()

  constructor (private readonly deps: {
    topics: Topics, store: SharedTopicStore, bus: Bus, clock: Clock, logger: Logger
    /** Wills of nodes that are gone, which are this one's now. */
    adopted (wills: readonly StoredWill[]): void
  }) {}

  get node (): NodeId { return this.deps.bus.node }

  async start (): Promise<void> {
    const { bus, store, clock } = this.deps
    await bus.listen(TOPICS)
    this.up = bus.health().ok // it may have been there before anybody listened; else `back` comes
    await store.orphans(clock.now())
    await this.read()
    this.ask()
    this.later()
  }

  // ---- what this node tells

  message (message: TopicMessage, version: number, give: TopicGift[], handled: SessionId[]): void {
    this.deps.bus.publish(TOPICS, { kind: 'topic', message, version, give, handled })
  }

  queued (message: TopicMessage | null, places: TopicPlace[], kept: { topic: string, version: number } | null): void {
    this.deps.bus.publish(TOPICS, { kind: 'topic-queued', message, places, kept })
  }

  session (session: SessionId, change: TopicSessionNews['change']): void {
    this.deps.bus.publish(TOPICS, { kind: 'topic-session', node: this.node, session, change })
  }

  /** Of sessions that end with their connection only shared subscriptions matter elsewhere. */
  subscribed (s: Subscriber, subscription: TopicSubscription): void {
    if (s.persistent || shareOf(subscription.filter) !== null) this.session(s.id, { to: 'subscribed', persistent: s.persistent, expirySeconds: s.expirySeconds, subscriptions: [subscription] })
  }

  unsubscribed (s: Subscriber, filter: string): void {
    if (s.persistent || shareOf(filter) !== null) this.session(s.id, { to: 'unsubscribed', filters: [filter] })
  }

  /** Tells the others what only its connections know. */
  private ask (): void { this.deps.bus.publish(TOPICS, { kind: 'topic-members', node: this.node }) }

  private answer (to: NodeId): void {
    for (const s of this.deps.topics.all()) {
      if (s.link === null) continue
      const subscriptions = [...s.subscriptions.values()].map(h => h.subscription).filter(x => s.persistent || shareOf(x.filter) !== null)
      if (subscriptions.length > 0) this.deps.bus.publish(nodeChannel(to), { kind: 'topic-session', node: this.node, session: s.id, change: { to: 'subscribed', persistent: s.persistent, expirySeconds: s.expirySeconds, subscriptions } })
    }
  }

  // ---- what others tell

  heard (news: TopicNews): void {
    const { topics } = this.deps
    switch (news.kind) {
      case 'topic': topics.heard(news.message, news.version, news.give, new Set(news.handled)); return
      case 'topic-queued': topics.heardQueued(news.message, news.places, news.kept); return
      case 'topic-members': this.answer(news.node); return
      case 'topic-session':
        this.touched.add(news.session)
        topics.heardSession(news.session, news.node, news.change)
    }
  }

  lost (): void { this.up = false }

  /** News of the others, and of this node, may have been lost. */
  back (): void {
    this.up = true
    this.again()
    this.ask()
    for (const s of this.deps.topics.all()) if (s.link !== null) this.tell(s)
  }

  /** News of another node was lost. */
  again (): void {
    this.read().catch((err: unknown) => { this.deps.logger.warn({ err }, 'ordinary topics: the store could not be read; it is tried again') })
  }

  private tell (s: Subscriber): void {
    for (const { subscription } of s.subscriptions.values()) this.subscribed(s, subscription)
  }

  // ---- the store

  /** Reads all sessions and what is retained; one at a time, and once more when it is asked for meanwhile. */
  private async read (): Promise<void> {
    if (this.reading !== null) { this.readAgain = true; await this.reading; return }
    this.reading = (async () => {
      do {
        this.readAgain = false
        this.touched.clear()
        await this.deps.topics.retained.load()
        this.deps.topics.synchronize(await this.deps.store.sessions(), id => this.touched.has(id))
      } while (this.readAgain)
    })()
    try { await this.reading } finally { this.reading = null }
  }

  async stored (session: SessionId): Promise<StoredSession | undefined> { return await this.deps.store.session(session) }

  private later (): void {
    this.timer = this.deps.clock.after(CHECK_MS, () => {
      this.check().catch((err: unknown) => { this.deps.logger.warn({ err }, 'ordinary topics: the store could not be read; it is tried again') })
        .finally(() => { if (this.timer !== null) this.later() })
    })
  }

  private async check (): Promise<void> {
    const { topics, store, clock, adopted } = this.deps
    adopted(await store.orphans(clock.now()))
    topics.gone(await store.nodes())
    if (!this.up) await this.read()
    else if (++this.checks % COMPARE_EVERY === 0) await this.compare()
  }

  private async compare (): Promise<void> {
    const here = this.deps.topics.all().filter(s => s.persistent && s.link !== null)
    for (let i = 0; i < here.length; i += AT_ONCE) {
      const some = here.slice(i, i + AT_ONCE)
      const ends = await this.deps.store.queueEnds(some.map(s => s.id))
      for (const s of some) s.compare(ends.get(s.id) ?? NO_QUEUE)
    }
  }

  close (): void {
    this.timer?.cancel()
    this.timer = null
  }
}
