import type { Effects } from '../domain/group.js'
import { type ConvKey, isGroupKey, type SessionId, type UserId, usersOf } from '../domain/ids.js'
import { type Bus, type Channel, groupChannel, type Listener, type News, userChannel, userOfChannel } from '../ports/bus.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { Committed, SharedLog } from '../ports/log.js'
import type { Logger } from '../ports/logger.js'
import type { Event } from '../plugin.js'
import type { Access } from './access.js'
import type { Arrivals } from './arrivals.js'
import type { FanOut } from './fan-out.js'
import type { Receipts } from './receipts.js'
import type { Signals } from './signals.js'
import type { Takeovers } from './takeovers.js'
import type { TopicPeers } from './topics/peers.js'

/** While news is lost the log is looked at so often. */
const TAIL_MS = 1000
/** Sessions claimed again at the same time. */
const AT_ONCE = 500

/** One of several nodes: tells the others what it committed, and takes what they tell. */
export class Cluster implements Listener {
  private timer: Timer | null = null
  /** Up to here nothing was missed. */
  private wholeMs: number
  private away = false

  constructor (private readonly deps: {
    bus: Bus, log: Pick<SharedLog, 'heads'>, arrivals: Arrivals, fanOut: FanOut, access: Access, receipts: Receipts, signals: Signals, takeovers: Takeovers, topics: TopicPeers, clock: Clock, logger: Logger
    /** What is connected here, and since when. */
    connections (): Iterable<{ session: SessionId, sinceMs: number }>
    /** The log is looked at so often even when the bus works: so late is a message at most when the bus lost it and did not say so. */
    checkMs: number
  }) {
    this.wholeMs = deps.clock.now()
    deps.bus.serve(this)
    this.later()
  }

  /** Committed here. */
  announce (c: Committed): void {
    const { bus, arrivals } = this.deps
    for (const channel of channelsOf(c.entry.conv, c.effects)) bus.publish(channel, { kind: 'entry', ...c })
    arrivals.entry(c)
  }

  /** This node now hears the group's news: what came since a session joined it may have been missed. */
  begins (group: ConvKey): void {
    const { log, arrivals, logger } = this.deps
    log.heads([group]).then(([head]) => { arrivals.look(group, head!.seq) }, (err: unknown) => { logger.warn({ err, group }, 'the log cannot be looked at; the next check does') })
  }

  /** On `me/evt` of the user's sessions, wherever they are. */
  tell (user: UserId, event: Event): void {
    this.deps.bus.publish(userChannel(user), { kind: 'event', event })
    this.deps.fanOut.tell(user, event)
  }

  heard (channel: Channel, news: News): void {
    const user = userOfChannel(channel)
    switch (news.kind) {
      case 'entry': this.deps.arrivals.entry(news); return
      case 'receipt': if (user !== null) this.deps.receipts.deliver(user, { conv: news.conv, user: news.user, delivered: news.delivered, read: news.read }, null); return
      case 'signal': this.deps.signals.deliver(news.conv, news.from, news.members, null); return
      case 'event': if (user !== null) this.deps.fanOut.tell(user, news.event as Event); return
      case 'lost':
        this.look(news.sinceMs)
        this.deps.topics.again()
        return
      case 'topic':
      case 'topic-queued':
      case 'topic-session':
      case 'topic-members': this.deps.topics.heard(news); return
      case 'takeover': void this.deps.takeovers.asked(news.session, news.by); return
      case 'left': this.deps.takeovers.left(news.session, news.from); return
      case 'ping':
    }
  }

  lost (): void {
    this.away = true
    this.deps.topics.lost()
    this.soon()
  }

  back (): void {
    this.away = false
    this.deps.topics.back()
    this.soon()
    void this.claimAll()
  }

  /** The others may not know any more what is connected here, or have taken it over. Never rejects. */
  async claimAll (): Promise<void> {
    const all = [...this.deps.connections()]
    for (let i = 0; i < all.length; i += AT_ONCE) await Promise.all(all.slice(i, i + AT_ONCE).map(async c => { await this.deps.takeovers.claimAgain(c.session, c.sinceMs) }))
  }

  private look (sinceMs: number): void {
    const now = this.deps.clock.now()
    this.deps.arrivals.lookBack(Math.min(sinceMs, this.wholeMs)).then(() => { if (!this.away) this.wholeMs = now }, (err: unknown) => {
      this.deps.logger.warn({ err }, 'the log cannot be looked at; it is tried again')
    })
  }

  private soon (): void {
    this.timer?.cancel()
    this.look(this.wholeMs)
    this.later()
  }

  private later (): void {
    this.timer = this.deps.clock.after(this.away ? TAIL_MS : this.deps.checkMs, () => {
      this.deps.access.clear() // of groups whose news nobody here hears
      this.soon()
    })
  }

  close (): void {
    this.timer?.cancel()
    this.deps.arrivals.close()
  }
}

/** Whose nodes have to hear of an entry: a group's, and those of whom it brings in. */
function channelsOf (conv: ConvKey, effects: Effects | undefined): Channel[] {
  if (!isGroupKey(conv)) return [...new Set(usersOf(conv))].map(userChannel)
  return [groupChannel(conv), ...(effects?.members ?? []).map(m => userChannel(m.user))]
}
