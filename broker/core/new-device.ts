import type { Session } from './session.js'
import type { CursorStore, InboxStore } from '../ports/inbox.js'
import type { LogStore } from '../ports/log.js'

/**
 * Writes the cursors of a device that is made while its connection lives: it stands where this connection stands, which
 * got what was new since it began.
 */
export async function placeDevice (session: Session, deps: { log: LogStore, inbox: InboxStore, cursors: CursorStore }): Promise<void> {
  const rows = await deps.inbox.rows(session.user)
  const heads = await deps.log.heads(rows.map(r => r.conv))
  await deps.cursors.save(session.user, session.device, rows.map((row, i) => {
    const at = session.convs.get(row.conv)?.cursor ?? (row.left === 0 ? heads[i]!.seq : row.left)
    return { conv: row.conv, contiguous: at, highest: at }
  }))
}
