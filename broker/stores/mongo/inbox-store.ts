import type { AnyBulkWriteOperation } from 'mongodb'
import type { ConvKey, UserId } from '../../domain/ids.js'
import type { InboxRow, InboxStore, Mark } from '../../ports/inbox.js'
import type { Calls } from './calls.js'
import type { Database, InboxDoc } from './database.js'

/** A row, and not only cursors. */
const IS_ROW = { since: { $exists: true } }
const ROW = { _id: 0, c: 1, since: 1, left: 1, read: 1, dlv: 1, rc: 1 } as const

export class MongoInboxStore implements InboxStore {
  constructor (private readonly db: Database, private readonly calls: Calls) {}

  async rows (user: UserId): Promise<InboxRow[]> {
    return await this.calls.read(async () => (await this.db.inbox.find({ u: user, ...IS_ROW }, { projection: ROW }).toArray()).map(toRow))
  }

  async row (user: UserId, conv: ConvKey): Promise<InboxRow | undefined> {
    const doc = await this.calls.read(() => this.db.inbox.findOne({ u: user, c: conv, ...IS_ROW }, { projection: ROW }))
    return doc === null ? undefined : toRow(doc)
  }

  async mark (marks: readonly Mark[]): Promise<void> {
    if (marks.length === 0) return
    await this.calls.write(() => this.db.inbox.bulkWrite(marks.map(raise), { ordered: true }))
  }
}

export const toRow = (d: InboxDoc): InboxRow =>
  ({ conv: d.c as ConvKey, since: d.since!, left: d.left ?? 0, read: d.read ?? 0, delivered: d.dlv ?? 0, readCounts: d.rc ?? [0, 0] })

/** Max semantics on the server: marks of two nodes may cross. */
function raise ({ user, conv, read = 0, delivered = 0, readCounts }: Mark): AnyBulkWriteOperation<InboxDoc> {
  const set: Record<string, unknown> = { dlv: { $max: ['$dlv', read, delivered] } }
  if (read > 0) {
    set['read'] = { $max: ['$read', read] }
    if (readCounts !== undefined) set['rc'] = { $cond: [{ $gt: [read, { $ifNull: ['$read', 0] }] }, readCounts, '$rc'] }
  }
  return { updateOne: { filter: { u: user, c: conv, ...IS_ROW }, update: [{ $set: set }] } }
}
