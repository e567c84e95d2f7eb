import { countsAfter, type Entry, type Head } from '../../domain/entry.js'
import { type ConvKey, isGroupKey } from '../../domain/ids.js'
import type { AppendResult, Draft, LogStore, PageQuery } from '../../ports/log.js'
import { conflict, sameEntry } from '../../ports/transfer.js'
import type { BlockReader } from './blocks.js'
import { checkEncodable } from './codec.js'
import { type Appender, type Committer, Tx } from './committer.js'
import type { Databases } from './database.js'
import { applyEffects, groupTaken, openDirect, openDirectIfNew } from './effects.js'
import { unavailable } from './failure.js'
import type { Heads } from './heads.js'
import { Journal, Planned } from './journal.js'
import { cidHash, cidKey } from './keys.js'
import type { Tails } from './tails.js'

/** Bounds of one commit, so that planning it does not hold up the event loop. */
const MAX_DRAFTS = 2000
const MAX_BYTES = 4 << 20
const MAX_PLAN_MS = 5
/** Among so many newest entries a resend without cid is looked for (protocol.md, Content). */
const DUP_WINDOW = 200
/** heads() looks up so many before it lets others run. */
const HEADS_SLICE = 256

/** `placed`: an entry that has its place already. */
interface Waiting { readonly draft: Draft | null, readonly placed?: Entry, readonly resolve: (r: AppendResult) => void }
interface Placed {
  readonly result: AppendResult
  /** It stands whatever becomes of the commit. */
  readonly sure: boolean
}

export class LmdbLogStore implements LogStore, Appender {
  readonly #dbs: Databases
  readonly #committer: Committer
  readonly #heads: Heads
  readonly #reader: BlockReader
  readonly #journal: Journal
  #queue: Waiting[] = []
  /** Next of the queue; what stands before was planned. */
  #next = 0
  #planned: (Pick<Waiting, 'resolve'> & Placed)[] = []
  #convs = new Map<ConvKey, Planned>()
  #closed = false

  constructor (dbs: Databases, committer: Committer, heads: Heads, reader: BlockReader, tails: Tails, now: () => number) {
    this.#dbs = dbs
    this.#committer = committer
    this.#heads = heads
    this.#reader = reader
    this.#journal = new Journal(dbs, reader, tails, now, () => { committer.wake() })
    committer.serve(this)
  }

