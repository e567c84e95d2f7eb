import type { ConvKey } from '../domain/ids.js'
import { isGroupKey } from '../domain/ids.js'
import type { Head } from '../domain/entry.js'
import type { Cursor, CursorStore, InboxRow, InboxStore } from '../ports/inbox.js'
import type { LogStore } from '../ports/log.js'
import { ConvState } from './conv-state.js'
import type { Roster } from './roster.js'
import type { Session } from './session.js'
import type { RetainedWindow, RetainedWindows } from './windows.js'

export interface ReplayDeps {
  log: LogStore
  inbox: InboxStore
  cursors: CursorStore
  roster: Roster
  windows: RetainedWindows
  limits: { readonly replay: number, readonly replayTotal: number }
}

/** What is due to the session in one conversation. */
interface Due { row: InboxRow, head: Head, end: number, base: number, conv: ConvState | null }

/** Puts a session that now holds a branch of the inbox under its groups, so that what is new reaches it. */
export async function enter (session: Session, deps: ReplayDeps): Promise<InboxRow[]> {
  deps.roster.add(session)
  const rows = await deps.inbox.rows(session.user)
  if (!session.closed) for (const row of rows) if (isGroupKey(row.conv) && row.left === 0) deps.roster.join(row.conv, session)
  return rows
}

/**
 * Prepares what is due, once per connection: what was in flight goes again, then everything after the cursors, at most
 * `limits.replay` newest entries per conversation and `limits.replayTotal` in all, latest activity first; what is left
 * out is announced (protocol.md, Delivery guarantees 2, 7). The roster has the session already, so nothing falls
 * between: what is appended meanwhile is in `early` or in the heads read here, or in both.
 */
export async function replay (session: Session, rows: InboxRow[], deps: ReplayDeps): Promise<void> {
  const stored = new Map<ConvKey, Cursor>()
  if (session.record !== null && session.from !== 'new-device') for (const c of await deps.cursors.load(session.user, session.device)) stored.set(c.conv, c)
  const furthest = session.from === 'new-device' ? await deps.cursors.furthest(session.user) : null
  const heads = await deps.log.heads(rows.map(r => r.conv))
  if (session.closed) return
  const window = session.from === 'now' ? (deps.windows.take(session.id), undefined) : deps.windows.take(session.id)
  const due = rows.map((row, i) => place(session, row, heads[i]!, stored.get(row.conv), furthest?.get(row.conv)))
  if (session.record !== null && session.from === 'new-device') {
    await deps.cursors.save(session.user, session.device, due.map(d => ({ conv: d.row.conv, contiguous: d.base, highest: d.base })))
    if (session.closed) return
  }
  if (window !== undefined && session.grants.holds('msg') && session.grants.qos('msg') === 1) resume(session, window, due)
  else if (window !== undefined) session.loss = window.loss
  limit(session, due, deps.limits)
  lateRows(session, rows)
  session.goLive()
}

/** Where the session stands in one conversation: `base` is the last seq that it need not get. */
function place (session: Session, row: InboxRow, head: Head, cursor: Cursor | undefined, furthest: number | undefined): Due {
  const end = row.left === 0 ? head.seq : row.left
  const floor = row.since - 1
  const moved = session.convs.get(row.conv)?.cursor ?? 0
  const at = session.from === 'new-device' ? Math.max(furthest ?? 0, row.read) : cursor?.contiguous ?? 0
  // a cursor above the head comes from a log that was replaced by an older copy
  const base = Math.min(Math.max(at, floor, moved), end)
  if (session.from !== 'now') return { row, head, end, base, conv: null }
  // a clean start gets what is new; the holes that this leaves are kept, no PUBACK moves the cursor over them
  if (session.record !== null && base < end) (session.holes ??= new Map()).set(row.conv, base)
  return { row, head, end, base: end, conv: null }
}

/** What the last connection left unacknowledged goes first, with its packet ids and DUP [MQTT-4.4.0-1]. */
function resume (session: Session, window: RetainedWindow, due: Due[]): void {
  const byKey = new Map(due.map(d => [d.row.conv, d]))
  const flights = new Map<number, { f: ConvState['flights'][number] }>()
  for (const kept of window.convs) {
    const d = byKey.get(kept.key)
    if (d === undefined) continue
    const open = kept.flights.filter(f => f.to > d.base && f.to <= d.end)
    if (open.length === 0) continue
    const conv = new ConvState(kept.key, d.base, open[open.length - 1]!.to + 1)
    for (const f of open) {
      const flight = { ...f, conv }
      conv.flights.push(flight)
      if (!flight.acked) flights.set(flight.packetId, { f: flight })
    }
    d.conv = conv
    session.convs.set(kept.key, conv)
  }
  session.resend = window.order.flatMap(id => flights.get(id)?.f ?? [])
  session.loss = window.loss
}

/** Queues what is past the base, newest conversation first, within the limits. */
function limit (session: Session, due: Due[], limits: ReplayDeps['limits']): void {
  let left = limits.replayTotal === 0 ? Infinity : limits.replayTotal
  due.sort((a, b) => b.head.ts - a.head.ts)
  for (const d of due) {
    const from = d.conv?.next ?? d.base + 1
    if (from > d.end) { if (d.conv !== null) d.conv.head = d.end; continue }
    let conv = d.conv ?? session.convs.get(d.row.conv)
    if (conv === undefined) session.convs.set(d.row.conv, conv = new ConvState(d.row.conv, d.base, from))
    conv.head = d.end
    conv.next = Math.max(from, d.end + 1 - Math.min(limits.replay, left))
    left -= d.end + 1 - conv.next
    if (conv.next > from) {
      if (session.grants.holds('gap')) conv.gap = { from, to: conv.next - 1 }
      else conv.pass(from, conv.next - 1)
    }
    session.enqueue(conv)
  }
}

/** Entries that came while the replay was prepared: of known conversations past the head, and of ones that are new. */
function lateRows (session: Session, rows: InboxRow[]): void {
  const known = new Set(rows.map(r => r.conv))
  for (const [key, seen] of session.early!) {
    let conv = session.convs.get(key)
    if (conv === undefined) {
      const next = known.has(key) ? session.early!.get(key)!.first : seen.first
      session.convs.set(key, conv = new ConvState(key, session.holes?.get(key) ?? next - 1, next))
    }
    if (seen.last <= conv.head) continue
    conv.head = seen.last
    session.enqueue(conv)
  }
}
