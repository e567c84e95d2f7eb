import type { Entry } from '../domain/entry.js'
import type { Effects } from '../domain/group.js'
import { isGroupKey, nameOf, type UserId, usersOf } from '../domain/ids.js'
import type { Event } from '../plugin.js'
import type { Access } from './access.js'
import { EntryView, Outgoing } from './outgoing.js'
import type { Roster } from './roster.js'

/** Hands committed entries to this node's sessions, in the order of their commit, waiting for nobody. */
export class FanOut {
  constructor (private readonly roster: Roster, private readonly access: Access) {}

  entry (entry: Entry, effects?: Effects): void {
    const view = new EntryView(entry)
    if (effects !== undefined) this.before(entry, effects)
    if (isGroupKey(entry.conv)) {
      for (const session of this.roster.ofGroup(entry.conv)) session.entry(view)
    } else {
      const [a, b] = usersOf(entry.conv)
      for (const session of this.roster.ofUser(a)) session.entry(view)
      if (a !== b) for (const session of this.roster.ofUser(b)) session.entry(view)
    }
    if (effects !== undefined) this.after(entry, effects)
  }

  /** On `me/evt` of the user's sessions here. */
  tell (user: UserId, event: Event): void {
    const sessions = this.roster.ofUser(user)
    if (sessions.length === 0) return
    const out = Outgoing.json('evt', event)
    for (const s of sessions) s.extras.event(out)
  }

  /** Who joins by this entry gets it … */
  private before (entry: Entry, effects: Effects): void {
    this.access.forget(entry.conv)
    for (const { user, role } of effects.members ?? []) {
      if (role !== null) for (const s of this.roster.ofUser(user)) if (s.state !== 'outside') this.roster.join(entry.conv, s)
    }
  }

  /** … and who leaves by it gets it as the last one (guarantee 10). */
  private after (entry: Entry, effects: Effects): void {
    for (const { user, role } of effects.members ?? []) {
      if (role === null) {
        for (const s of this.roster.ofUser(user)) {
          this.roster.leave(entry.conv, s)
          s.groups = s.groups.filter(g => g !== entry.conv)
        }
      }
      this.tell(user, { type: role === null ? 'conv-removed' : 'conv-added', conv: nameOf(entry.conv, user) })
    }
    if (effects.group !== undefined && effects.create !== true) {
      for (const user of new Set([...this.roster.ofGroup(entry.conv)].map(s => s.user))) this.tell(user, { type: 'conv-changed', conv: entry.conv })
    }
  }
}
