import type { AnyBulkWriteOperation, ClientSession } from 'mongodb'
import type { Counts, Entry } from '../../domain/entry.js'
import type { Effects, MemberChange } from '../../domain/group.js'
import { isGroupKey, usersOf } from '../../domain/ids.js'
import type { Database, InboxDoc, MemberDoc } from './database.js'
import { toGroupFields } from './directory.js'

/**
 * The inbox rows of direct conversations, made before their first entries: a receiver finds a conversation by them. One
 * for notes to self. Rows of an entry that was not stored then do no harm: there is nothing to read.
 */
export async function openDirect (db: Database, convs: readonly Entry['conv'][]): Promise<void> {
  const rows = convs.flatMap(c => [...new Set(usersOf(c))].map(u => ({
    updateOne: { filter: { u, c }, update: { $max: { since: 1 } }, upsert: true }
  })))
  if (rows.length > 0) await db.inbox.bulkWrite(rows, { ordered: false })
}

/** Whether the group to be made is there already, deleted or not. */
export async function groupTaken (db: Database, session: ClientSession, { conv }: Entry, effects: Effects): Promise<boolean> {
  return effects.create === true && effects.group !== undefined &&
    await db.groups.findOne({ _id: conv, kind: { $exists: true } }, { session, projection: { _id: 1 } }) !== null
}

interface State { member: MemberDoc | undefined, row: InboxDoc | undefined, memberChanged: boolean, rowChanged: boolean }

/** What `e` changes beside the log, in its transaction. `before`: the counts of the entry before it. */
export async function applyEffects (db: Database, session: ClientSession, e: Entry, before: Counts, effects: Effects): Promise<void> {
  if (effects.group !== undefined) await db.groups.updateOne({ _id: e.conv }, { $set: toGroupFields(effects.group) }, { session, upsert: true })
  if (effects.members === undefined || effects.members.length === 0 || !isGroupKey(e.conv)) return
  const users = [...new Set(effects.members.map(m => m.user as string))]
  const group = await db.groups.findOne({ _id: e.conv }, { session, projection: { visible: 1 } })
  const members = await db.members.find({ c: e.conv, u: { $in: users } }, { session, projection: { _id: 0 } }).toArray()
  const rows = await db.inbox.find({ c: e.conv, u: { $in: users } }, { session, projection: { _id: 0, cur: 0, hi: 0 } }).toArray()
  const states = new Map<string, State>(users.map(u => [u, {
    member: members.find(m => m.u === u), row: rows.find(r => r.u === u && r.since !== undefined), memberChanged: false, rowChanged: false
  }]))
  let more = 0
  for (const change of effects.members) more += changeMember(states.get(change.user)!, e, group?.visible === true, before, change)
  await store(db, session, e, states)
  if (more !== 0) await db.groups.updateOne({ _id: e.conv }, { $inc: { count: more } }, { session, upsert: true })
}

/** By how much the number of members changes. */
function changeMember (s: State, e: Entry, visible: boolean, before: Counts, { user, role }: MemberChange): number {
  if (role === null) {
    if (s.member === undefined) return 0
    s.member = undefined
    s.memberChanged = true
    if (s.row !== undefined) {
      s.row = { ...s.row, left: e.seq }
      s.rowChanged = true
    }
    return -1
  }
  s.memberChanged = true
  if (s.member !== undefined) {
    s.member = { ...s.member, role }
    return 0
  }
  s.member = { c: e.conv, u: user, role, since: e.seq }
  const since = visible ? 1 : e.seq
  const old = s.row
  // Who comes back has read what it had read; what came while it was away was never unread for it.
  const fresh = old === undefined || (old.read ?? 0) < since - 1
  const read = fresh ? since - 1 : old.read ?? 0
  const rc = fresh ? (visible ? [0, 0] as const : before) : old.rc ?? [0, 0]
  s.row = { u: user, c: e.conv, since, left: 0, read, dlv: Math.max(old?.dlv ?? 0, read), rc }
  s.rowChanged = true
  return 1
}

async function store (db: Database, session: ClientSession, e: Entry, states: ReadonlyMap<string, State>): Promise<void> {
  const members: AnyBulkWriteOperation<MemberDoc>[] = []
  const rows: AnyBulkWriteOperation<InboxDoc>[] = []
  for (const [u, s] of states) {
    if (s.memberChanged) members.push(s.member === undefined ? { deleteOne: { filter: { c: e.conv, u } } } : { replaceOne: { filter: { c: e.conv, u }, replacement: s.member, upsert: true } })
    // not replaced: cursors stand in it
    if (s.rowChanged) rows.push({ updateOne: { filter: { u, c: e.conv }, update: { $set: s.row! }, upsert: true } })
  }
  if (members.length > 0) await db.members.bulkWrite(members, { session })
  if (rows.length > 0) await db.inbox.bulkWrite(rows, { session })
}
