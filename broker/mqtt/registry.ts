import type { SessionId, UserId } from '../domain/ids.js'
import type { Connection } from './connection.js'

const NONE: readonly Connection[] = []

/** This node's connections with a session, and one lock per session id. */
export class Registry {
  private readonly byId = new Map<SessionId, Connection>()
  private readonly byUser = new Map<UserId, Connection[]>()
  private readonly locks = new Map<SessionId, Promise<void>>()
  private readonly leaving = new Map<SessionId, Promise<void>>()

  get (id: SessionId): Connection | undefined { return this.byId.get(id) }
  ofUser (user: UserId): readonly Connection[] { return this.byUser.get(user) ?? NONE }
  get size (): number { return this.byId.size }
  all (): Iterable<Connection> { return this.byId.values() }

  add (id: SessionId, c: Connection): void {
    this.byId.set(id, c)
    const of = this.byUser.get(c.session.user)
    if (of === undefined) this.byUser.set(c.session.user, [c])
    else of.push(c)
  }

  /** The late end of an old connection does not touch the one that took its place. */
  remove (id: SessionId, c: Connection): void {
    if (this.byId.get(id) === c) this.byId.delete(id)
    const of = this.byUser.get(c.session.user)?.filter(o => o !== c)
    if (of === undefined || of.length === 0) this.byUser.delete(c.session.user)
    else this.byUser.set(c.session.user, of)
  }

  /** `saved`: what the connection leaves behind is being stored. */
  leaves (id: SessionId, saved: Promise<void>): void {
    const all = Promise.all([this.leaving.get(id), saved]).then(() => { if (this.leaving.get(id) === all) this.leaving.delete(id) })
    this.leaving.set(id, all)
  }

  /** Resolves when nothing of earlier connections is being stored any more: who reads before would read what is old. */
  async left (id: SessionId): Promise<void> { await this.leaving.get(id) }

  /** Runs `fn` when no other holds the id; in the order of the calls. */
  async exclusively (id: SessionId, fn: () => Promise<void>): Promise<void> {
    const before = this.locks.get(id)
    const mine = (async () => { await before; await fn() })()
    const settled = mine.catch(() => {})
    this.locks.set(id, settled)
    try { await mine } finally { if (this.locks.get(id) === settled) this.locks.delete(id) }
  }
}
