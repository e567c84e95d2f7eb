import type { ConvKey, DeviceId, GroupId, UserId } from '../../domain/ids.js'
import type { Entry } from '../../domain/entry.js'
import type { Group } from '../../domain/group.js'
import type { Device } from '../../ports/devices.js'
import type { Health } from '../../ports/log.js'
import type { Ticket } from '../../ports/tickets.js'
import type { TopicStore } from '../../ports/topics.js'
import { conflict, type Kind, raisedRow, type Records, sameGroup, sameMember, type TransferState, type TransferStore } from '../../ports/transfer.js'
import type { Committer, Tx } from './committer.js'
import type { Databases, Db } from './database.js'
import { unavailable } from './failure.js'
import { deviceBytes, join, join3, type Key, lastPart } from './keys.js'
import type { LmdbLogStore } from './log-store.js'
import { packMember, packRow, packU48, unpackMember, unpackRow, unpackU48 } from './rows.js'
import type { Tails } from './tails.js'

/** Records of a batch. Read in slices, each of a snapshot of its own, as scan.ts says. */
const BATCH = 256
const BATCH_BYTES = 1 << 20
/** How often a put asks whether the store can still commit: what is appended waits for a full disk, an import must not. */
const ASK_MS = 100
const YES = Buffer.from([1])
/** Behind every key of one conversation, before those of the next. */
const NEXT = '\u0002'

const turn = async (): Promise<void> => { await new Promise(resolve => setImmediate(resolve)) }
const utf8 = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()
const firstPart = (key: Key): string => key.slice(0, key.indexOf('\u0000'))

/** What the transfer stands on: the parts of an open store. */
export interface Parts { dbs: Databases, committer: Committer, log: LmdbLogStore, tails: Tails, topics: TopicStore, close: () => Promise<void> }

/** The embedded store, read and written as a whole. */
export class LmdbTransfer implements TransferStore {
  readonly topics: TopicStore
  constructor (private readonly of: Parts) { this.topics = of.topics }

  async state (): Promise<TransferState> {
    const { meta } = this.of.dbs
    return { epoch: meta.getBinary('epoch')!.toString(), importing: meta.getBinary('importing')?.toString() }
  }

