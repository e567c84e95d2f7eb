import type { Device } from '../ports/devices.js'
import type { CursorStore, InboxStore } from '../ports/inbox.js'
import type { LogStore } from '../ports/log.js'
import { furthest } from './places.js'
import type { Session } from './session.js'

/**
 * Makes the device of a connection that began without one: it stands where every new device does. What lies between
 * there and what this connection was given stays a hole, which the next connection fills.
 */
export async function placeDevice (session: Session, record: Device, deps: { log: LogStore, inbox: InboxStore, cursors: CursorStore }): Promise<void> {
  const rows = await deps.inbox.rows(session.user)
  const places = await furthest(session.user, deps.cursors)
  const heads = await deps.log.heads(rows.map(r => r.conv))
  const cursors = rows.map((row, i) => {
    const end = row.left === 0 ? heads[i]!.seq : row.left
    const at = Math.min(Math.max(places(row), row.since - 1), end)
    const conv = session.convs.get(row.conv)
    if (conv !== undefined) conv.cursor = Math.min(conv.cursor, at)
    else if (at < end) (session.holes ??= new Map()).set(row.conv, at)
    return { conv: row.conv, contiguous: at, highest: at }
  })
  await deps.cursors.save(session.user, session.device, cursors)
  record.placed = true
  session.record = record
}