  append (draft: Draft): Promise<AppendResult> {
    if (this.#closed) return Promise.resolve({ kind: 'not-stored', cause: unavailable('the store is closed') })
    return new Promise(resolve => {
      this.#queue.push({ draft, resolve })
      this.#committer.wake()
    })
  }

  /** Puts an entry of another store where it stood there: behind the head, or where the same stands already. */
  insert (placed: Entry): Promise<AppendResult> {
    return new Promise(resolve => {
      this.#queue.push({ draft: null, placed, resolve })
      this.#committer.wake()
    })
  }

  async heads (convs: readonly ConvKey[]): Promise<Head[]> {
    const out: Head[] = new Array<Head>(convs.length)
    for (let i = 0; i < convs.length; i++) {
      if (i > 0 && i % HEADS_SLICE === 0) await new Promise(resolve => setImmediate(resolve))
      out[i] = this.#heads.get(convs[i]!)
    }
    return out
  }

  async page (conv: ConvKey, query: PageQuery): Promise<Entry[]> {
    return this.#reader.page(conv, query, this.#heads.get(conv).seq)
  }

  close (): void {
    this.#closed = true
    this.#journal.close()
  }

  get waiting (): boolean { return this.#journal.due || this.#next < this.#queue.length }

  plan (tx: Tx): void {
    let bytes = 0
    const startedMs = performance.now()
    for (let n = 0; this.#next < this.#queue.length && n < MAX_DRAFTS && bytes < MAX_BYTES; n++) {
      if ((n & 63) === 63 && performance.now() - startedMs > MAX_PLAN_MS) break
      const w = this.#queue[this.#next++]!
      const { fields, bytes: opaque } = w.draft ?? w.placed!
      bytes += fields.length + (opaque?.length ?? 0)
      const { result, sure } = this.#planOne(tx, w)
      // No spread: V8 builds `{ ...a, ...b }` at run time, so that what it refers to lives until the next major collection.
      this.#planned.push({ resolve: w.resolve, result, sure })
    }
    this.#compact()
    this.#journal.write(tx, this.#convs)
  }

  committed (): void {
    for (const [conv, { seq, ts, counts, entries }] of this.#convs) if (entries.length > 0) this.#heads.set(conv, { seq, ts, counts })
    this.#journal.committed(this.#convs)
    this.#answer()
  }

  abandoned (why: Error): void {
    this.#planned = this.#planned.map(w => w.sure ? w : { ...w, result: { kind: 'unknown', cause: why } })
    this.#answer()
  }

  /** Lets go of what was planned, also while the queue never runs empty; not with every commit, as that copies the rest. */
  #compact (): void {
    if (2 * this.#next < this.#queue.length) return
    this.#queue = this.#queue.slice(this.#next)
    this.#next = 0
  }

  #answer (): void {
    const planned = this.#planned
    this.#planned = []
    this.#convs = new Map()
    for (const w of planned) w.resolve(w.result)
  }

  /** Puts into `tx` what the draft changes: all of it or, when it is not stored, nothing. */
  #planOne (tx: Tx, { draft, placed }: Waiting): Placed {
    try {
      return draft === null ? this.#placeAgain(tx, placed!) : this.#place(tx, draft)
    } catch (e) {
      return { result: { kind: 'not-stored', cause: e as Error }, sure: true }
    }
  }

  #place (tx: Tx, d: Draft): Placed {
    checkEncodable(d)
    const p = this.#plannedOf(d.conv)
    const key = d.cid === '' ? '' : cidKey(d.conv, cidHash(d.from, d.cid))
    const sameHash = key === '' ? [] : this.#journal.seqs(d.conv, key, p.cids)
    const first = key !== '' ? this.#known(p, d, sameHash) : d.dup ? this.#resent(p, d) : undefined
    if (first !== undefined) {
      return { result: first.hash === d.hash ? { kind: 'already-stored', entry: first } : { kind: 'conflict' }, sure: first.seq <= p.stored }
    }
    if (d.effects !== undefined && groupTaken(this.#dbs, tx, d.effects)) return { result: { kind: 'conflict' }, sure: false }
    const counts = countsAfter(p.counts, d.conv, d.from, d.type)
    const afterMs = p.ts
    const entry: Entry = {
      conv: d.conv, seq: p.seq + 1, ts: Math.max(d.nowMs, p.ts), counts, from: d.from, dev: d.dev, cid: d.cid, type: d.type,
      fields: d.fields, bytes: d.bytes, exp: d.exp, hash: d.hash, packetId: d.packetId, push: d.push
    }
    if (d.effects !== undefined || entry.seq === 1) {
      const own = new Tx(tx)
      if (entry.seq === 1 && !isGroupKey(d.conv)) openDirect(this.#dbs, own, entry)
      if (d.effects !== undefined) applyEffects(this.#dbs, own, entry, p.counts, d.effects)
      tx.absorb(own)
    }
    if (key !== '') p.cids.set(key, [...sameHash, entry.seq])
    p.add(entry)
    return { result: { kind: 'stored', entry, afterMs }, sure: false }
  }

  #plannedOf (conv: ConvKey): Planned {
    let p = this.#convs.get(conv)
    if (p === undefined) this.#convs.set(conv, p = new Planned(this.#heads.get(conv)))
    return p
  }

  #placeAgain (tx: Tx, e: Entry): Placed {
    checkEncodable(e)
    const p = this.#plannedOf(e.conv)
    if (e.seq <= p.seq) {
      const there = e.seq > p.stored ? p.entries[e.seq - p.stored - 1] : this.#reader.entry(e.conv, e.seq)
      if (there === undefined || !sameEntry(there, e)) throw conflict.entry(e)
      return { result: { kind: 'already-stored', entry: there }, sure: e.seq <= p.stored }
    }
    if (e.seq !== p.seq + 1) throw conflict.gap(e)
    const key = e.cid === '' ? '' : cidKey(e.conv, cidHash(e.from, e.cid))
    const sameHash = key === '' ? [] : this.#journal.seqs(e.conv, key, p.cids)
    if (key !== '' && this.#known(p, e, sameHash) !== undefined) throw conflict.cid(e)
    if (e.seq === 1 && !isGroupKey(e.conv)) openDirectIfNew(this.#dbs, tx, e)
    if (key !== '') p.cids.set(key, [...sameHash, e.seq])
    const afterMs = p.ts
    p.add(e)
    return { result: { kind: 'stored', entry: e, afterMs }, sure: false }
  }

  /** The first entry with this sender's cid, among those of its hash. */
  #known (p: Planned, d: Pick<Entry, 'conv' | 'cid' | 'from'>, seqs: readonly number[]): Entry | undefined {
    for (const seq of seqs) {
      const e = seq > p.stored ? p.entries[seq - p.stored - 1] : this.#reader.entry(d.conv, seq)
      if (e !== undefined && e.cid === d.cid && e.from === d.from) return e
    }
    return undefined
  }

  /** What a DUP without cid repeats. */
  #resent (p: Planned, d: Draft): Entry | undefined {
    if (d.packetId === 0) return undefined
    const same = (e: Entry): boolean =>
      e.packetId === d.packetId && e.hash === d.hash && e.cid === '' && e.from === d.from && e.dev === d.dev
    const here = p.entries.slice(-DUP_WINDOW).findLast(same)
    if (here !== undefined) return here
    const limit = DUP_WINDOW - p.entries.length
    if (limit <= 0 || p.stored === 0) return undefined
    return this.#reader.page(d.conv, { before: p.stored + 1, limit }, p.stored).findLast(same)
  }
}