  async begin (name: string, epoch?: string): Promise<void> {
    await this.#write(tx => {
      tx.put(this.of.dbs.meta, 'importing', Buffer.from(name))
      if (epoch !== undefined) tx.put(this.of.dbs.meta, 'epoch', Buffer.from(epoch))
    })
  }

  async end (): Promise<void> { await this.#write(tx => { tx.remove(this.of.dbs.meta, 'importing') }) }
  async close (): Promise<void> { await this.of.close() }

  async #write (run: (tx: Tx) => void): Promise<void> { await this.of.committer.write(run) }

  // ---- reading

  read<K extends Kind> (kind: K): AsyncIterable<Records[K][]> { return (this.#readers[kind] as () => AsyncIterable<Records[K][]>)() }

  readonly #readers: { [K in Kind]: () => AsyncIterable<Records[K][]> } = {
    log: () => this.#log(),
    cursors: () => this.#cursors(),
    inbox: () => slices(this.of.dbs.inbox, (key, b) => ({ user: firstPart(key) as UserId, ...unpackRow(lastPart(key) as ConvKey, b) })),
    members: () => slices(this.of.dbs.members, (key, b) => ({ group: firstPart(key) as GroupId, ...unpackMember(lastPart(key) as UserId, b) })),
    groups: () => slices(this.of.dbs.groups, (_key, b) => JSON.parse(b.toString()) as Group),
    users: () => slices(this.of.dbs.users, key => ({ user: key as UserId })),
    blocks: () => slices(this.of.dbs.blocks, key => ({ user: firstPart(key) as UserId, blocked: lastPart(key) as UserId })),
    devices: () => slices(this.of.dbs.devices, (_key, b) => JSON.parse(b.toString()) as Device),
    tickets: () => slices(this.of.dbs.tickets, (key, b) => ({ hash: key, ...JSON.parse(b.toString()) as Ticket })),
    removals: () => slices(this.of.dbs.removals, (key, b) => ({ user: firstPart(key) as UserId, device: utf8(lastPart(key)) as DeviceId, ms: unpackU48(b, 0) }))
  }

  async * #log (): AsyncGenerator<Entry[]> {
    let batch: Entry[] = []
    let bytes = 0
    for (const conv of this.#conversations()) {
      for (let after = 0; ;) {
        const page = await this.of.log.page(conv, { after, limit: BATCH, maxBytes: BATCH_BYTES })
        if (page.length === 0) break
        after = page.at(-1)!.seq
        for (const e of page) bytes += e.fields.length + (e.bytes?.length ?? 0)
        batch = batch.concat(page)
        if (batch.length < BATCH && bytes < BATCH_BYTES) continue
        yield batch
        batch = []
        bytes = 0
        await turn()
      }
    }
    if (batch.length > 0) yield batch
  }

  /** In order. Of the youngest ones all entries may be in the journal still. */
  * #conversations (): Generator<ConvKey> {
    const young = [...this.of.tails.oldestFirst()].map(t => t.conv).sort().reverse()
    for (let last: string | undefined; ;) {
      while (young.length > 0 && last !== undefined && young.at(-1)! <= last) young.pop()
      const [key] = this.of.dbs.log.getKeys({ start: last === undefined ? '' : last + NEXT, end: '\u00ff', limit: 1 })
      const old = key === undefined ? undefined : /^[^\0-\x01]*/.exec(key)![0]
      const next = old === undefined || (young.length > 0 && young.at(-1)! < old) ? young.at(-1) : old as ConvKey
      if (next === undefined) return
      yield next as ConvKey
      last = next
    }
  }

  /** The keys are ordered by device first: one user's are sorted here. */
  async * #cursors (): AsyncGenerator<Records['cursors'][]> {
    let ofUser: (readonly [Key, Records['cursors']])[] = []
    const sorted = (): Records['cursors'][] => ofUser.sort(([a], [b]) => a < b ? -1 : 1).map(([, c]) => c)
    for await (const batch of slices(this.of.dbs.cursors, (key, b) => {
      const [user, device, conv] = key.split('\u0000') as [string, string, string]
      return [join(conv, device), { user: user as UserId, device: utf8(device) as DeviceId, conv: conv as ConvKey, contiguous: unpackU48(b, 0), highest: unpackU48(b, 1) }] as const
    })) {
      for (const row of batch) {
        if (ofUser.length > 0 && ofUser[0]![1].user !== row[1].user) {
          yield sorted()
          ofUser = []
        }
        ofUser.push(row)
      }
    }
    if (ofUser.length > 0) yield sorted()
  }

  // ---- writing

  async put<K extends Kind> (kind: K, batch: readonly Records[K][]): Promise<void> {
    if (kind === 'log') { await this.#entries(batch as readonly Entry[]); return }
    const put = this.#writers[kind as Exclude<Kind, 'log'>] as (tx: Tx, r: Records[K]) => void
    await this.#write(tx => { for (const r of batch) put(tx, r) })
  }

  async #entries (batch: readonly Entry[]): Promise<void> {
    const stored = Promise.all(batch.map(async e => {
      const r = await this.of.log.insert(e)
      if (r.kind === 'not-stored' || r.kind === 'unknown') throw r.cause
    }))
    let timer: NodeJS.Timeout | undefined
    const stuck = new Promise<never>((_resolve, reject) => {
      timer = setInterval(() => {
        const health: Health = this.of.committer.health()
        if (!health.ok) reject(unavailable(health.why ?? 'the store cannot commit'))
      }, ASK_MS)
    })
    stored.catch(() => {}) // when it is stuck nobody listens any more
    try { await Promise.race([stored, stuck]) } finally { clearInterval(timer) }
  }

  readonly #writers: { [K in Exclude<Kind, 'log'>]: (tx: Tx, record: Records[K]) => void } = {
    inbox: (tx, { user, ...row }) => {
      const { inbox } = this.of.dbs
      const key = join(user, row.conv)
      const there = tx.get(inbox, key)
      const stored = there === undefined ? undefined : unpackRow(row.conv, there)
      const raised = stored === undefined ? row : raisedRow(stored, row)
      if (raised !== stored) tx.put(inbox, key, packRow(raised))
    },
    cursors: (tx, c) => {
      const key = join3(c.user, deviceBytes(c.device), c.conv)
      const b = tx.get(this.of.dbs.cursors, key)
      tx.put(this.of.dbs.cursors, key, packU48(b === undefined ? [c.contiguous, c.highest] : [Math.max(c.contiguous, unpackU48(b, 0)), Math.max(c.highest, unpackU48(b, 1))]))
    },
    members: (tx, { group, ...member }) => {
      const { members, memberCounts } = this.of.dbs
      const key = join(group, member.user)
      const b = tx.get(members, key)
      if (b !== undefined) {
        if (!sameMember(unpackMember(member.user, b), member)) throw conflict.member(group, member.user)
        return
      }
      const count = tx.get(memberCounts, group)
      tx.put(members, key, packMember(member))
      tx.put(memberCounts, group, packU48([1 + (count === undefined ? 0 : unpackU48(count, 0))]))
    },
    groups: (tx, g) => {
      const b = tx.get(this.of.dbs.groups, g.group)
      if (b === undefined) tx.put(this.of.dbs.groups, g.group, Buffer.from(JSON.stringify(g)))
      else if (!sameGroup(JSON.parse(b.toString()) as Group, g)) throw conflict.group(g)
    },
    users: (tx, { user }) => { tx.put(this.of.dbs.users, user, YES) },
    blocks: (tx, { user, blocked }) => { tx.put(this.of.dbs.blocks, join(user, blocked), YES) },
    devices: (tx, d) => { putNew(tx, this.of.dbs.devices, join(d.user, deviceBytes(d.device)), Buffer.from(JSON.stringify(d))) },
    tickets: (tx, { hash, ...ticket }) => {
      putNew(tx, this.of.dbs.tickets, hash, Buffer.from(JSON.stringify(ticket)))
      putNew(tx, this.of.dbs.deviceTickets, join3(ticket.user, deviceBytes(ticket.device), hash), packU48([ticket.madeMs, ticket.expiresMs]))
    },
    removals: (tx, { user, device, ms }) => {
      const key = join(user, deviceBytes(device))
      const b = tx.get(this.of.dbs.removals, key)
      if (b === undefined || unpackU48(b, 0) < ms) tx.put(this.of.dbs.removals, key, packU48([ms]))
    }
  }
}

function putNew (tx: Tx, db: Db, key: Key, value: Buffer): void { if (tx.get(db, key) === undefined) tx.put(db, key, value) }

async function * slices<T> (db: Db, read: (key: Key, value: Buffer) => T): AsyncGenerator<T[]> {
  for (let start: Key = ''; ;) {
    const out: T[] = []
    for (const { key, value } of db.getRange({ start, end: '\u00ff\u00ff', limit: BATCH })) {
      out.push(read(key, value))
      start = `${key}\u0000`
    }
    if (out.length > 0) yield out
    if (out.length < BATCH) return
    await turn()
  }
}
