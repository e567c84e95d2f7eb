import type { Entry, Head } from '../domain/entry.js'
import type { Effects } from '../domain/group.js'
import type { ConvKey } from '../domain/ids.js'

/** An entry before the store gave it its place: without seq, ts and counts. */
export type Draft = Omit<Entry, 'seq' | 'ts' | 'counts'> & {
  /** Server time of the publish, ms; the entry's `ts` is this or the head's, whichever is later. */
  nowMs: number
  /** A library's resend (MQTT DUP): without a cid, the newest 200 entries are searched for the same device, packet id and hash. */
  dup: boolean
  effects?: Effects
}

/**
 * How an append ended. Callers decide each: the types leave no case out.
 * - `stored`: durably committed; a kill of every process the next instant does not lose it. `afterMs`: `ts` of the entry
 *   before it, 0 when it is the first.
 * - `already-stored`: this sender's cid (or DUP resend) is in the log with the same payload; `entry` is the first one.
 * - `conflict`: the cid is in the log with another payload; or the group to create exists.
 * - `not-stored`: certainly not in the log, now or later: the store was closed, or cannot hold it. A ParleyError
 *   `unavailable` as its cause may be tried again.
 * - `unknown`: no answer in time, or the store was closed while the commit failed. Never taken for `not-stored`; only a
 *   retry with the same cid settles it.
 */
export type AppendResult =
  | { kind: 'stored', entry: Entry, afterMs: number }
  | { kind: 'already-stored', entry: Entry }
  | { kind: 'conflict' }
  | { kind: 'not-stored', cause: Error }
  | { kind: 'unknown', cause: Error }

export interface PageQuery {
  /** Entries with seq above this, in ascending order … */
  after?: number
  /** … or the newest ones below this, in ascending order too. Exactly one of the two. */
  before?: number
  /** At least 1. */
  limit: number
  /** Stops behind the entry that reaches this many bytes of fields; at least one entry is given. */
  maxBytes?: number
}

/** The truth: one append-only log per conversation. */
export interface LogStore {
  /**
   * Gives the entry the next seq and commits it, with its effects, in one transaction.
   * Ordered: of one conversation, calls take effect in the order in which they were made. Idempotent by
   * (conversation, sender, cid). While the store cannot commit (disk full), the promise stays pending and order is
   * kept; {@link Health} says why; a store that is closed then answers `unknown` or `not-stored`. Never rejects.
   */
  append (draft: Draft): Promise<AppendResult>
  /** Committed heads, in the order asked; {@link EMPTY_HEAD} for a conversation without entries. Any number at once, in bounded slices of the event loop. */
  heads (convs: readonly ConvKey[]): Promise<Head[]>
  /** Committed entries in ascending order, at most `limit`; empty when there are none on that side. */
  page (conv: ConvKey, query: PageQuery): Promise<Entry[]>
}

/** An entry and what it changed, as a node tells it to others. */
export interface Committed { entry: Entry, afterMs: number, effects?: Effects }

/** The log of several nodes, for one that may have missed what another appended. */
export interface SharedLog extends LogStore {
  /** A conversation's entries above `after`, in order, at most `limit`. */
  missed (conv: ConvKey, after: number, limit: number): Promise<Committed[]>
  /** Conversations to which any node appended since then, and the last seq of each. */
  recent (sinceMs: number): Promise<Map<ConvKey, number>>
  /** Another node appended: the head that this one had is old. */
  heard (conv: ConvKey, head: Head): void
}

/** Whether a store can commit now. */
export interface Health { ok: boolean, why?: string }
