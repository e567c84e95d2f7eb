import type { ConvKey, DeviceId, UserId } from '../../domain/ids.js'
import type { Cursor, CursorStore } from '../../ports/inbox.js'
import type { Calls } from './calls.js'
import { type Database, deviceKey, own } from './database.js'

/** What is lost of these in a failover comes again as duplicates: they wait for no other member. */
const LOCAL = { readConcern: { level: 'local' } } as const

export class MongoCursorStore implements CursorStore {
  constructor (private readonly db: Database, private readonly calls: Calls) {}

  async load (user: UserId, device: DeviceId): Promise<Cursor[]> {
    const key = deviceKey(device)
    const docs = await this.calls.read(() => this.db.inbox.find({ u: user }, { projection: { _id: 0, c: 1, [`cur.${key}`]: 1, [`hi.${key}`]: 1 }, ...LOCAL }).toArray())
    return docs.flatMap(d => {
      const contiguous = own(d.cur, key)
      return contiguous === undefined ? [] : [{ conv: d.c as ConvKey, contiguous, highest: own(d.hi, key) ?? contiguous }]
    })
  }

  async furthest (user: UserId): Promise<Map<ConvKey, number>> {
    const docs = await this.calls.read(() => this.db.inbox.find({ u: user, cur: { $exists: true } }, { projection: { _id: 0, c: 1, cur: 1 }, ...LOCAL }).toArray())
    return new Map(docs.flatMap(d => {
      const all = Object.values(d.cur!)
      return all.length === 0 ? [] : [[d.c as ConvKey, Math.max(...all)]]
    }))
  }

  async save (user: UserId, device: DeviceId, cursors: readonly Cursor[]): Promise<void> {
    if (cursors.length === 0) return
    const key = deviceKey(device)
    await this.calls.write(() => this.db.inbox.bulkWrite(cursors.map(c => ({
      updateOne: {
        filter: { u: user, c: c.conv },
        update: { $max: { [`cur.${key}`]: c.contiguous, [`hi.${key}`]: Math.max(c.highest, c.contiguous) } },
        upsert: true
      }
    })), { ordered: false, writeConcern: { w: 1 } }), { again: true })
  }
}
