import { type AclBook, TopicAcl } from '../../domain/acl.js'
import { deviceOf, type SessionId, userOf } from '../../domain/ids.js'
import type { TopicMessage } from '../../domain/topic-message.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { StoredWill, TopicStore } from '../../ports/topics.js'

export interface WillsDeps {
  store: Pick<TopicStore, 'commit' | 'wills'>
  clock: Clock
  logger: Logger
  book: AclBook
  publish (m: TopicMessage): Promise<void> | undefined
  count: { wills: { published: number, denied: number } }
}

/** After a restart wills wait at least this long: their clients are about to come back. */
const RESTART_GRACE_MS = 10_000

/** Wills on ordinary topics: of connections, and of sessions whose connection ended a short while ago [MQTT-3.1.2-8]. */
export class Wills {
  private readonly open = new Map<SessionId, StoredWill & { acl: TopicAcl, timer: Timer | null }>()
  constructor (private readonly deps: WillsDeps) {}

  /** Takes up those of an earlier process: its connections ended without DISCONNECT. */
  async load (): Promise<void> {
    for (const w of await this.deps.store.wills()) {
      const acl = new TopicAcl(this.deps.book, { user: userOf(w.session), device: deviceOf(w.session), admin: false })
      this.open.set(w.session, { ...w, acl, timer: null })
      this.due(w.session, Math.max(RESTART_GRACE_MS, 1000 * Math.min(w.delaySeconds, w.expirySeconds)))
    }
  }

  /** A new connection of the session: what was left of the last one is not sent if the session goes on [MQTT-3.1.3-9], else now. */
  async connected (session: SessionId, goesOn: boolean): Promise<void> {
    const old = this.open.get(session)
    if (old === undefined) return
    if (goesOn) await this.discard(session)
    else await this.send(session)
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

  /** The connection ended in any other way; `expirySeconds`: how long its session lives on. */
  ended (session: SessionId, expirySeconds: number): void {
    const will = this.open.get(session)
    if (will === undefined) return
    const delayMs = 1000 * Math.min(will.delaySeconds, expirySeconds)
    if (delayMs === 0) this.fire(session)
    else this.due(session, delayMs)
  }

  private due (session: SessionId, ms: number): void {
    const will = this.open.get(session)!
    will.timer?.cancel()
    will.timer = this.deps.clock.after(ms, () => { this.fire(session) })
  }

  private async send (session: SessionId): Promise<void> {
    const will = this.take(session)
    if (!will) return
    const { count, store } = this.deps
    if (will.acl.mayPublish(will.message.topic)) {
      count.wills.published++
      const { message, messageExpirySeconds: s } = will
      await this.deps.publish(s === 0 ? message : { ...message, expiresMs: this.deps.clock.now() + 1000 * s })
    } else count.wills.denied++
    await store.commit([{ kind: 'no-will', session }])
  }

  private take (session: SessionId): StoredWill & { acl: TopicAcl } | false {
    const will = this.open.get(session)
    if (will === undefined) return false
    will.timer?.cancel()
    this.open.delete(session)
    return will
  }

  private fire (session: SessionId): void {
    this.send(session).catch((err: unknown) => { this.deps.logger.warn({ err, session }, 'a will could not be published') })
  }

  close (): void { for (const { timer } of this.open.values()) timer?.cancel() }
}
