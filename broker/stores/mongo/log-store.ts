import { randomBytes } from 'node:crypto'
import { ObjectId } from 'mongodb'
import type { Entry, Head } from '../../domain/entry.js'
import type { Effects } from '../../domain/group.js'
import type { ConvKey } from '../../domain/ids.js'
import type { AppendResult, Committed, Draft, PageQuery, SharedLog } from '../../ports/log.js'
import { Appends } from './appends.js'
import { type Calls, unavailable } from './calls.js'
import type { Database } from './database.js'
import { type EntryDoc, MOST_BYTES, ownCid, toEntry } from './entry-doc.js'
import { headOf, readHeads } from './heads.js'
import { sizeOf } from './lane.js'

/** Entries fetched at once of a page that is bounded by bytes. */
const FETCH = 50

export class MongoLogStore implements SharedLog {
  readonly #appends: Appends
  #closed = false

  constructor (private readonly db: Database, private readonly calls: Calls) {
    this.#appends = new Appends(db, calls)
  }

  append (draft: Draft): Promise<AppendResult> {
    if (this.#closed) return Promise.resolve({ kind: 'not-stored', cause: unavailable('the store is closed') })
    if (sizeOf(draft) > MOST_BYTES) return Promise.resolve({ kind: 'not-stored', cause: new RangeError(`an entry has at most ${MOST_BYTES} bytes`) })
    const cid = draft.cid === '' ? ownCid(randomBytes(12).toString('base64url')) : draft.cid
    return new Promise(resolve => { this.#appends.add({ draft, id: new ObjectId(), cid, searched: false, resolve }) })
  }

  async heads (convs: readonly ConvKey[]): Promise<Head[]> {
    if (convs.length === 0) return []
    const heads = await this.calls.read(() => readHeads(this.db, [...new Set(convs)]))
    return convs.map(c => headOf(heads, c))
  }

  async page (conv: ConvKey, q: PageQuery): Promise<Entry[]> {
    const forwards = q.after !== undefined
    const docs = await this.calls.read(() => this.#read(conv, forwards ? { $gt: q.after! } : { $lt: q.before! }, forwards ? 1 : -1, q))
    return (forwards ? docs : docs.reverse()).map(toEntry)
  }

  async #read (c: ConvKey, s: object, order: 1 | -1, { limit, maxBytes = Infinity }: PageQuery): Promise<EntryDoc[]> {
    const cursor = this.db.log.find({ c, s }, { sort: { c: order, s: order }, limit, batchSize: maxBytes === Infinity ? limit : Math.min(limit, FETCH) })
    const out: EntryDoc[] = []
    let bytes = 0
    try {
      for await (const doc of cursor) {
        out.push(doc)
        bytes += (doc.f?.length() ?? 0) + (doc.b?.length() ?? 0)
        if (bytes >= maxBytes) break
      }
    } finally { await cursor.close() }
    return out
  }

  async missed (c: ConvKey, after: number, limit: number): Promise<Committed[]> {
    const docs = await this.calls.read(() => this.db.log.find({ c, s: { $gte: after } }, { sort: { c: 1, s: 1 }, limit: limit + 1 }).toArray())
    return docs.flatMap((doc, i) => doc.s <= after ? [] : [{
      entry: toEntry(doc), afterMs: docs[i - 1]?.ts ?? 0, ...(doc.e === undefined ? {} : { effects: JSON.parse(doc.e) as Effects })
    }])
  }

  async recent (sinceMs: number): Promise<Map<ConvKey, number>> {
    const from = ObjectId.createFromTime(Math.max(0, Math.floor(sinceMs / 1000)))
    const docs = await this.calls.read(() => this.db.log.find({ _id: { $gte: from } }, { projection: { _id: 0, c: 1, s: 1 }, sort: { _id: 1 }, batchSize: 10_000 }).toArray())
    const out = new Map<ConvKey, number>()
    for (const { c, s } of docs) out.set(c as ConvKey, Math.max(s, out.get(c as ConvKey) ?? 0))
    return out
  }

  heard (conv: ConvKey, head: Head): void { this.#appends.heard(conv, head) }

  /** What waits is answered `unknown`: some of it may have been stored. Resolves when nothing is on its way any more. */
  async close (): Promise<void> {
    this.#closed = true
    await this.#appends.close()
  }
}
