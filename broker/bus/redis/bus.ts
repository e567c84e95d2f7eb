import { once } from 'node:events'
import { ALL, type Bus, type Channel, type Listener, type News, nodeChannel, type NodeId } from '../../ports/bus.js'
import type { Health } from '../../ports/log.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Connection } from './connections.js'
import { decodeNews, encodeNews } from './news-codec.js'

/** Channels of one command. */
const MOST_AT_ONCE = 1000
/** Messages on their way to the server past which news is dropped. */
const MOST_PENDING = 10_000
/** The whole way, there and back, is tried so often; without an answer for so long it is dead, whatever the sockets say. */
const [TRY_MS, DEAD_MS] = [1000, 3500]
/** What went to a server that was dying may be lost though it was not refused. */
const BEFORE_MS = 5000

interface BusDeps {
  node: NodeId
  /** Stands in front of every channel. */
  prefix: string
  publisher: Connection
  subscriber: Connection
  /** The servers are a cluster: news goes to the server of its channel. */
  sharded: boolean
  clock: Clock
  logger: Logger
  count: { published: number, dropped: number }
}

/** News over Redis pub/sub. */
export class RedisBus implements Bus {
  readonly node: NodeId
  private readonly wanted = new Set<Channel>()
  private asked = new Map<Channel, (() => void)[]>()
  private listener: Listener | null = null
  private pending = 0
  private up = false
  /** Since when news of this node may not have come to the others; 0: all has. */
  private lostMs = 0
  private heardMs: number
  private timer: Timer | null = null
  private closed = false

  constructor (private readonly deps: BusDeps) {
    this.node = deps.node
    this.heardMs = deps.clock.now()
    for (const c of [deps.publisher, deps.subscriber]) {
      c.on('error', (err: Error) => { deps.logger.debug({ err }, 'Redis') })
      c.on('close', () => { this.away('the connection ended') })
    }
    deps.subscriber.on('ready', () => { void this.resubscribe() })
    deps.subscriber.on(deps.sharded ? 'smessageBuffer' : 'messageBuffer', (channel: Buffer, message: Buffer) => { this.hear(channel, message) })
  }

  /** @throws Error when Redis cannot be reached */
  async connect (): Promise<void> {
    await this.deps.publisher.connect()
    await this.deps.subscriber.connect()
    await this.listen(nodeChannel(this.node))
    await this.listen(ALL)
    this.ping()
    this.beat()
  }

  serve (listener: Listener): void { this.listener = listener }

  health (): Health { return this.up ? { ok: true } : { ok: false, why: 'Redis cannot be reached: messages to other nodes are late' } }

  publish (channel: Channel, news: News): void {
    const { publisher, sharded, prefix, count } = this.deps
    if (this.pending >= MOST_PENDING) { this.lose(); return }
    this.pending++
    count.published++
    const message = encodeNews(this.node, news)
    const name = prefix + channel
    ;(sharded ? publisher.spublish(name, message) : publisher.publish(name, message)).then(() => { this.pending-- }, () => {
      this.pending--
      this.lose()
    })
  }

  private lose (): void {
    this.deps.count.dropped++
    if (this.lostMs === 0) this.lostMs = this.deps.clock.now() - BEFORE_MS
  }

  // ---- channels

  async listen (channel: Channel): Promise<void> {
    if (this.wanted.has(channel) && !this.asked.has(channel)) return
    this.wanted.add(channel)
    await new Promise<void>(resolve => {
      const waiting = this.asked.get(channel)
      if (waiting !== undefined) { waiting.push(resolve); return }
      this.asked.set(channel, [resolve])
      if (this.asked.size === 1) setImmediate(() => { void this.ask() })
    })
  }

  private async ask (): Promise<void> {
    const asked = this.asked
    this.asked = new Map()
    await this.subscribe([...asked.keys()].filter(c => this.wanted.has(c)))
    for (const waiting of asked.values()) for (const resolve of waiting) resolve()
  }

  /** Never rejects: what could not be asked for is asked for when the connection is back. */
  private async subscribe (channels: readonly Channel[]): Promise<boolean> {
    const { subscriber, sharded, prefix, logger } = this.deps
    try {
      for (let at = 0; at < channels.length; at += MOST_AT_ONCE) {
        const names = channels.slice(at, at + MOST_AT_ONCE).map(c => prefix + c)
        // in a cluster each has its own server
        if (sharded) await Promise.all(names.map(async n => { await subscriber.ssubscribe(n) }))
        else await subscriber.subscribe(...names)
      }
      return true
    } catch (err) {
      logger.debug({ err, channels: channels.length }, 'Redis: not subscribed')
      if (subscriber.status === 'ready') subscriber.disconnect(true)
      return false
    }
  }

  ignore (channel: Channel): void {
    if (!this.wanted.delete(channel)) return
    const { subscriber, sharded, prefix } = this.deps
    if (subscriber.status === 'ready') (sharded ? subscriber.sunsubscribe(prefix + channel) : subscriber.unsubscribe(prefix + channel)).catch(() => {}) // it is gone with the connection
  }

  private async resubscribe (): Promise<void> {
    if (!await this.subscribe([...this.wanted])) return
    this.heardMs = this.deps.clock.now()
    this.ping()
  }

  // ---- whether it works

  private hear (channel: Buffer, message: Buffer): void {
    const read = decodeNews(message)
    if (read === null) { this.deps.logger.debug({ bytes: message.length }, 'Redis: a message of another version, or of somebody else'); return }
    const { node, news } = read
    if (node !== this.node) { this.listener?.heard(channel.toString().slice(this.deps.prefix.length) as Channel, news); return }
    if (news.kind !== 'ping') return
    this.heardMs = this.deps.clock.now()
    if (this.up) return
    this.up = true
    this.deps.logger.info({}, 'Redis is reached')
    this.listener?.back()
    if (this.lostMs === 0) return
    this.publish(ALL, { kind: 'lost', sinceMs: this.lostMs })
    this.lostMs = 0
  }

  private ping (): void { this.publish(nodeChannel(this.node), { kind: 'ping' }) }

  private beat (): void {
    this.timer = this.deps.clock.after(TRY_MS, () => {
      const { publisher, subscriber, clock } = this.deps
      if (clock.now() - this.heardMs > DEAD_MS) {
        this.away('nothing comes back')
        this.heardMs = clock.now()
        for (const c of [publisher, subscriber]) if (c.status === 'ready') c.disconnect(true)
      }
      this.ping()
      this.beat()
    })
  }

  private away (why: string): void {
    if (!this.up || this.closed) return
    this.up = false
    this.lose()
    this.deps.logger.warn({ why }, 'Redis cannot be reached: messages to other nodes are late, signals are lost')
    this.listener?.lost()
  }

  async close (): Promise<void> {
    this.closed = true
    this.timer?.cancel()
    await Promise.all([this.deps.publisher, this.deps.subscriber].map(async c => {
      const ended = c.status === 'ready' ? once(c, 'end') : null
      c.disconnect()
      await ended
    }))
  }
}
