import { type ConvKey, isGroupKey } from '../domain/ids.js'
import { EMPTY_HEAD, type Head } from '../domain/entry.js'
import type { DeviceStore } from '../ports/devices.js'
import type { CursorStore, InboxRow, InboxStore } from '../ports/inbox.js'
import type { LogStore } from '../ports/log.js'
import { ConvState, type Flight } from './conv-state.js'
import { type Due, dueOf } from './due.js'
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
  /** What the session will have been given of a conversation that it hears the news of since then. */
  learn (conv: ConvKey, head: Head, sinceMs: number): void
  limits: { readonly replay: number, readonly replayTotal: number }
}

/** Begins what sessions are sent. */
export class Replays {
  private readonly entering = new WeakMap<Session, Promise<InboxRow[]>>()
  /** `failed`: the store could not be read. */
  constructor (private readonly deps: ReplayDeps, private readonly failed: (session: Session, err: unknown) => void) {}

  /** The session holds a branch of the inbox; `reads`: `msg` or `batch` too. */
  enter (session: Session, reads: boolean): void {
    if (reads) this.prepare(session)
    const rows = enter(session, this.deps)
    this.entering.set(session, rows)
    ;(reads ? rows.then(async r => { await replay(session, r, this.deps) }) : rows).catch((err: unknown) => { this.failed(session, err) })
  }

  /** It holds one of these now, later than another branch. */
  replay (session: Session): void {
    this.prepare(session)
    this.entering.get(session)!
      .then(async () => await this.deps.inbox.rows(session.user)) // conversations may be new since it entered
      .then(async rows => { await replay(session, rows, this.deps) })
      .catch((err: unknown) => { this.failed(session, err) })
  }

  private prepare (session: Session): void { if (session.from === 'now') this.deps.roster.preparing.add(session) }
}

/** Puts a session that now holds a branch of the inbox under its groups, so that what is new reaches it. */
async function enter (session: Session, { roster, inbox }: ReplayDeps): Promise<InboxRow[]> {
  session.enteredMs = session.world.clock.now()
  await roster.add(session)
  const rows = await inbox.rows(session.user)
  if (session.closed) return rows
  const isIn = (row: InboxRow): boolean => isGroupKey(row.conv) && row.left === 0 && (session.seen?.get(row.conv)?.left ?? 0) < row.since
  await Promise.all(rows.flatMap(row => isIn(row) ? roster.join(row.conv, session) ?? [] : []))
  if (session.state === 'entered') session.seen = null
  return rows
}

/**
 * Prepares what is due, once per connection: what was in flight goes again, then everything after the cursors, at most
 * `limits.replay` newest entries per conversation and `limits.replayTotal` in all, latest activity first; what is left
 * out is announced (protocol.md, Delivery guarantees 2, 7). The roster has the session already, so nothing falls
 * between: what is appended meanwhile is in `seen` or in the heads read here, or in both.
 */
async function replay (session: Session, rows: InboxRow[], deps: ReplayDeps): Promise<void> {
  const { record } = session
  const placed = record?.placed !== false
  const places: Places = record === null ? () => 0 : placed ? await storedPlaces(record, deps.cursors) : await furthest(record.user, deps.cursors)
  const heads = await deps.log.heads(rows.map(r => r.conv))
  if (session.closed) return
  rows.forEach((row, i) => { if (row.left === 0) deps.learn(row.conv, heads[i]!, session.enteredMs) })
  if (record !== null && !placed) {
    await deps.cursors.save(record.user, record.device, allDue(session, rows, heads, places).map(d => ({ conv: d.key, contiguous: d.cursor, highest: d.cursor })))
    record.placed = true
    await deps.devices.put(record)
    if (session.closed) return
  }
  const due = allDue(session, rows, heads, places)
  // no PUBACK moves a cursor over what a clean start leaves out
  for (const d of due) {
    session.holes?.delete(d.key)
    if (session.record !== null && d.cursor < d.stored.from - 1) (session.holes ??= new Map()).set(d.key, d.cursor)
  }
  const window = deps.windows.take(session.id)
  if (window !== undefined) {
    session.loss = window.loss
    if (resumable(session, window)) resume(session, window, due)
  }
  limit(session, due, deps.limits)
  late(session, due)
  deps.roster.preparing.delete(session)
  session.goLive()
}

function allDue (session: Session, rows: readonly InboxRow[], heads: readonly Head[], places: Places): Due[] {
  const fresh = session.from === 'now'
  const due = rows.map((row, i) => dueOf(row.conv, row, heads[i]!, session.seen!.get(row.conv), Math.max(places(row), session.holes?.get(row.conv) ?? 0), fresh))
  const known = new Set(rows.map(r => r.conv))
  for (const [key, seen] of session.seen!) {
    if (!known.has(key) && (!isGroupKey(key) || seen.joined !== 0)) due.push(dueOf(key, undefined, EMPTY_HEAD, seen, 0, fresh))
  }
  return due
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
    const open = d === undefined ? [] : kept.flights.filter(f => f.to > d.cursor && f.to <= d.stored.to)
    if (open.length === 0) continue
    const conv = new ConvState(kept.key, d!.cursor, d!.stored.from)
    conv.ahead = open.map(f => ({ ...f, conv }))
    for (const f of conv.ahead) if (!f.acked) unacknowledged.set(f.packetId, f)
    conv.takeAhead(session.ackMoves)
    session.convs.set(kept.key, conv)
  }
  session.sendFirst(window.order.flatMap(id => unacknowledged.get(id) ?? []))
}

/** Queues what is stored, newest conversation first, within the limits. */
function limit (session: Session, due: Due[], limits: ReplayDeps['limits']): void {
  let left = limits.replayTotal === 0 ? Infinity : limits.replayTotal
  due.sort((a, b) => b.ts - a.ts)
  for (const { key, cursor, stored } of due) {
    let conv = session.convs.get(key)
    const from = conv?.next ?? stored.from
    if (conv !== undefined) conv.head = stored.to
    if (from > stored.to) continue
    if (conv === undefined) session.convs.set(key, conv = new ConvState(key, cursor, from))
    conv.head = stored.to
    conv.next = Math.max(from, stored.to + 1 - Math.min(limits.replay, left))
    left -= stored.to + 1 - conv.next
    if (conv.next > from) {
      if (session.grants.holds('gap')) conv.gap = { from, to: conv.next - 1 }
      else session.pass(conv, from, conv.next - 1)
    }
    session.enqueue(conv)
  }
}

/** Queues what came while the replay was prepared. */
function late (session: Session, due: Due[]): void {
  for (const { key, late } of due) {
    if (late.to < late.from || late.from === 0) continue
    let conv = session.convs.get(key)
    if (conv === undefined) session.convs.set(key, conv = new ConvState(key, session.holes?.get(key) ?? late.from - 1, late.from))
    conv.skip(late.from - 1)
    conv.head = late.to
    session.enqueue(conv)
  }
}
