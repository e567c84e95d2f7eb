import type { IConnectPacket, ISubscription } from 'mqtt-packet'
import type { CloseReason } from '../core/connections.js'
import type { Topics } from '../core/topics/topics.js'
import type { Wills } from '../core/topics/wills.js'
import { type AclBook, TopicAcl } from '../domain/acl.js'
import { asParleyError } from '../domain/errors.js'
import { fewLevels, isTopicName, shareOf } from '../domain/filters.js'
import type { SessionId } from '../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../domain/topic-message.js'
import { isOurs, parseFilter } from '../domain/topics.js'
import type { Clock } from '../ports/clock.js'
import type { Logger } from '../ports/logger.js'
import type { TopicChange, TopicStore } from '../ports/topics.js'
import { acknowledge, complete } from './answers.js'
import type { Arrived } from './arrived.js'
import type { Connection } from './connection.js'
import { NO_BYTES, type Properties } from './properties.js'
import { TopicOutput } from './topic-output.js'

export interface OrdinaryDeps {
  topics: Topics
  wills: Wills
  store: Pick<TopicStore, 'commit' | 'receivedIds'>
  book: AclBook
  clock: Clock
  logger: Logger
  count: { published (): void, refused (): void }
  /** The node leaves: wills stay for its next start. */
  draining (): boolean
}

/** Subscriptions of one session to ordinary topics, and bytes of their filters: they stay in memory while nobody is connected. */
const MAX_SUBSCRIPTIONS = 10_000
const MAX_FILTER_BYTES = 4 << 20
const NOT_AUTHORIZED = 0x87
const QUOTA_EXCEEDED = 0x97
const SERVER_UNAVAILABLE = 0x88

/** Ordinary topics, as one connection uses them. */
export class Ordinary {
  constructor (private readonly deps: OrdinaryDeps) {}

  // ---- the session

  /** Before CONNACK: what an earlier session left is taken up, or is over. */
  async opened (c: Connection, packet: IConnectPacket, will: Properties | undefined): Promise<void> {
    const { topics, wills, store } = this.deps
    const { id } = c.session
    await wills.connected(id, c.sessionPresent)
    if (c.sessionPresent) await topics.resume(id)
    else await topics.forget(id)
    for (const packetId of c.sessionPresent ? await store.receivedIds(id) : []) {
      (c.received ??= new Map()).set(packetId, true)
      ;(c.storedIds ??= new Set()).add(packetId)
    }
    if (packet.will === undefined || isOurs(packet.will.topic)) return
    if (c.phase !== 'connecting') return
    const { topic, payload, qos, retain } = packet.will
    await wills.set({
      session: id,
      message: { topic, payload: Buffer.from(payload), qos: qos as 0 | 1 | 2, retain: retain === true, from: id, properties: will?.passedOn ?? NO_BYTES, expiresMs: 0 },
      messageExpirySeconds: will?.expirySeconds ?? 0,
      delaySeconds: will?.willDelaySeconds ?? 0,
      expirySeconds: c.expirySeconds
    }, this.rules(c))
  }

  /** A new credential may bring other rules. */
  refreshed (c: Connection): void {
    c.acl = null
    c.topics?.judgeBy(this.rules(c))
  }

  private rules (c: Connection): TopicAcl {
    return c.acl ??= new TopicAcl(this.deps.book, { ...c.identity!, user: c.session.user, device: c.session.device })
  }

  /** Nothing of the session stays. */
  async forget (id: SessionId): Promise<void> { await this.deps.topics.forget(id) }

  /** CONNACK is written: what waited for the session goes out. */
  ready (c: Connection): void {
    if (c.sessionPresent) c.topics = this.deps.topics.attach(c.session.id, new TopicOutput(c, this.deps.clock), this.rules(c), c.expirySeconds)
  }

  /** The connection ended. Durable when it resolves; never rejects. */
  async ended (c: Connection, reason: CloseReason): Promise<void> {
    const { id } = c.session
    const { topics, wills, logger } = this.deps
    try {
      if (c.leaving === 'for good') await wills.discard(id)
      else if (reason !== 'broker' || !this.deps.draining()) await wills.ended(id, c.expirySeconds)
      const { topics: subscriber } = c
      c.topics = null
      if (subscriber !== null) await topics.detach(subscriber, c.expirySeconds)
      else if (c.expirySeconds === 0 && c.storedIds !== null) await topics.forget(id)
    } catch (err) {
      logger.warn({ err, session: id }, 'ordinary topics: the end of a session could not be stored')
    }
  }

  // ---- publishes

