import type { ConvKey } from '../domain/ids.js'
import { isGroupKey } from '../domain/ids.js'
import type { Head } from '../domain/entry.js'
import type { DeviceStore } from '../ports/devices.js'
import type { CursorStore, InboxRow, InboxStore } from '../ports/inbox.js'
import type { LogStore } from '../ports/log.js'
import { ConvState, type Flight } from './conv-state.js'
import { furthest, type Places, storedPlaces } from './places.js'
import type { Roster } from './roster.js'
import type { Session } from './session.js'
import type { RetainedWindow, RetainedWindows } from './windows.js'

export interface ReplayDeps {
  log: LogStore
  inbox: InboxStore
  cursors: CursorStore
  devices: DeviceStore
  roster: Roster
  windows: RetainedWindows
  limits: { readonly replay: number, readonly replayTotal: number }
}

/** What is due to the session in one conversation: everything past `base` up to and including `end`. */
interface Due { key: ConvKey, head: Head, end: number, base: number }

/** Puts a session that now holds a branch of the inbox under its groups, so that what is new reaches it. */
export async function enter (session: Session, { roster, inbox }: ReplayDeps): Promise<InboxRow[]> {
  roster.add(session)
  roster.entering.add(session)
  let rows: InboxRow[]
  try { rows = await inbox.rows(session.user) } finally { roster.entering.delete(session) }
  if (session.closed) return rows
  for (const row of rows) if (isGroupKey(row.conv) && row.left === 0 && session.lefts?.has(row.conv) !== true) roster.join(row.conv, session)
  return rows
}

/**
 * Prepares what is due, once per connection: what was in flight goes again, then everything after the cursors, at most
 * `limits.replay` newest entries per conversation and `limits.replayTotal` in all, latest activity first; what is left
 * out is announced (protocol.md, Delivery guarantees 2, 7). The roster has the session already, so nothing falls
 * between: what is appended meanwhile is in `early` or in the heads read here, or in both.
 */
export async function replay (session: Session, rows: InboxRow[], deps: ReplayDeps): Promise<void> {
  const { record } = session
  const placed = record?.placed !== false
  const places: Places = record === null ? () => 0 : placed ? await storedPlaces(record, deps.cursors) : await furthest(record.user, deps.cursors)
  const heads = await deps.log.heads(rows.map(r => r.conv))
  if (session.closed) return
  const due = rows.map((row, i) => dueOf(session, row, heads[i]!, places(row)))
  if (record !== null && !placed) {
    await deps.cursors.save(record.user, record.device, due.map(d => ({ conv: d.key, contiguous: d.base, highest: d.base })))
    record.placed = true
    await deps.devices.put(record)
    if (session.closed) return
  }
  if (session.from === 'now') startNow(session, due)
  const window = deps.windows.take(session.id)
  if (window !== undefined) {
    session.loss = window.loss
    if (resumable(session, window)) resume(session, window, due)
  }
  limit(session, due, deps.limits)
  late(session)
  session.goLive()
}

/** `place` is where the device stands; `base` the last seq that it need not get. */
function dueOf (session: Session, row: InboxRow, head: Head, place: number): Due {
  const end = session.lefts?.get(row.conv) ?? (row.left === 0 ? head.seq : row.left)
  const named = session.holes?.get(row.conv) ?? 0
  session.holes?.delete(row.conv)
  // a cursor above the head comes from a log that was replaced by an older copy
  return { key: row.conv, head, end, base: Math.min(Math.max(place, row.since - 1, named), end) }
}

/** A clean start gets what is new; the holes that this leaves are kept, no PUBACK moves the cursor over them. */
function startNow (session: Session, due: Due[]): void {
  for (const d of due) {
    if (session.record !== null && d.base < d.end) (session.holes ??= new Map()).set(d.key, d.base)
    d.base = d.end
  }
}

/** Whether what the last connection was sent can still be sent so: its branches are held at QoS 1. */
const resumable = ({ grants }: Session, window: RetainedWindow): boolean => window.convs.every(c => c.flights.every(f =>
  (f.kind !== 'entry' || grants.qos('msg') === 1) && (f.kind !== 'batch' || grants.qos('batch') === 1)))

/** What the last connection left unacknowledged goes first, with its packet ids and DUP [MQTT-4.4.0-1]. */
function resume (session: Session, window: RetainedWindow, due: Due[]): void {
  const byKey = new Map(due.map(d => [d.key, d]))
  const unacknowledged = new Map<number, Flight>()
  for (const kept of window.convs) {
    const d = byKey.get(kept.key)
    const open = d === undefined ? [] : kept.flights.filter(f => f.to > d.base && f.to <= d.end)
    if (open.length === 0) continue
    const conv = new ConvState(kept.key, d!.base, d!.base + 1)
    conv.ahead = open.map(f => ({ ...f, conv }))
    for (const f of conv.ahead) if (!f.acked) unacknowledged.set(f.packetId, f)
    conv.takeAhead(session.ackMoves)
    session.convs.set(kept.key, conv)
  }
  session.sendFirst(window.order.flatMap(id => unacknowledged.get(id) ?? []))
}

/** Queues what is past the base, newest conversation first, within the limits. */
function limit (session: Session, due: Due[], limits: ReplayDeps['limits']): void {
  let left = limits.replayTotal === 0 ? Infinity : limits.replayTotal
  due.sort((a, b) => b.head.ts - a.head.ts)
  for (const d of due) {
    let conv = session.convs.get(d.key)
    const from = conv?.next ?? d.base + 1
    if (conv !== undefined) conv.head = d.end
    if (from > d.end) continue
    if (conv === undefined) session.convs.set(d.key, conv = new ConvState(d.key, d.base, from))
    conv.head = d.end
    conv.next = Math.max(from, d.end + 1 - Math.min(limits.replay, left))
    left -= d.end + 1 - conv.next
    if (conv.next > from) {
      if (session.grants.holds('gap')) conv.gap = { from, to: conv.next - 1 }
      else session.pass(conv, from, conv.next - 1)
    }
    session.enqueue(conv)
  }
}

/** Entries that came while the replay was prepared: past the heads that were read, and of conversations that are new. */
function late (session: Session): void {
  for (const [key, seen] of session.early!) {
    if (isGroupKey(key) && !session.groups.includes(key)) continue
    let conv = session.convs.get(key)
    if (conv === undefined) session.convs.set(key, conv = new ConvState(key, session.holes?.get(key) ?? seen.first - 1, seen.first))
    if (seen.last <= conv.head) continue
    conv.skip(seen.first - 1) // it was out of the group, and came back
    conv.head = seen.last
    session.enqueue(conv)
  }
}
