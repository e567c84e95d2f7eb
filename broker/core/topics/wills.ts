import { type AclBook, TopicAcl } from '../../domain/acl.js'
import { deviceOf, type SessionId, userOf } from '../../domain/ids.js'
import type { TopicMessage } from '../../domain/topic-message.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { SharedTopicStore, StoredWill, TopicChange, TopicStore } from '../../ports/topics.js'

export interface WillsDeps {
  store: Pick<TopicStore, 'commit' | 'wills'>
  /** The same store, if other nodes use it too. */
  shared: Pick<SharedTopicStore, 'takeWill' | 'claimWill'> | null
  clock: Clock
  logger: Logger
  book: AclBook
  publish (m: TopicMessage, changes: TopicChange[]): Promise<void> | undefined
  count: { wills: { published: number, denied: number } }
}

/** After a restart wills wait at least this long: their clients are about to come back. */
const RESTART_GRACE_MS = 10_000
/** When the store could not say whether a will is still to be sent. */
const AGAIN_MS = 5000

/** Wills on ordinary topics: of connections, and of sessions whose connection ended a short while ago [MQTT-3.1.2-8]. */
export class Wills {
  private readonly open = new Map<SessionId, StoredWill & { acl: TopicAcl, timer: Timer | null }>()
  constructor (private readonly deps: WillsDeps) {}

  /** Takes up those of an earlier process, or of nodes that are gone: their connections ended without DISCONNECT. */
  async load (): Promise<void> { this.adopt(await this.deps.store.wills()) }

  adopt (wills: readonly StoredWill[]): void {
    for (const w of wills) {
      if (this.open.has(w.session)) continue
      this.open.set(w.session, { ...w, acl: this.rulesOf(w.session), timer: null })
      this.due(w.session, Math.max(RESTART_GRACE_MS, 1000 * Math.min(w.delaySeconds, w.expirySeconds)))
    }
  }

  private rulesOf (session: SessionId): TopicAcl { return new TopicAcl(this.deps.book, { user: userOf(session), device: deviceOf(session), admin: false }) }

  /** A new connection of the session: what was left of the last one is not sent if the session goes on [MQTT-3.1.3-9], else now. */
  async connected (session: SessionId, goesOn: boolean): Promise<void> {
    const { shared } = this.deps
    if (shared === null) {
      if (!this.open.has(session)) return
      if (goesOn) await this.discard(session)
      else await this.send(session)
      return
    }
    const mine = this.take(session)
    const old = await shared.takeWill(session) // wherever it is looked after
    if (old !== undefined && !goesOn) await this.publish(old, mine === false ? this.rulesOf(session) : mine.acl, [])
  }

  /** The will of a new connection. Durable when it resolves. */
  async set (will: StoredWill, acl: TopicAcl): Promise<void> {
    this.open.set(will.session, { ...will, acl, timer: null })
    await this.deps.store.commit([{ kind: 'will', will }])
  }

  /** The client said goodbye [MQTT-3.1.2-10]. */
  async discard (session: SessionId): Promise<void> {
    if (!this.take(session)) return
    await this.deps.store.commit([{ kind: 'no-will', session }])
  }

  /**
   * The connection ended in any other way; `expirySeconds`: how long its session lives on. When it resolves no other node
   * takes a will for unsent that is being sent.
   */
  async ended (session: SessionId, expirySeconds: number): Promise<void> {
    const will = this.open.get(session)
    if (will === undefined) return
    const delayMs = 1000 * Math.min(will.delaySeconds, expirySeconds)
    if (delayMs > 0) { this.due(session, delayMs); return }
    const sent = this.claim(session)
    if (this.deps.shared === null) { this.fire(session, sent); return }
    await sent.catch(() => {}) // fire tells
    this.fire(session, sent)
  }

  private due (session: SessionId, ms: number): void {
    const will = this.open.get(session)!
    will.timer?.cancel()
    will.timer = this.deps.clock.after(ms, () => { this.fire(session, this.claim(session)) })
  }

  private async send (session: SessionId): Promise<void> { await this.sendClaimed(session, this.claim(session)) }

  /** Taken to be sent; false: it is not there any more, or another node's. */
  private async claim (session: SessionId): Promise<ReturnType<Wills['take']>> {
    const will = this.take(session)
    if (will === false || this.deps.shared === null) return will
    try { return await this.deps.shared.claimWill(session) ? will : false } catch (err) {
      if (!this.open.has(session)) {
        this.open.set(session, { ...will, timer: null })
        this.due(session, AGAIN_MS)
      }
      throw err
    }
  }

  private async sendClaimed (session: SessionId, claimed: ReturnType<Wills['claim']>): Promise<void> {
    const will = await claimed
    if (will !== false) await this.publish(will, will.acl, [{ kind: 'no-will', session }])
  }

  private async publish ({ message, messageExpirySeconds: s }: StoredWill, acl: TopicAcl, changes: TopicChange[]): Promise<void> {
    const { count, store, publish, clock } = this.deps
    if (acl.mayPublish(message.topic)) {
      count.wills.published++
      await publish(s === 0 ? message : { ...message, expiresMs: clock.now() + 1000 * s }, changes)
      return
    }
    count.wills.denied++
    if (changes.length > 0) await store.commit(changes)
  }

  private take (session: SessionId): StoredWill & { acl: TopicAcl } | false {
    const will = this.open.get(session)
    if (will === undefined) return false
    will.timer?.cancel()
    this.open.delete(session)
    return will
  }

  private fire (session: SessionId, claimed: ReturnType<Wills['claim']>): void {
    this.sendClaimed(session, claimed).catch((err: unknown) => { this.deps.logger.warn({ err, session }, 'a will could not be published') })
  }

  close (): void { for (const { timer } of this.open.values()) timer?.cancel() }
}
