import { type Counts, countsAsMessage, type Entry, type InboxRow, isGroupKey, type LogStore, type UserId, usersOf } from '../../broker/plugin.js'
import { Pace } from './pace.js'

/** So many entries past the read mark are looked at (protocol.md, `inbox`). */
const MAX_LOOKED_AT = 1000
/** The highest number shown. */
const MAX_SHOWN = 999
/** Of one read: keeps little in memory when the entries are large. */
const SLICE = { entries: 250, bytes: 256 * 1024 }

/** Where counting ends: the last entry that the user may see. */
export interface Upto { head: number, counts: Counts }
type Pages = Pick<LogStore, 'page'>

const MENTIONS = '"mentions":'

/** The member is looked for as bytes first: few messages mention anybody, and parsing each would cost more than reading it. */
function mentions (e: Entry, user: UserId): boolean {
  if (!e.fields.includes(MENTIONS)) return false
  // Fields stand as their sender wrote them: behind a backslash a name may be spelt in many ways.
  if (!e.fields.includes(`"${user}"`) && !e.fields.includes('"@all"') && !e.fields.includes('\\')) return false
  // Only the entry's own member counts, not the same letters inside its body.
  const { mentions: them } = JSON.parse(`{${e.fields.toString()}}`) as { mentions?: unknown }
  return them === '@all' || (Array.isArray(them) && them.includes(user))
}

/** What lies between the read mark and the end, over at most {@link MAX_LOOKED_AT} entries: own messages, and others' that mention the user. */
async function look (log: Pages, row: InboxRow, upto: Upto, user: UserId): Promise<{ own: number, mentioned: number }> {
  const end = Math.min(upto.head, row.read + MAX_LOOKED_AT)
  const pace = new Pace()
  let own = 0
  let mentioned = 0
  for (let after = row.read; after < end;) {
    const page = await log.page(row.conv, { after, limit: Math.min(SLICE.entries, end - after), maxBytes: SLICE.bytes })
    if (page.length === 0) break
    for (const e of page) {
      if (e.seq > end || !countsAsMessage(e.type)) continue
      if (e.from === user) own++
      else if (mentions(e, user)) mentioned++
    }
    after = page[page.length - 1]!.seq
    await pace.breathe()
  }
  return { own, mentioned }
}

/** Messages of all (group) or of the peer (direct) past the read mark, without reading them. */
function past (row: InboxRow, counts: Counts, user: UserId): number {
  if (isGroupKey(row.conv)) return Math.max(0, counts[0] - row.readCounts[0])
  // Notes to self count as their first author's: the second one's number stays 0.
  const peer = usersOf(row.conv)[0] === user ? 1 : 0
  return Math.max(0, counts[peer] - row.readCounts[peer])
}

/**
 * Messages of others past a user's read mark; at most 999. Exact in direct conversations, and in groups while at most
 * 1,000 entries stand past the mark; past that too high by the user's own messages beyond. Entries are read only where
 * own messages can change the number.
 */
export async function unread (log: Pages, row: InboxRow, upto: Upto, user: UserId): Promise<number> {
  const all = past(row, upto.counts, user)
  // With so many, the number shown is the highest whatever is subtracted.
  if (all === 0 || !isGroupKey(row.conv) || all >= MAX_SHOWN + MAX_LOOKED_AT) return Math.min(all, MAX_SHOWN)
  return Math.min(Math.max(0, all - (await look(log, row, upto, user)).own), MAX_SHOWN)
}

/** {@link unread}, and how many of the messages among the first 1,000 entries past the mark mention the user. */
export async function unreadAndMentions (log: Pages, row: InboxRow, upto: Upto, user: UserId): Promise<{ unread: number, mentions: number }> {
  const all = past(row, upto.counts, user)
  if (all === 0) return { unread: 0, mentions: 0 }
  const { own, mentioned } = await look(log, row, upto, user)
  return { unread: Math.min(isGroupKey(row.conv) ? Math.max(0, all - own) : all, MAX_SHOWN), mentions: mentioned }
}
