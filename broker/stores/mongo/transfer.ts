import type { Collection, Document, Filter, Sort } from 'mongodb'
import type { Entry } from '../../domain/entry.js'
import { type ConvKey, type DeviceId, groupKey, groupOf, isGroupKey, sessionId, type UserId } from '../../domain/ids.js'
import { conflict, type Kind, type Records, sameEntry, sameGroup, sameMember, type TransferState, type TransferStore } from '../../ports/transfer.js'
import { duplicatesOf, type Taken } from './append-errors.js'
import type { Calls } from './calls.js'
import { type Database, deviceKey, deviceOfKey, type InboxDoc, own } from './database.js'
import { fromDeviceDoc } from './device-store.js'
import { fromGroupDoc, fromMemberDoc, toGroupFields } from './directory.js'
import { openDirect } from './effects.js'
import { docOfEntry, type EntryDoc, MOST_BYTES, toEntry } from './entry-doc.js'
import { toRow } from './inbox-store.js'
import { fromTicketDoc, toTicketDoc } from './ticket-store.js'

/** Documents of a query. Not one long cursor: the server ends those that take half an hour. */
const PAGE = 500

type Keyed = { [K in Kind]: { key: (r: Records[K]) => Document, fields: (r: Records[K]) => Document } }
/** Where a record of these kinds stands, and what it is made with; what is there stays. */
const NEW: Pick<Keyed, 'users' | 'blocks' | 'devices' | 'tickets'> = {
  users: { key: ({ user }) => ({ _id: user }), fields: () => ({}) },
  blocks: { key: ({ user, blocked }) => ({ u: user, o: blocked }), fields: () => ({}) },
  devices: { key: ({ user, device }) => ({ _id: sessionId(user, device) }), fields: ({ user, device, ...rest }) => ({ u: user, d: device, ...rest }) },
  tickets: { key: ({ hash }) => ({ _id: hash }), fields: toTicketDoc }
}

/** MongoDB, read and written as a whole. */
export class MongoTransfer implements TransferStore {
  readonly topics = null
  constructor (private readonly db: Database, private readonly calls: Calls, private readonly leave: () => Promise<void>) {}

  async state (): Promise<TransferState> {
    const meta = await this.calls.read(() => this.db.meta.findOne({ _id: 'store' }))
    return { epoch: meta!.epoch, importing: meta!.importing }
  }

  async begin (name: string, epoch?: string): Promise<void> {
    await this.calls.write(() => this.db.meta.updateOne({ _id: 'store' }, { $set: { importing: name, ...(epoch === undefined ? {} : { epoch }) } }))
  }

  async end (): Promise<void> { await this.calls.write(() => this.db.meta.updateOne({ _id: 'store' }, { $unset: { importing: '' } })) }

  async close (): Promise<void> {
    this.calls.closed = true
    await this.leave()
    await this.db.client.close()
  }

  // ---- reading

  read<K extends Kind> (kind: K): AsyncIterable<Records[K][]> { return (this.#readers[kind] as () => AsyncIterable<Records[K][]>)() }

  readonly #readers: { [K in Kind]: () => AsyncIterable<Records[K][]> } = {
    log: () => this.#pages(this.db.log, 'by_seq', ['c', 's'], {}, toEntry),
    inbox: () => this.#pages(this.db.inbox, 'by_user', ['u', 'c'], { since: { $exists: true } }, d => ({ user: d.u as UserId, ...toRow(d) })),
    cursors: () => this.#cursors(),
    members: () => this.#pages(this.db.members, 'by_group', ['c', 'u'], {}, d => ({ group: groupOf(d.c as ConvKey), ...fromMemberDoc(d) })),
    groups: () => this.#pages(this.db.groups, '_id_', ['_id'], { kind: { $exists: true } }, fromGroupDoc),
    users: () => this.#pages(this.db.users, '_id_', ['_id'], {}, d => ({ user: d._id as UserId })),
    blocks: () => this.#pages(this.db.blocks, 'by_user', ['u', 'o'], {}, d => ({ user: d.u as UserId, blocked: d.o as UserId })),
    devices: () => this.#pages(this.db.devices, 'by_user', ['u', 'd'], {}, fromDeviceDoc),
    tickets: () => this.#pages(this.db.tickets, '_id_', ['_id'], {}, d => ({ hash: d._id, ...fromTicketDoc(d) })),
    removals: () => this.#pages(this.db.removals, 'by_user', ['u', 'd'], {}, d => ({ user: d.u as UserId, device: d.d as DeviceId, ms: d.ms }))
  }

  /** All documents that an index holds, in its order; each page begins behind the last one's end. */
  async * #pages<D extends Document, T> (of: Collection<D>, hint: string, key: readonly string[], filter: Filter<D>, read: (doc: D) => T): AsyncGenerator<T[]> {
    const sort = Object.fromEntries(key.map(name => [name, 1])) as Sort
    for (let last: Document | undefined; ;) {
      const page = await this.calls.read(async () => {
        const cursor = of.find(filter, { hint, sort, limit: PAGE + (last === undefined ? 0 : 1), batchSize: PAGE + 1 })
        return await (last === undefined ? cursor : cursor.min(Object.fromEntries(key.map(name => [name, last![name] as unknown])))).toArray() as D[]
      })
      const full = page.length >= PAGE
      if (last !== undefined && page.length > 0 && key.every(name => page[0]![name] === last![name])) page.shift()
      if (page.length > 0) yield page.map(read)
      if (!full) return
      last = page.at(-1)!
    }
  }

