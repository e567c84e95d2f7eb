import type { ConvKey, DeviceId, UserId } from '../domain/ids.js'

/**
 * One conversation in a user's inbox. Rows are made by the log store, in the transaction of the conversation's first
 * entry (direct) or of the entry by which the user joined (group).
 */
export interface InboxRow {
  readonly conv: ConvKey
  /** Seq of the first entry that the user may see; 1 for direct conversations. */
  readonly since: number
  /** Seq of the last entry that the user may see: the one by which it left; 0: still in. */
  readonly left: number
  /** Read mark, a watermark: up to and including this seq. */
  readonly read: number
  /** Delivered mark; never below `read`. */
  readonly delivered: number
  /** {@link Entry.counts} of the entry at the read mark, or `[0,0]`. */
  readonly readCounts: readonly [number, number]
}

export interface Mark { user: UserId, conv: ConvKey, read?: number, readCounts?: readonly [number, number], delivered?: number }

/** Where a device stands in one conversation. */
export interface Cursor {
  conv: ConvKey
  /** Everything up to and including this seq was acknowledged, announced or its own. */
  contiguous: number
  /** The highest seq acknowledged; what push goes by. Never below `contiguous`. */
  highest: number
}

export interface InboxStore {
  /** All of a user's rows, those of left groups too, in no promised order. Empty for an unknown user. */
  rows (user: UserId): Promise<InboxRow[]>
  row (user: UserId, conv: ConvKey): Promise<InboxRow | undefined>
  /** Raises marks; a lower value than the stored one changes nothing (max semantics). A mark for a row that is not there is dropped. */
  mark (marks: readonly Mark[]): Promise<void>
}

export interface CursorStore {
  /** The device's stored cursors; conversations without one are left out. */
  load (user: UserId, device: DeviceId): Promise<Cursor[]>
  /** Per conversation the furthest `contiguous` of all the user's devices. For a new device (protocol.md, guarantee 7). */
  furthest (user: UserId): Promise<Map<ConvKey, number>>
  /** Raises cursors (max semantics, each number by itself). Losing the newest save costs duplicates only. */
  save (user: UserId, device: DeviceId, cursors: readonly Cursor[]): Promise<void>
}
