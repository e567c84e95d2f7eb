import { type ConvKey, type ConvName, type Counts, groupOf, type Head, type Host, type InboxRow, isGroupKey, nameOf, peerOf, type UserId } from '../../broker/plugin.js'

/** What of one conversation one user may see, as it stood at one moment. */
export interface View {
  readonly conv: ConvKey
  /** As the user writes it. */
  readonly name: ConvName
  readonly row: InboxRow
  /** The user is no longer a member. */
  readonly left: boolean
  /** Seq of the last entry that may be seen; 0: none. */
  readonly head: number
  /** Of that entry. */
  readonly ts: number
  readonly counts: Counts
}

/** Seq up to which a user may see. A row is newer than the head read before it: a removal past that head is not yet. */
export const lastSeen = (row: InboxRow, headSeq: number): number => row.left !== 0 && row.left < headSeq ? row.left : headSeq

/**
 * The view of a user; undefined when the conversation never was in its inbox. `head` was read before this call, and
 * the row is read after it: so nothing is seen that came after the user was removed, whatever happens meanwhile.
 */
export async function viewOf (host: Host, user: UserId, conv: ConvKey, head: Head): Promise<View | undefined> {
  const row = await host.inbox.row(user, conv)
  if (row === undefined) return undefined
  const left = row.left !== 0 && row.left <= head.seq
  const base = { conv, name: nameOf(conv, user), row, left }
  if (!left || row.left === head.seq) return { ...base, head: head.seq, ts: head.ts, counts: head.counts }
  const [last] = await host.log.page(conv, { after: row.left - 1, limit: 1 })
  return { ...base, head: row.left, ts: last?.ts ?? head.ts, counts: last?.counts ?? head.counts }
}

/** Seq of the first entry that may be seen: where the user came in, or 1 while the group shows all to its members. */
export async function firstSeen (host: Host, view: View): Promise<number> {
  if (view.row.since === 1 || view.left || !isGroupKey(view.conv)) return view.row.since
  return (await host.directory.group(groupOf(view.conv)))?.historyVisible === true ? 1 : view.row.since
}

/** The other one's marks in a direct conversation; nothing in groups, in notes to self, and before anything was said. */
export async function peerMarks (host: Host, user: UserId, conv: ConvKey): Promise<{ peer?: { delivered: number, read: number } }> {
  if (isGroupKey(conv)) return {}
  const peer = peerOf(conv, user)
  const row = peer === user ? undefined : await host.inbox.row(peer, conv)
  return row === undefined ? {} : { peer: { delivered: row.delivered, read: row.read } }
}