  async * #cursors (): AsyncGenerator<Records['cursors'][]> {
    for await (const docs of this.#pages(this.db.inbox, 'by_user', ['u', 'c'], { cur: { $exists: true } }, d => d)) yield docs.flatMap(cursorsOf)
  }

  // ---- writing

  async put<K extends Kind> (kind: K, batch: readonly Records[K][]): Promise<void> {
    if (batch.length === 0) return
    await (this.#writers[kind] as (batch: readonly Records[K][]) => Promise<void>)(batch)
  }

  readonly #writers: { [K in Kind]: (batch: readonly Records[K][]) => Promise<void> } = {
    log: async batch => { await this.#entries(batch) },
    inbox: async batch => {
      await this.#upsert('inbox', batch.map(({ user, conv, since, left, read, delivered, readCounts }) => ({
        key: { u: user, c: conv },
        update: [{ $set: {
          since: { $ifNull: ['$since', since] }, left: { $ifNull: ['$left', left] }, dlv: { $max: ['$dlv', delivered] }, read: { $max: ['$read', read] },
          rc: { $cond: [{ $gt: [read, { $ifNull: ['$read', -1] }] }, readCounts, { $ifNull: ['$rc', readCounts] }] }
        } }]
      })))
    },
    cursors: async batch => {
      await this.#upsert('inbox', batch.map(c => ({
        key: { u: c.user, c: c.conv }, update: { $max: { [`cur.${deviceKey(c.device)}`]: c.contiguous, [`hi.${deviceKey(c.device)}`]: c.highest } }
      })))
    },
    removals: async batch => { await this.#upsert('removals', batch.map(({ user, device, ms }) => ({ key: { u: user, d: device }, update: { $max: { ms } } }))) },
    groups: async batch => {
      const there = await this.calls.read(() => this.db.groups.find({ _id: { $in: batch.map(g => groupKey(g.group)) }, kind: { $exists: true } }).toArray())
      const known = new Map(there.map(d => [d._id, fromGroupDoc(d)]))
      for (const g of batch) if (known.has(groupKey(g.group)) && !sameGroup(known.get(groupKey(g.group))!, g)) throw conflict.group(g)
      await this.#upsert('groups', batch.map(g => ({ key: { _id: groupKey(g.group) }, update: { $set: toGroupFields(g) } })))
    },
    members: async batch => { await this.#members(batch) },
    users: async batch => { await this.#new('users', batch) },
    blocks: async batch => { await this.#new('blocks', batch) },
    devices: async batch => { await this.#new('devices', batch) },
    tickets: async batch => { await this.#new('tickets', batch) }
  }

  async #new<K extends keyof typeof NEW> (kind: K, batch: readonly Records[K][]): Promise<void> {
    const { key, fields } = NEW[kind]
    await this.#upsert(kind, batch.map(r => ({ key: key(r), update: { $setOnInsert: fields(r) } })))
  }

  async #upsert (into: Exclude<keyof Database, 'client'>, rows: readonly { key: Document, update: Document | Document[] }[]): Promise<void> {
    const ops = rows.map(({ key, update }) => ({ updateOne: { filter: key, update, upsert: true } }))
    await this.calls.write(() => (this.db[into] as unknown as Collection).bulkWrite(ops, { ordered: false }), { again: true })
  }

  async #members (batch: readonly Records['members'][]): Promise<void> {
    const there = await this.calls.read(() => this.db.members.find({ $or: batch.map(m => ({ c: groupKey(m.group), u: m.user })) }).toArray())
    const known = new Map(there.map(d => [`${d.c} ${d.u}`, fromMemberDoc(d)]))
    for (const m of batch) {
      const stored = known.get(`${groupKey(m.group)} ${m.user}`)
      if (stored !== undefined && !sameMember(stored, m)) throw conflict.member(m.group, m.user)
    }
    await this.#upsert('members', batch.map(m => ({ key: { c: groupKey(m.group), u: m.user }, update: { $setOnInsert: { role: m.role, since: m.since } } })))
    for (const group of new Set(batch.map(m => m.group))) {
      const count = await this.calls.read(() => this.db.members.countDocuments({ c: groupKey(group) }))
      await this.#upsert('groups', [{ key: { _id: groupKey(group) }, update: { $set: { count } } }])
    }
  }

  /** What is missing goes in by one ordered insert: cut off, it leaves no gap. */
  async #entries (batch: readonly Entry[]): Promise<void> {
    const parts = new Map<ConvKey, { first: number, last: number }>()
    for (const { conv, seq } of batch) parts.set(conv, { first: parts.get(conv)?.first ?? seq, last: seq })
    const ranges = [...parts].map(([c, { first, last }]) => ({ c, s: { $gte: first - 1, $lte: last } }))
    const there = new Map((await this.calls.read(() => this.db.log.find({ $or: ranges }).toArray())).map(d => [`${d.c} ${d.s}`, d]))
    const missing: EntryDoc[] = []
    const fresh = new Set<string>()
    for (const e of batch) {
      const doc = there.get(`${e.conv} ${e.seq}`)
      if (doc !== undefined) {
        if (!sameEntry(toEntry(doc), e)) throw conflict.entry(e)
        continue
      }
      const before = `${e.conv} ${e.seq - 1}`
      if (e.seq > 1 && !there.has(before) && !fresh.has(before)) throw conflict.gap(e)
      if (e.fields.length + (e.bytes?.length ?? 0) + e.push.length > MOST_BYTES) throw new Error(`conversation ${e.conv}, seq ${e.seq}: MongoDB takes at most ${MOST_BYTES} bytes of an entry`)
      fresh.add(`${e.conv} ${e.seq}`)
      missing.push(docOfEntry(e))
    }
    const begun = missing.filter(d => d.s === 1 && !isGroupKey(d.c as ConvKey)).map(d => d.c as ConvKey)
    if (begun.length > 0) await this.calls.write(() => openDirect(this.db, begun), { again: true })
    if (missing.length === 0) return
    const [taken] = await this.calls.write(async () => await this.#insert(missing))
    if (taken === undefined) return
    const entry = toEntry(missing[taken[0]]!)
    throw taken[1] === 'seq' ? conflict.entry(entry) : conflict.cid(entry)
  }

  /** Gives what was not stored, as its place or its cid was taken. */
  async #insert (docs: EntryDoc[]): Promise<Map<number, Taken>> {
    try {
      await this.db.log.insertMany(docs, { ordered: true })
      return new Map()
    } catch (e) {
      const taken = duplicatesOf(e)
      if (taken === null) throw e
      return taken
    }
  }
}

/** Of the document of a conversation, by device. */
function cursorsOf (d: InboxDoc): Records['cursors'][] {
  return Object.keys(d.cur!).map(key => ({ device: deviceOfKey(key), key }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.device), Buffer.from(b.device)))
    .map(({ device, key }) => {
      const contiguous = own(d.cur, key)!
      return { user: d.u as UserId, device: device as DeviceId, conv: d.c as ConvKey, contiguous, highest: own(d.hi, key) ?? contiguous }
    })
}
