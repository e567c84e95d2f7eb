import { type ConvKey, type DeviceId, type SessionId, sessionId, type UserId } from '../domain/ids.js'
import type { DeviceStore } from '../ports/devices.js'
import type { InboxStore } from '../ports/inbox.js'
import type { LogStore } from '../ports/log.js'
import type { CursorKeeper } from './cursor-keeper.js'
import type { Session } from './session.js'

/**
 * Moves a device's cursors to where it says that it stands (`sync`), connected or not; saved when it resolves if it is
 * not. Conversations that are not in the user's inbox, and seqs above what the user may see of one, are ignored.
 */
export async function moveCursors (user: UserId, device: DeviceId, seqs: ReadonlyMap<ConvKey, number>, deps: {
  log: LogStore, inbox: InboxStore, devices: DeviceStore, keeper: CursorKeeper, session (id: SessionId): Session | undefined
}): Promise<void> {
  const rows = (await deps.inbox.rows(user)).filter(r => (seqs.get(r.conv) ?? 0) > 0)
  const heads = await deps.log.heads(rows.map(r => r.conv))
  const moved = rows.flatMap((row, i) => {
    const seq = seqs.get(row.conv)!
    return seq > (row.left === 0 ? heads[i]!.seq : row.left) ? [] : [{ conv: row.conv, contiguous: seq, highest: seq }]
  })
  const session = deps.session(sessionId(user, device))
  if (session === undefined) await deps.keeper.name(user, await deps.devices.get(user, device) === undefined ? null : device, moved)
  else for (const { conv, contiguous } of moved) session.moveTo(conv, contiguous)
}
