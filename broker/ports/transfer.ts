import type { Entry } from '../domain/entry.js'
import type { Group, Member } from '../domain/group.js'
import type { ConvKey, DeviceId, GroupId, UserId } from '../domain/ids.js'
import type { Device } from './devices.js'
import type { Cursor, InboxRow } from './inbox.js'
import type { Ticket } from './tickets.js'
import type { TopicStore } from './topics.js'

/** All that a store keeps beside ordinary topics, by kind, a record for each. */
export interface Records {
  cursors: Cursor & { user: UserId, device: DeviceId }
  inbox: InboxRow & { user: UserId }
  members: Member & { group: GroupId }
  groups: Group
  users: { user: UserId }
  blocks: { user: UserId, blocked: UserId }
  devices: Device
  tickets: Ticket & { hash: string }
  /** When a device was removed the last time, ms. */
  removals: { user: UserId, device: DeviceId, ms: number }
  log: Entry
}
export type Kind = keyof Records

/** What a store says of an import into it: `whole` undefined, or the name of the one that was begun and not ended. */
export interface TransferState {
  epoch: string
  /** {@link TransferStore.begin}'s, until its `end`. */
  importing: string | undefined
}

/**
 * A store, opened to be read or written as a whole: by `parley export` and `parley import`, never by a node. Whatever is
 * asked, memory stays bounded: batches hold a few hundred records.
 */
export interface TransferStore {
  /** Null: this store does not keep what belongs to ordinary topics. */
  readonly topics: TopicStore | null
  state (): Promise<TransferState>
  /**
   * All records of a kind, each once, ordered by the bytes of: conversation and seq (log) · user, conversation and device
   * (cursors) · user and conversation (inbox) · group and user · group · user · user and blocked · user and device
   * (devices, removals) · hash. The same in every store, so that two exports of the same data are the same.
   * While others write, what is there from the beginning to the end is given, and entries are a log without its newest.
   */
  read<K extends Kind> (kind: K): AsyncIterable<Records[K][]>
  /** An import begins: until {@link end} no node opens the store. `epoch` replaces the store's own. Durable when it resolves. */
  begin (name: string, epoch?: string): Promise<void>
  /**
   * Adds what is not there; durable when it resolves; again, it changes nothing. What is there already:
   * - entries, groups and members must be the same;
   * - marks of inbox rows, cursors and removals are raised, never lowered;
   * - the rest stays as it is.
   * Entries are put in the order of their seq; the first one of a direct conversation makes its inbox rows, as an append does.
   * @throws Error, a sentence that names the record, when another one stands in its place; or the store cannot commit
   */
  put<K extends Kind> (kind: K, batch: readonly Records[K][]): Promise<void>
  /** The import is whole. */
  end (): Promise<void>
  close (): Promise<void>
}

export const sameEntry = (a: Entry, b: Entry): boolean =>
  a.conv === b.conv && a.seq === b.seq && a.ts === b.ts && a.counts[0] === b.counts[0] && a.counts[1] === b.counts[1] && a.from === b.from &&
  a.dev === b.dev && a.cid === b.cid && a.type === b.type && a.exp === b.exp && a.hash === b.hash && a.packetId === b.packetId &&
  a.fields.equals(b.fields) && a.push.equals(b.push) && (a.bytes === null ? b.bytes === null : b.bytes !== null && a.bytes.equals(b.bytes))

export const sameMember = (a: Member, b: Member): boolean => a.role === b.role && a.since === b.since

export const sameGroup = (a: Group, b: Group): boolean =>
  a.kind === b.kind && a.title === b.title && a.avatar === b.avatar && JSON.stringify(a.custom) === JSON.stringify(b.custom) &&
  a.historyVisible === b.historyVisible && a.createdMs === b.createdMs && a.deleted === b.deleted

/** Another record stands where one was to be put. */
export const conflict = {
  entry: (e: Pick<Entry, 'conv' | 'seq'>): Error => new Error(`conversation ${e.conv}, seq ${e.seq}: another entry stands there already. This store holds other data: import into an empty one`),
  cid: (e: Pick<Entry, 'conv' | 'seq' | 'cid' | 'from'>): Error => new Error(`conversation ${e.conv}, seq ${e.seq}: another entry of ${e.from} has its cid ${JSON.stringify(e.cid)}. This store holds other data: import into an empty one`),
  gap: (e: Pick<Entry, 'conv' | 'seq'>): Error => new Error(`conversation ${e.conv}, seq ${e.seq}: the entry before it is missing`),
  group: (g: Pick<Group, 'group'>): Error => new Error(`group ${g.group}: another one of this name is there already. This store holds other data: import into an empty one`),
  member: (group: GroupId, user: UserId): Error => new Error(`group ${group}: its member ${user} is there already with another role. This store holds other data: import into an empty one`)
}

/** The inbox row with what `more` raises; `row` itself when that is nothing. */
export function raisedRow (row: InboxRow, more: InboxRow): InboxRow {
  const read = Math.max(row.read, more.read)
  const delivered = Math.max(row.delivered, more.delivered)
  if (read === row.read && delivered === row.delivered) return row
  return { ...row, read, delivered, readCounts: read > row.read ? more.readCounts : row.readCounts }
}

/** The inbox row that a direct conversation begins with. */
export const firstRow = (conv: ConvKey): InboxRow => ({ conv, since: 1, left: 0, read: 0, delivered: 0, readCounts: [0, 0] })
