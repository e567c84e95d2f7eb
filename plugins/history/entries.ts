import { type Entry, entryJson, type Host, RawJson, type UserId } from '../../broker/plugin.js'
import type { View } from './view.js'

/** Bytes of entries in one answer (protocol.md, RPC methods). */
export const MAX_ENTRIES_BYTES = 256 * 1024
export const MAX_LIMIT = 200

/** How much an answer may still take. */
export interface Room {
  /** Bytes of entries. */
  bytes: number
  /** An entry larger than this fits into no answer to this client. */
  alone: number
  /** The answer has to hold one, whatever its size. */
  atLeastOne: boolean
}

/** An entry in full, or, when it can never fit, what it is and how many bytes it has. */
function shownEntry (e: Entry, view: View, user: UserId, nowMs: number, alone: number): Buffer {
  const json = entryJson(e, { conv: view.name, own: e.from === user, full: true }, nowMs)
  if (json.length <= alone) return json
  return Buffer.from(JSON.stringify({ conv: view.name, seq: e.seq, ts: e.ts, from: e.from, type: e.type, size: json.length }))
}

/** Entries that go into an answer, in seq order. */
export interface Taken { entries: RawJson[], bytes: number, firstSeq: number, lastSeq: number }

/**
 * The entries past `after`, or the newest below `before`, that a user may see and that fit: all but those cut off are
 * next to the given end. Empty when there are none, or the first does not fit and need not.
 */
export async function take (host: Host, user: UserId, view: View, first: number, where: { after: number } | { before: number }, limit: number, room: Room): Promise<Taken> {
  const found = await host.log.page(view.conv, { ...where, limit, maxBytes: Math.max(1, room.bytes) })
  const visible = found.filter(e => e.seq >= first && e.seq <= view.head)
  const backwards = 'before' in where
  if (backwards) visible.reverse()
  const nowMs = host.clock.now()
  const entries: RawJson[] = []
  let bytes = 0
  for (const e of visible) {
    const json = shownEntry(e, view, user, nowMs, room.alone)
    const needed = room.atLeastOne && entries.length === 0
    if (!needed && bytes + json.length + 1 > room.bytes) break
    bytes += json.length + 1
    entries.push(new RawJson(json))
  }
  if (entries.length === 0) return { entries, bytes, firstSeq: 0, lastSeq: 0 }
  const near = visible[0]!.seq
  const far = visible[entries.length - 1]!.seq
  if (backwards) entries.reverse()
  return { entries, bytes, firstSeq: Math.min(near, far), lastSeq: Math.max(near, far) }
}

/** The last entry that a user may see; null when there is none. */
export async function lastEntry (host: Host, user: UserId, view: View, alone: number): Promise<RawJson | null> {
  const [e] = await host.log.page(view.conv, { before: view.head + 1, limit: 1 })
  return e === undefined || e.seq < view.row.since ? null : new RawJson(shownEntry(e, view, user, host.clock.now(), alone))
}
