import type { Head } from '../domain/entry.js'
import type { ConvKey } from '../domain/ids.js'
import type { InboxRow } from '../ports/inbox.js'

/** What was seen of a conversation while a session prepared its replay; 0: nothing of the kind. */
export interface Seen {
  /** First and last entry, of those since the user last came into the group. */
  first: number
  last: number
  /** The entry by which the user last came in, the one by which it last left, and the one by which it left before it came in. */
  joined: number
  left: number
  leftBefore: number
}

/** Entries `from` to `to`, both included; none when `to` is below `from`. */
interface Range { from: number, to: number }

/** What is due to a session in one conversation. */
export interface Due {
  key: ConvKey
  /** Latest activity, ms since the epoch. */
  ts: number
  /** Where the device stands. */
  cursor: number
  /** To be replayed within the limits. */
  stored: Range
  /** After that, of what came meanwhile. It begins past `stored` where the user was out of the group between. */
  late: Range
}

/**
 * Puts together what the store said of a conversation and what was seen of it meanwhile; either may be the newer one, and
 * the user may have left and come back between. Nothing of a time when it was not in the group is due. `row` undefined:
 * the conversation was not in the inbox when it was read. `place`: where the device stands by its cursors. `fresh`: only
 * what came since the subscription is due.
 */
export function dueOf (key: ConvKey, row: InboxRow | undefined, head: Head, seen: Seen | undefined, place: number, fresh: boolean): Due {
  const s = seen ?? { first: 0, last: 0, joined: 0, left: 0, leftBefore: 0 }
  const now = { from: s.joined === 0 ? s.first : s.joined, to: s.left > s.joined ? s.left : s.last }
  if (row === undefined) return { key, ts: head.ts, cursor: now.from - 1, stored: { from: 1, to: 0 }, late: now }
  const came = s.joined > row.since // back in, and the row tells of the stay before
  const end = row.left !== 0 ? row.left : came ? Math.max(s.leftBefore, row.since - 1) : s.left >= row.since ? s.left : head.seq
  // a cursor above the head comes from a log that was replaced by an older copy
  const cursor = Math.min(Math.max(place, row.since - 1), end)
  const from = !fresh ? cursor + 1 : came || s.first === 0 ? end + 1 : Math.max(s.first, row.since)
  const stays = row.left === 0 && s.left < row.since
  return { key, ts: head.ts, cursor, stored: { from, to: end }, late: came ? now : { from: Math.max(from, end + 1), to: stays ? s.last : 0 } }
}
