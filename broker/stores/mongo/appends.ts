import type { Entry, Head } from '../../domain/entry.js'
import { type ConvKey, isGroupKey } from '../../domain/ids.js'
import type { AppendResult } from '../../ports/log.js'
import { duplicateOf, duplicatesOf, type Taken } from './append-errors.js'
import { type Calls, guarded, isDuplicate, unavailable } from './calls.js'
import type { Database } from './database.js'
import { applyEffects, groupTaken, openDirect } from './effects.js'
import { type EntryDoc, toDoc, toEntry } from './entry-doc.js'
import { headOf, readHeads } from './heads.js'
import { entryAt, Lane, placeAfter, type Waiting } from './lane.js'

/** Conversations of one round, with one entry each: of two, a repeated cid in front of a success would leave a gap. */
const ROUND = 200
/** Writes in flight. */
const MOST_ROUNDS = 2
const MOST_ORDERED = 8
/** Conversations whose heads are remembered. */
const MAX_LANES = 100_000
/** After a write whose outcome is unknown; doubled with each. */
const [RETRY_MS, MAX_RETRY_MS] = [20, 1000]
/** After a place was taken by another node, times the tries. */
const TAKEN_MS = 5
/** Among so many newest entries a resend without cid is looked for (protocol.md, Content). */
const DUP_WINDOW = 200

/**
 * Appends to the log of several nodes: each conversation's entries go in order, one write at a time, to the place behind
 * the head as far as it is known here; the unique index on (conversation, seq) lets one node have it. Docs and
 * measurements: docs/adr/006-mongodb-log.md.
 */
export class Appends {
  private readonly lanes = new Map<ConvKey, Lane>()
  /** Lanes with something to send, in turn. */
  private readonly ready = new Set<Lane>()
  private readonly resting = new Map<Lane, NodeJS.Timeout>()
  private readonly running = new Set<Promise<void>>()
  private rounds = 0
  private ordered = 0
  private armed = false
  private closed = false

  constructor (private readonly db: Database, private readonly calls: Calls) {}

  add (w: Waiting): void {
    const { conv } = w.draft
    let lane = this.lanes.get(conv)
    if (lane === undefined) {
      this.makeRoom()
      this.lanes.set(conv, lane = new Lane(conv))
    }
    lane.queue.push(w)
    this.offer(lane)
  }

  /** Another node appended. */
  heard (conv: ConvKey, head: Head): void {
    const lane = this.lanes.get(conv)
    if (lane === undefined || lane.busy || (lane.head !== null && lane.head.seq >= head.seq)) return
    lane.head = head
  }

  /** The conversation that was made first goes, if it is idle. */
  private makeRoom (): void {
    if (this.lanes.size < MAX_LANES) return
    for (const [conv, lane] of this.lanes) {
      if (lane.busy || lane.queue.length > 0) continue
      this.lanes.delete(conv)
      return
    }
  }

  private offer (lane: Lane): void {
    if (lane.busy || lane.queue.length === 0 || this.resting.has(lane) || this.closed) return
    this.ready.add(lane)
    if (this.armed) return
    this.armed = true
    setImmediate(() => { // what one turn of the event loop brings goes together
      this.armed = false
      this.start()
    })
  }

  private start (): void {
    if (this.closed) return
    const round: Lane[] = []
    for (const lane of this.ready) {
      if (lane.alone || lane.long) {
        if (this.ordered < MOST_ORDERED) this.run('ordered', [lane], lane.alone ? async () => { await this.alone(lane) } : async () => { await this.one(lane) })
      } else if (this.rounds < MOST_ROUNDS && round.length < ROUND) round.push(lane)
    }
    if (round.length > 0) this.run('rounds', round, async () => { await this.round(round) })
  }

  private run (kind: 'rounds' | 'ordered', lanes: readonly Lane[], write: () => Promise<void>): void {
    for (const lane of lanes) {
      this.ready.delete(lane)
      lane.busy = true
    }
    this[kind]++
    const done = (async () => {
      try {
        await this.calls.gate()
        await write()
      } catch (e) { for (const lane of lanes) this.unknown(lane, e) }
      this[kind]--
      for (const lane of lanes) {
        lane.busy = false
        this.offer(lane)
      }
      if (this.ready.size > 0) this.start()
    })()
    this.running.add(done)
    void done.finally(() => { this.running.delete(done) })
  }

