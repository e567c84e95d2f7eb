import { isGroupKey, type ConvKey, type UserId, usersOf } from '../domain/ids.js'
import { type Bus, groupChannel, userChannel } from '../ports/bus.js'
import type { Session } from './session.js'

const NOBODY: readonly Session[] = []

/** This node's sessions that hold an inbox, by user and by group; it listens to the news of those, and of no others. */
export class Roster {
  private readonly users = new Map<UserId, Session[]>()
  private readonly groups = new Map<ConvKey, Set<Session>>()
  /** Sessions that prepare to get what is new only: they see entries of all groups until they know which are theirs. */
  readonly preparing = new Set<Session>()

  constructor (private readonly bus: Pick<Bus, 'listen' | 'ignore'>) {}

  /** When it resolves, no news of the user is missed. Never rejects. */
  add (session: Session): Promise<void> {
    const of = this.users.get(session.user)
    if (of === undefined) this.users.set(session.user, [session])
    else of.push(session)
    return this.bus.listen(userChannel(session.user))
  }

  remove (session: Session): void {
    const before = this.users.get(session.user)
    const of = before?.filter(s => s !== session)
    if (of === undefined || of.length === 0) {
      this.users.delete(session.user)
      if (before !== undefined) this.bus.ignore(userChannel(session.user))
    } else this.users.set(session.user, of)
    this.preparing.delete(session)
    for (const key of session.groups) this.leave(key, session)
    session.groups = []
  }

  /** Null: it was there already. Else no news of the group is missed when it resolves. Never rejects. */
  join (key: ConvKey, session: Session): Promise<void> | null {
    let set = this.groups.get(key)
    if (set === undefined) this.groups.set(key, set = new Set())
    if (set.has(session)) return null
    set.add(session)
    session.groups.push(key)
    return this.bus.listen(groupChannel(key))
  }

  leave (key: ConvKey, session: Session): void {
    const set = this.groups.get(key)
    if (set?.delete(session) !== true || set.size > 0) return
    this.groups.delete(key)
    this.bus.ignore(groupChannel(key))
  }

  ofUser (user: UserId): readonly Session[] { return this.users.get(user) ?? NOBODY }
  ofGroup (key: ConvKey): Iterable<Session> { return this.groups.get(key) ?? NOBODY }

  /** Sessions that get the conversation's entries. */
  of (conv: ConvKey): Iterable<Session> {
    if (isGroupKey(conv)) return this.ofGroup(conv)
    const [a, b] = usersOf(conv)
    return a === b ? this.ofUser(a) : [...this.ofUser(a), ...this.ofUser(b)]
  }

  /** Since when all its sessions hear the conversation's news, ms; null: there are none. */
  since (conv: ConvKey): number | null {
    let since: number | null = null
    for (const s of this.of(conv)) since = since === null ? s.enteredMs : Math.min(since, s.enteredMs)
    return since
  }
}
