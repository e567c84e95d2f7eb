import type { Entry } from '../domain/entry.js'
import type { Effects } from '../domain/group.js'
import { type ConvKey, isGroupKey, type UserId, usersOf } from '../domain/ids.js'
import type { Event } from '../plugin.js'
import type { Access } from './access.js'
import { EntryView, Outgoing } from './outgoing.js'
import type { Roster } from './roster.js'

/** Hands committed entries to this node's sessions, in the order of their commit, waiting for nobody. */
export class FanOut {
  /** `hosts`: news of the group is heard from now on; what came since the entry by which a session joined may have been missed. */
  constructor (private readonly roster: Roster, private readonly access: Access, private readonly hosts: (group: ConvKey) => void = () => {}) {}

  entry (entry: Entry, effects?: Effects): void {
    const view = new EntryView(entry)
    const added = effects === undefined ? null : this.before(entry, effects)
    if (isGroupKey(entry.conv)) {
      for (const session of this.roster.ofGroup(entry.conv)) session.entry(view)
      for (const session of this.roster.preparing) session.entry(view)
    } else {
      // not Roster.of: this is the path of every message
      const [a, b] = usersOf(entry.conv)
      for (const session of this.roster.ofUser(a)) session.entry(view)
      if (a !== b) for (const session of this.roster.ofUser(b)) session.entry(view)
    }
    if (added !== null) this.after(entry, effects!, added)
  }

  /** On `me/evt` of the user's sessions on this node. */
  tell (user: UserId, event: Event): void {
    const sessions = this.roster.ofUser(user)
    if (sessions.length === 0) return
    const out = Outgoing.json('evt', event)
    for (const s of sessions) s.extras.event(out)
  }

  /** Who joins by this entry gets it … Gives those users, of whom a session is here. */
  private before (entry: Entry, effects: Effects): Set<UserId> {
    this.access.forget(entry.conv)
    const added = new Set<UserId>()
    for (const { user, role } of effects.members ?? []) {
      if (role === null) continue
      for (const s of this.roster.ofUser(user)) {
        const listening = this.roster.join(entry.conv, s)
        if (listening === null) continue // its role changes
        void listening.then(() => { this.hosts(entry.conv) })
        s.joined(entry.conv, entry.seq)
        added.add(user)
      }
    }
    return added
  }

  /** … and who leaves by it gets it as the last one (guarantee 10). */
  private after (entry: Entry, effects: Effects, added: Set<UserId>): void {
    for (const { user, role } of effects.members ?? []) {
      if (role === null) {
        for (const s of this.roster.ofUser(user)) {
          this.roster.leave(entry.conv, s)
          s.left(entry.conv, entry.seq)
        }
      }
      this.tell(user, { type: role === null ? 'conv-removed' : added.has(user) ? 'conv-added' : 'conv-changed', conv: entry.conv })
    }
    if (effects.group !== undefined && effects.create !== true) {
      for (const user of new Set([...this.roster.ofGroup(entry.conv)].map(s => s.user))) this.tell(user, { type: 'conv-changed', conv: entry.conv })
    }
  }
}