  // ---- one write

  /** The heads that are not known, and inbox rows for direct conversations that begin. */
  private async prepare (lanes: readonly Lane[]): Promise<void> {
    const unknown = lanes.filter(l => l.head === null)
    if (unknown.length > 0) {
      const heads = await guarded(readHeads(this.db, unknown.map(l => l.conv)))
      for (const l of unknown) l.head = headOf(heads, l.conv)
    }
    const begin = lanes.filter(l => l.head!.seq === 0 && !isGroupKey(l.conv)).map(l => l.conv)
    while (begin.length > 0) {
      try { await guarded(openDirect(this.db, begin)); return } catch (e) { if (!isDuplicate(e)) throw e } // upserts that met: asked again they find what is there
    }
  }

  private async round (lanes: readonly Lane[]): Promise<void> {
    await this.prepare(lanes)
    const places = lanes.map(l => placeAfter(l.head!, l.queue[0]!.draft))
    const taken = await this.insert(lanes.map((l, i) => docOf(l.queue[0]!, places[i]!)), false)
    await Promise.all(lanes.map(async (lane, i) => {
      const why = taken.get(i)
      if (why === undefined) this.stored(lane, [places[i]!])
      else await this.refused(lane, why, [lane.queue[0]!])
    }))
  }

  private async one (lane: Lane): Promise<void> {
    await this.prepare([lane])
    const batch = lane.batch()
    const places: Head[] = []
    for (const w of batch) places.push(placeAfter(places.at(-1) ?? lane.head!, w.draft))
    const taken = await this.insert(batch.map((w, i) => docOf(w, places[i]!)), true)
    const [first] = taken
    this.stored(lane, first === undefined ? places : places.slice(0, first[0]))
    if (first !== undefined) await this.refused(lane, first[1], batch.slice(first[0]))
  }

  /** An entry that needs more than its insert. */
  private async alone (lane: Lane): Promise<void> {
    await this.prepare([lane])
    const w = lane.queue[0]!
    if (w.draft.effects === undefined) {
      const first = await this.resent(lane, w)
      w.searched = true
      if (first !== undefined) this.answer(lane, { kind: 'already-stored', entry: first })
      return
    }
    const before = lane.head!
    const place = placeAfter(before, w.draft)
    try {
      if (await guarded(this.withEffects(w, place, before))) this.stored(lane, [place])
      else this.answer(lane, { kind: 'conflict' })
    } catch (e) {
      const taken = duplicateOf(e)
      if (taken === null) throw e
      await this.refused(lane, taken, [w])
    }
  }

  /** Ordered or not. Gives what was not stored; the rest, in an ordered insert up to the first of these, is. @throws unknown outcome */
  private async insert (docs: EntryDoc[], ordered: boolean): Promise<Map<number, Taken>> {
    try {
      await guarded(this.db.log.insertMany(docs, { ordered }))
      return new Map()
    } catch (e) {
      const taken = duplicatesOf(e)
      if (taken === null) throw e
      return taken
    }
  }

