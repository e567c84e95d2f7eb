import type { ConvKey, UserId } from '../domain/ids.js'
import type { Session } from './session.js'

const NOBODY: readonly Session[] = []

/** This node's sessions that hold an inbox, by user and by group. */
export class Roster {
  private readonly users = new Map<UserId, Session[]>()
  private readonly groups = new Map<ConvKey, Set<Session>>()
  /** Sessions that prepare to get what is new only: they see entries of all groups until they know which are theirs. */
  readonly preparing = new Set<Session>()

  add (session: Session): void {
    const of = this.users.get(session.user)
    if (of === undefined) this.users.set(session.user, [session])
    else of.push(session)
  }

  remove (session: Session): void {
    const of = this.users.get(session.user)?.filter(s => s !== session)
    if (of === undefined || of.length === 0) this.users.delete(session.user)
    else this.users.set(session.user, of)
    this.preparing.delete(session)
    for (const key of session.groups) this.leave(key, session)
    session.groups = []
  }

  /** False: it was there already. */
  join (key: ConvKey, session: Session): boolean {
    let set = this.groups.get(key)
    if (set === undefined) this.groups.set(key, set = new Set())
    if (set.has(session)) return false
    set.add(session)
    session.groups.push(key)
    return true
  }

  leave (key: ConvKey, session: Session): void {
    const set = this.groups.get(key)
    if (set?.delete(session) === true && set.size === 0) this.groups.delete(key)
  }

  ofUser (user: UserId): readonly Session[] { return this.users.get(user) ?? NOBODY }
  ofGroup (key: ConvKey): Iterable<Session> { return this.groups.get(key) ?? NOBODY }
}
