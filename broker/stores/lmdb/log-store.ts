import { countsAfter, type Counts, type Entry, type Head } from '../../domain/entry.js'
import { type ConvKey, isGroupKey } from '../../domain/ids.js'
import type { AppendResult, Draft, LogStore, PageQuery } from '../../ports/log.js'
import type { BlockReader } from './blocks.js'
import { BLOCK_OVERHEAD, checkEncodable, encodeBlock, maxEncodedBytes } from './codec.js'
import { type Appender, type Committer, Tx } from './committer.js'
import type { Databases } from './database.js'
import { applyEffects, groupTaken, openDirect } from './effects.js'
import { unavailable } from './failure.js'
import type { Heads } from './heads.js'
import { blockKey, checkKey, cidHash, cidKey, type Key } from './keys.js'
import { packU48, unpackU48 } from './rows.js'

/** Bounds of one commit, so that planning it does not hold up the event loop. */
const MAX_DRAFTS = 2000
const MAX_BYTES = 4 << 20
const MAX_PLAN_MS = 5
/** A block is read and decoded as a whole, also for one entry of it. */
const BLOCK_ENTRIES = 256
const BLOCK_BYTES = 128 << 10
/** Among so many newest entries a resend without cid is looked for (protocol.md, Content). */
const DUP_WINDOW = 200
/** heads() looks up so many before it lets others run. */
const HEADS_SLICE = 256

interface Waiting { readonly draft: Draft, readonly resolve: (r: AppendResult) => void }
interface Placed {
  readonly result: AppendResult
  /** It stands whatever becomes of the commit. */
  readonly sure: boolean
}

/** Entries of one hash of sender and cid: their seqs on disk, and those of this commit. */
interface SameHash { key: Key, stored: Buffer | undefined, entries: Entry[] }

/** One conversation's part of the commit that is being put together. */
class Planned {
  /** The last seq that is on the disk. */
  readonly stored: number
  seq: number
  ts: number
  counts: Counts
  readonly entries: Entry[] = []
  /** What is known of a cid, by its hash. */
  byCid: Map<number, SameHash> | undefined
  constructor (head: Head) {
    this.stored = this.seq = head.seq
    this.ts = head.ts
    this.counts = head.counts
  }
}

export class LmdbLogStore implements LogStore, Appender {
  readonly #dbs: Databases
  readonly #committer: Committer
  readonly #heads: Heads
  readonly #reader: BlockReader
  #queue: Waiting[] = []
  /** Next of the queue; what stands before was planned. */
  #next = 0
  #planned: (Waiting & Placed)[] = []
  #convs = new Map<ConvKey, Planned>()
  /** Blocks are written here. One commit is in flight and lmdb copies while it commits: reused by the next. */
  #slab = Buffer.allocUnsafeSlow(256 << 10)
  #closed = false

  constructor (dbs: Databases, committer: Committer, heads: Heads, reader: BlockReader) {
    this.#dbs = dbs
    this.#committer = committer
    this.#heads = heads
    this.#reader = reader
    committer.serve(this)
  }

