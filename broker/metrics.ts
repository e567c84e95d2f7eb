import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Of news between nodes. */
export interface NewsCounts { published: number, dropped: number, repaired: number }

/** What a node counts; names and meanings: docs/metrics.md. Hot counts are plain numbers, read when they are scraped. */
export class Metrics {
  readonly registry = new Registry()
  readonly hot = { delivered: 0, caughtUp: 0 }
  /** Of ordinary topics. */
  readonly topics = { published: 0, delivered: 0, dropped: { queue: 0, slow: 0, denied: 0, expired: 0, large: 0 }, wills: { published: 0, denied: 0 } }
  private readonly publishes: Counter<'kind'>
  private readonly refusals: Counter<'code'>
  private readonly hookFailures: Counter<'plugin' | 'hook' | 'kind'>
  private readonly append: Histogram
  private readonly connections: Gauge
  private readonly connectionsTotal: Counter
  private readonly turnedAwayTotal: Counter<'why'>
  private published = new Map<string, number>()

  constructor (live: { sessions (): number, inFlight (): number, topics (): { sessions: number, subscriptions: number, retained: number } }, news: NewsCounts) {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry, prefix: 'parley_' })
    const published = this.published
    const hot = this.hot
    this.publishes = new Counter({
      name: 'parley_publishes_total', help: 'Publishes taken on topics of Parley, by kind', labelNames: ['kind'], registers,
      collect () { for (const [kind, n] of published) this.inc({ kind }, n); published.clear() }
    })
    this.refusals = new Counter({ name: 'parley_refused_total', help: 'Publishes refused, by error code', labelNames: ['code'], registers })
    this.hookFailures = new Counter({ name: 'parley_plugin_failures_total', help: 'Failures of plugin hooks', labelNames: ['plugin', 'hook', 'kind'], registers })
    this.append = new Histogram({ name: 'parley_append_seconds', help: 'From a checked message to its durable commit', buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30], registers })
    this.connections = new Gauge({ name: 'parley_connections', help: 'Open sockets, signed in or not', registers })
    this.turnedAwayTotal = new Counter({ name: 'parley_turned_away_total', help: 'Sockets closed before they were connections, by cause', labelNames: ['why'], registers })
    this.connectionsTotal = new Counter({ name: 'parley_connections_total', help: 'Sockets accepted', registers })
    const counter = (name: string, help: string, read: () => number): void => {
      let last = 0
      new Counter({ name, help, registers, collect () { const now = read(); this.inc(now - last); last = now } })
    }
    const gauge = (name: string, help: string, read: () => number): void => { new Gauge({ name, help, registers, collect () { this.set(read()) } }) }
    counter('parley_deliveries_total', 'Entries sent to devices', () => hot.delivered)
    counter('parley_catch_up_deliveries_total', 'Entries of these that were read back from the log or its cache', () => hot.caughtUp)
    const { topics } = this
    counter('parley_topic_publishes_total', 'Publishes taken on ordinary topics', () => topics.published)
    counter('parley_topic_deliveries_total', 'Messages of ordinary topics sent to clients', () => topics.delivered)
    new Counter({
      name: 'parley_topic_dropped_total', help: 'Messages of ordinary topics that a subscriber did not get, by reason', labelNames: ['reason'], registers,
      collect () { this.reset(); for (const [reason, n] of Object.entries(topics.dropped)) this.inc({ reason }, n) }
    })
    new Counter({
      name: 'parley_wills_total', help: 'Wills that came due, by what became of them', labelNames: ['outcome'], registers,
      collect () { this.reset(); for (const [outcome, n] of Object.entries(topics.wills)) this.inc({ outcome }, n) }
    })
    counter('parley_news_published_total', 'Messages to other nodes', () => news.published)
    counter('parley_news_dropped_total', 'Messages to other nodes that the bus did not take', () => news.dropped)
    counter('parley_news_repaired_total', 'Entries of other nodes that the bus lost and the log gave', () => news.repaired)
    gauge('parley_topic_sessions', 'Sessions with subscriptions to ordinary topics, connected or not', () => live.topics().sessions)
    gauge('parley_topic_subscriptions', 'Subscriptions to ordinary topics', () => live.topics().subscriptions)
    gauge('parley_topic_retained', 'Topics with a retained message', () => live.topics().retained)
    gauge('parley_sessions', 'Signed-in connections', live.sessions)
    gauge('parley_in_flight', 'Packets sent at QoS 1 and not yet acknowledged', live.inFlight)
  }

  get droppedOnTopics (): number { return Object.values(this.topics.dropped).reduce((sum, n) => sum + n, 0) }

  opened (): void { this.connections.inc(); this.connectionsTotal.inc() }
  closed (): void { this.connections.dec() }
  turnedAway (why: string): void { this.turnedAwayTotal.inc({ why }) }
  publish (kind: string): void { this.published.set(kind, (this.published.get(kind) ?? 0) + 1) }
  refused (code: string): void { this.refusals.inc({ code }) }
  hookFailed (plugin: string, hook: string, kind: string): void { this.hookFailures.inc({ plugin, hook, kind }) }
  appended (ms: number): void { this.append.observe(ms / 1000) }
}
