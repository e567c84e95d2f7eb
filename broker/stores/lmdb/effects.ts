import type { Counts, Entry } from '../../domain/entry.js'
import type { Effects, Group, MemberChange } from '../../domain/group.js'
import { groupOf, isGroupKey, usersOf } from '../../domain/ids.js'
import { firstRow } from '../../ports/transfer.js'
import type { Tx } from './committer.js'
import type { Databases } from './database.js'
import { join } from './keys.js'
import { packMember, packRow, packU48, unpackMember, unpackRow, unpackU48 } from './rows.js'

/** Whether the group to be made is there already, deleted or not. */
export const groupTaken = (dbs: Databases, tx: Tx, effects: Effects): boolean =>
  effects.create === true && effects.group !== undefined && tx.get(dbs.groups, effects.group.group) !== undefined

/** The inbox rows of a direct conversation, made with its first entry; one for notes to self. */
export function openDirect (dbs: Databases, tx: Tx, e: Entry): void {
  const row = packRow(firstRow(e.conv))
  for (const user of new Set(usersOf(e.conv))) tx.put(dbs.inbox, join(user, e.conv), row)
}

/** The same where rows may have come before the entry. */
export function openDirectIfNew (dbs: Databases, tx: Tx, e: Entry): void {
  const row = packRow(firstRow(e.conv))
  for (const user of new Set(usersOf(e.conv))) {
    const key = join(user, e.conv)
    if (tx.get(dbs.inbox, key) === undefined) tx.put(dbs.inbox, key, row)
  }
}

/** What `e` changes beside the log. `before`: the counts of the entry before it. */
export function applyEffects (dbs: Databases, tx: Tx, e: Entry, before: Counts, effects: Effects): void {
  if (effects.group !== undefined) tx.put(dbs.groups, effects.group.group, Buffer.from(JSON.stringify(effects.group)))
  if (effects.members === undefined || effects.members.length === 0 || !isGroupKey(e.conv)) return
  const group = groupOf(e.conv)
  const stored = tx.get(dbs.groups, group)
  const visible = stored !== undefined && (JSON.parse(stored.toString()) as Group).historyVisible
  const counted = tx.get(dbs.memberCounts, group)
  let count = counted === undefined ? 0 : unpackU48(counted, 0)
  for (const change of effects.members) count += changeMember(dbs, tx, e, visible, before, change)
  tx.put(dbs.memberCounts, group, packU48([count]))
}

/** By how much the number of members changes. */
function changeMember (dbs: Databases, tx: Tx, e: Entry, visible: boolean, before: Counts, { user, role }: MemberChange): number {
  const memberKey = join(groupOf(e.conv), user)
  const rowKey = join(user, e.conv)
  const storedMember = tx.get(dbs.members, memberKey)
  const storedRow = tx.get(dbs.inbox, rowKey)
  if (role === null) {
    if (storedMember === undefined) return 0
    tx.remove(dbs.members, memberKey)
    if (storedRow !== undefined) tx.put(dbs.inbox, rowKey, packRow({ ...unpackRow(e.conv, storedRow), left: e.seq }))
    return -1
  }
  if (storedMember !== undefined) {
    tx.put(dbs.members, memberKey, packMember({ ...unpackMember(user, storedMember), role }))
    return 0
  }
  tx.put(dbs.members, memberKey, packMember({ user, role, since: e.seq }))
  const since = visible ? 1 : e.seq
  const old = storedRow === undefined ? undefined : unpackRow(e.conv, storedRow)
  // Who comes back has read what it had read; what came while it was away was never unread for it.
  const fresh = old === undefined || old.read < since - 1
  const read = fresh ? since - 1 : old.read
  const readCounts = fresh ? (visible ? [0, 0] as const : before) : old.readCounts
  tx.put(dbs.inbox, rowKey, packRow({ conv: e.conv, since, left: 0, read, delivered: Math.max(old?.delivered ?? 0, read), readCounts }))
  return 1
}