  append (draft: Draft): Promise<AppendResult> {
    if (this.#closed) return Promise.resolve({ kind: 'not-stored', cause: unavailable('the store is closed') })
    return new Promise(resolve => {
      this.#queue.push({ draft, resolve })
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

  close (): void { this.#closed = true }

  get waiting (): boolean { return this.#next < this.#queue.length }

  plan (tx: Tx): void {
    let bytes = 0
    const startedMs = performance.now()
    for (let n = 0; this.#next < this.#queue.length && n < MAX_DRAFTS && bytes < MAX_BYTES; n++) {
      if ((n & 63) === 63 && performance.now() - startedMs > MAX_PLAN_MS) break
      const w = this.#queue[this.#next++]!
      bytes += w.draft.fields.length + (w.draft.bytes?.length ?? 0)
      this.#planned.push({ ...w, ...this.#planOne(tx, w.draft) })
    }
    this.#compact()
    this.#writeBlocks(tx)
  }

  committed (): void {
    for (const [conv, p] of this.#convs) {
      if (p.entries.length > 0) this.#heads.set(conv, { seq: p.seq, ts: p.ts, counts: p.counts })
    }
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
  #planOne (tx: Tx, d: Draft): Placed {
    try {
      return this.#place(tx, d)
    } catch (e) {
      return { result: { kind: 'not-stored', cause: e as Error }, sure: true }
    }
  }

  #place (tx: Tx, d: Draft): Placed {
    checkEncodable(d)
    let p = this.#convs.get(d.conv)
    if (p === undefined) this.#convs.set(d.conv, p = new Planned(this.#heads.get(d.conv)))
    let first: Entry | undefined
    let sameHash: SameHash | undefined
    if (d.cid !== '') first = this.#known(d, sameHash = this.#sameHash(p, d))
    else if (d.dup) first = this.#resent(p, d)
    if (first !== undefined) {
      return { result: first.hash === d.hash ? { kind: 'already-stored', entry: first } : { kind: 'conflict' }, sure: first.seq <= p.stored }
    }
    if (d.effects !== undefined && groupTaken(this.#dbs, tx, d.effects)) return { result: { kind: 'conflict' }, sure: false }
    const counts = countsAfter(p.counts, d.conv, d.from, d.type)
    const entry: Entry = {
      conv: d.conv, seq: p.seq + 1, ts: Math.max(d.nowMs, p.ts), counts, from: d.from, dev: d.dev, cid: d.cid, type: d.type,
      fields: d.fields, bytes: d.bytes, exp: d.exp, hash: d.hash, packetId: d.packetId, push: d.push
    }
    checkKey(blockKey(d.conv, entry.seq))
    if (d.effects !== undefined || entry.seq === 1) {
      const own = new Tx(tx)
      if (entry.seq === 1 && !isGroupKey(d.conv)) openDirect(this.#dbs, own, entry)
      if (d.effects !== undefined) applyEffects(this.#dbs, own, entry, p.counts, d.effects)
      tx.absorb(own)
    }
    if (sameHash !== undefined) this.#index(tx, sameHash, entry)
    p.seq = entry.seq
    p.ts = entry.ts
    p.counts = counts
    p.entries.push(entry)
    return { result: { kind: 'stored', entry }, sure: false }
  }

  #sameHash (p: Planned, d: Draft): SameHash {
    const hash = cidHash(d.from, d.cid)
    const known = p.byCid?.get(hash)
    if (known !== undefined) return known
    const key = cidKey(d.conv, hash)
    const stored = this.#dbs.log.getBinary(key)
    const fresh: SameHash = { key, stored, entries: [] }
    p.byCid ??= new Map()
    p.byCid.set(hash, fresh)
    return fresh
  }

  /** The first entry with this sender's cid. */
  #known (d: Draft, { stored, entries }: SameHash): Entry | undefined {
    if (entries.length > 0) {
      const here = entries.find(e => e.cid === d.cid && e.from === d.from)
      if (here !== undefined) return here
    }
    if (stored === undefined) return undefined
    for (let i = 0; i < stored.length / 6; i++) {
      const e = this.#reader.entry(d.conv, unpackU48(stored, i))
      if (e !== undefined && e.cid === d.cid && e.from === d.from) return e
    }
    return undefined
  }

  /** All seqs of the hash are one value: those stored and those of this commit. */
  #index (tx: Tx, { key, stored, entries }: SameHash, e: Entry): void {
    entries.push(e)
    const seqs = packU48(entries.map(o => o.seq))
    tx.append(this.#dbs.log, key, stored === undefined ? seqs : Buffer.concat([stored, seqs]))
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

  #writeBlocks (tx: Tx): void {
    let need = 0
    for (const p of this.#convs.values()) {
      for (const e of p.entries) need += maxEncodedBytes(e) + BLOCK_OVERHEAD
    }
    if (need > this.#slab.length) this.#slab = Buffer.allocUnsafeSlow(need + (need >> 1))
    let at = 0
    for (const [conv, { entries }] of this.#convs) {
      for (let from = 0; from < entries.length;) {
        let to = from
        let bytes = 0
        while (to < entries.length && to - from < BLOCK_ENTRIES && bytes < BLOCK_BYTES) bytes += maxEncodedBytes(entries[to++]!)
        const end = encodeBlock(this.#slab, entries, from, to, at)
        tx.append(this.#dbs.log, blockKey(conv, entries[from]!.seq), this.#slab.subarray(at, end))
        at = end
        from = to
      }
    }
  }
}
