import type { ConvKey, UserId } from '../domain/ids.js'
import type { Device } from '../ports/devices.js'
import type { CursorStore, InboxRow } from '../ports/inbox.js'

/** Where a device stands in a conversation; 0: at its beginning. */
export type Places = (row: InboxRow) => number

/** By the device's own cursors. */
export async function storedPlaces ({ user, device }: Device, cursors: CursorStore): Promise<Places> {
  const stored = new Map<ConvKey, number>()
  for (const c of await cursors.load(user, device)) stored.set(c.conv, c.contiguous)
  return row => stored.get(row.conv) ?? 0
}

/** A new device stands where the user's furthest device or read mark does (protocol.md, guarantee 7). */
export async function furthest (user: UserId, cursors: CursorStore): Promise<Places> {
  const stored = await cursors.furthest(user)
  return row => Math.max(stored.get(row.conv) ?? 0, row.read)
}