  /** False: the group to be made is there. */
  private async withEffects (w: Waiting, place: Head, before: Head): Promise<boolean> {
    const { db } = this
    const session = db.client.startSession()
    try {
      session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } })
      const entry = entryAt(w.draft, place)
      await db.log.insertOne(docOf(w, place), { session })
      const free = !await groupTaken(db, session, entry, w.draft.effects!)
      if (free) await applyEffects(db, session, entry, before.counts, w.draft.effects!)
      if (free) await session.commitTransaction()
      else await session.abortTransaction()
      return free
    } finally { await session.endSession() } // aborts what was not committed
  }

  // ---- what became of it

  private stored (lane: Lane, places: readonly Head[]): void {
    for (const place of places) {
      const w = lane.queue[0]!
      const afterMs = lane.head!.ts
      lane.head = place
      this.answer(lane, { kind: 'stored', entry: entryAt(w.draft, place), afterMs })
    }
  }

  private answer (lane: Lane, r: AppendResult, w = lane.queue[0]!): void {
    lane.tries = 0
    this.calls.worked()
    lane.queue.splice(lane.queue.indexOf(w), 1)
    w.resolve(r)
  }

  /** The first of `batch`, which is the lane's first too, did not get its place, or it has one already: then others of it may, too. */
  private async refused (lane: Lane, why: Taken, batch: readonly Waiting[]): Promise<void> {
    if (why === 'seq') { // another node was first
      lane.head = null
      this.rest(lane, Math.random() * TAKEN_MS * ++lane.tries)
      return
    }
    const docs = await guarded(this.db.log.find({ c: lane.conv, $or: [...senders(batch)].map(([u, cids]) => ({ u, cid: { $in: cids } })) }).toArray())
    const known = new Map(docs.map(d => [`${d.u} ${d.cid}`, d]))
    for (const w of batch) {
      const doc = known.get(`${w.draft.from} ${w.cid}`)
      if (doc !== undefined) this.answer(lane, this.earlier(lane, w, doc), w)
    }
    if (lane.queue[0] === batch[0]) this.rest(lane, RETRY_MS) // not yet committed by a majority: asked again until it is
  }

  /** What stands in the log under a cid: an earlier try of ours whose outcome was unknown, or a resend's first. */
  private earlier (lane: Lane, w: Waiting, doc: EntryDoc): AppendResult {
    const entry = toEntry(doc)
    if (!doc._id.equals(w.id)) return entry.hash === w.draft.hash ? { kind: 'already-stored', entry } : { kind: 'conflict' }
    if (lane.head !== null && lane.head.seq < entry.seq) lane.head = { seq: entry.seq, ts: entry.ts, counts: entry.counts }
    return { kind: 'stored', entry, afterMs: entry.seq === 1 ? 0 : entry.ts } // not known any more: whoever hears of it looks
  }

  /** What a DUP without cid repeats. */
  private async resent (lane: Lane, { draft: d }: Waiting): Promise<Entry | undefined> {
    const newest = await guarded(this.db.log.find({ c: lane.conv, s: { $gt: lane.head!.seq - DUP_WINDOW } }, { sort: { c: -1, s: -1 }, limit: DUP_WINDOW }).toArray())
    return newest.map(toEntry).find(e => e.packetId === d.packetId && e.hash === d.hash && e.cid === '' && e.from === d.from && e.dev === d.dev)
  }

  /** Nobody knows what is stored of it: the same is sent again, in the same order, before what follows. */
  private unknown (lane: Lane, e: unknown): void {
    lane.head = null
    if (!haveMet(e)) this.calls.failed(e)
    this.rest(lane, Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(lane.tries++, 10)) * (0.5 + Math.random() / 2))
  }

  private rest (lane: Lane, ms: number): void {
    if (this.closed) return
    this.resting.set(lane, setTimeout(() => {
      this.resting.delete(lane)
      this.offer(lane)
    }, ms))
  }

  async close (): Promise<void> {
    this.closed = true
    for (const timer of this.resting.values()) clearTimeout(timer)
    this.resting.clear()
    await Promise.all(this.running)
    const cause = unavailable('the store was closed')
    for (const lane of this.lanes.values()) for (const w of lane.queue.splice(0)) w.resolve({ kind: 'unknown', cause })
  }
}

function senders (batch: readonly Waiting[]): Map<string, string[]> {
  const out = new Map<string, string[]>()
  for (const w of batch) out.set(w.draft.from, [...out.get(w.draft.from) ?? [], w.cid])
  return out
}

const docOf = (w: Waiting, place: Head): EntryDoc => toDoc(w.draft, w.id, w.cid, place)

/** Transactions of two nodes met. */
const haveMet = (e: unknown): boolean => typeof e === 'object' && e !== null && 'hasErrorLabel' in e &&
  (e as { hasErrorLabel (label: string): boolean }).hasErrorLabel('TransientTransactionError') && (e as { code?: unknown }).code === 112