  publish (c: Connection, m: Arrived): void {
    this.deps.count.published()
    const pending = c.acks.open(m.packetId, m.qos, m.payload.length)
    c.throttled(() => {
      if (!isTopicName(m.topic) || !fewLevels(m.topic)) { c.malformed('a topic with wildcards, or of too many levels', 0x90); return } // [MQTT-3.3.2-2]
      if (!this.rules(c).mayPublish(m.topic)) {
        this.deps.count.refused()
        c.settle(pending, () => acknowledge(c, m, NOT_AUTHORIZED))
        return
      }
      const keeps = m.retain && (m.payload.length === 0 || this.deps.topics.retained.mayKeep(m.topic))
      const reason = m.retain && !keeps ? QUOTA_EXCEEDED : 0
      const done = this.deps.topics.publish(this.message(c, m, keeps), this.received(c, m))
      const answer = (): void => c.settle(pending, () => acknowledge(c, m, reason))
      if (done === undefined) answer()
      else done.then(answer, (err: unknown) => this.failed(c, err))
    })
  }

  /** Nothing could be stored, as when the node leaves: the library comes back and sends again. */
  failed (c: Connection, err: unknown): void {
    if (asParleyError(err).code === 'internal') this.deps.logger.error({ err, session: c.session.id }, 'an ordinary message failed')
    c.close('broker', SERVER_UNAVAILABLE, 'the store does not answer')
  }

  private message (c: Connection, m: Arrived, retain: boolean): TopicMessage {
    const { properties: p } = m
    return {
      topic: m.topic, payload: m.payload, qos: m.qos, retain, from: c.session.id, properties: p?.passedOn ?? NO_BYTES,
      expiresMs: p?.expirySeconds === undefined ? 0 : this.deps.clock.now() + 1000 * p.expirySeconds
    }
  }

  /** The packet id of a QoS 2 message is kept with what becomes of it: a resend after a crash is known [MQTT-4.3.3-10]. */
  private received (c: Connection, m: Arrived): TopicChange[] {
    if (m.qos !== 2 || c.expirySeconds === 0) return []
    ;(c.storedIds ??= new Set()).add(m.packetId)
    return [{ kind: 'received', session: c.session.id, packetId: m.packetId }]
  }

  /** PUBREL. What is stored goes first: a packet id that the client uses again must not be taken for the old one. */
  completed (c: Connection, packetId: number): void {
    if (c.storedIds?.has(packetId) !== true) { complete(c, packetId); return }
    this.deps.store.commit([{ kind: 'completed', session: c.session.id, packetId }]).then(() => complete(c, packetId), (err: unknown) => this.failed(c, err))
  }

  // ---- subscriptions

  /** Which filters of a SUBSCRIBE may be granted: those of the own inbox, and those that the rules allow, up to a number. */
  grants (c: Connection, filters: readonly string[]): boolean[] {
    const fresh = new Set<string>()
    let bytes = c.topics?.filterBytes ?? 0
    return filters.map(filter => {
      const wanted = parseFilter(filter, c.session.user)
      if (wanted !== 'ordinary') return wanted !== 'foreign' && c.identity!.anonymous !== true
      if (!fewLevels(filter) || shareOf(filter) === 'bad' || !this.rules(c).maySubscribe(filter)) return false
      if (fresh.has(filter) || c.topics?.subscriptions.has(filter) === true) return true
      if ((c.topics?.subscriptions.size ?? 0) + fresh.size >= MAX_SUBSCRIPTIONS || bytes + filter.length > MAX_FILTER_BYTES) return false
      fresh.add(filter)
      bytes += filter.length
      return true
    })
  }

  /** Stores what was granted, before SUBACK. */
  async store (c: Connection, granted: readonly ISubscription[], id: number): Promise<void> {
    if (c.expirySeconds > 0) await this.deps.topics.store(c.session.id, granted.map(s => subscription(s, id)), c.expirySeconds)
  }

  async unstore (c: Connection, filters: readonly string[]): Promise<void> {
    const held = filters.filter(f => c.topics?.subscriptions.has(f) === true)
    if (c.topics?.persistent === true) await this.deps.topics.unstore(c.session.id, held)
  }

  /** SUBACK is written. */
  granted (c: Connection, granted: readonly ISubscription[], id: number): void {
    const { topics } = this.deps
    for (const s of granted) {
      c.topics ??= topics.begin(c.session.id, new TopicOutput(c, this.deps.clock), this.rules(c), c.expirySeconds)
      topics.subscribe(c.topics, subscription(s, id), (s.rh ?? 0) as 0 | 1 | 2)
    }
  }

  /** UNSUBACK is written. */
  gone (c: Connection, filters: readonly string[]): void {
    if (c.topics !== null) for (const f of filters) this.deps.topics.unsubscribe(c.topics, f)
  }
}

const subscription = (s: ISubscription, id: number): TopicSubscription =>
  ({ filter: s.topic, qos: s.qos as 0 | 1 | 2, noLocal: s.nl === true, keepRetain: s.rap === true, id })
