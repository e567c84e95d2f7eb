import { countsAfter, type Counts, type Entry, type Head } from '../../domain/entry.js'
import { type ConvKey, isGroupKey, type UserId } from '../../domain/ids.js'
import type { AppendResult, Draft, LogStore, PageQuery } from '../../ports/log.js'
import type { BlockReader } from './blocks.js'
import { checkEncodable, encodeBlock, maxEncodedBytes } from './codec.js'
import { type Appender, type Committer, Tx } from './committer.js'
import type { Databases } from './database.js'
import { applyEffects, groupTaken, openDirect } from './effects.js'
import { unavailable } from './failure.js'
import type { Heads } from './heads.js'
import { blockKey, cidHash, cidKey, firstSeqOf } from './keys.js'
import { packU48, unpackU48 } from './rows.js'
import { decodeRecord, encodePart, memoryOf, partOverhead, recordKey, type SameHash, type Tail, type Tails } from './tails.js'

/** Bounds of one commit, so that planning it does not hold up the event loop. */
const MAX_DRAFTS = 2000
const MAX_BYTES = 4 << 20
const MAX_PLAN_MS = 5
/** A block is read and decoded as a whole, also for one entry of it. */
const BLOCK_ENTRIES = 256
const BLOCK_BYTES = 128 << 10
/**
 * From so many bytes on, what a conversation has in the journal and in the commit becomes a block. Below, a commit of
 * messages in 100 conversations is some records instead of 100 blocks on as many pages (docs/adr/003 has the figures).
 */
const FOLD_BYTES = 4 << 10
/** What is older, or what is the oldest over this many bytes of memory, becomes blocks in any case. */
const FOLD_AGE_MS = 10_000
const JOURNAL_BYTES = 32 << 20
/** Old conversations that one commit makes blocks of, and how many for each that it may add: the journal must not outgrow its bound. */
const MAX_FOLDS = 64
const FOLDS_PER_NEW = 2
/**
 * A record holds about so many bytes, so that two fit a page. For a value of several pages LMDB looks for free ones in
 * a row, which now and then took it 20 ms.
 */
const RECORD_BYTES = 1800
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

/** One conversation's part of the commit that is being put together. */
class Planned {
  /** The last seq that is on the disk. */
  readonly stored: number
  seq: number
  ts: number
  counts: Counts
  readonly entries: Entry[] = []
  /** At most what the entries take, encoded. */
  bytes = 0
  /** What is known of a cid, by its hash. */
  byCid: Map<number, SameHash> | undefined
  /** The record of the journal that they are in, when they are in one. */
  record = 0
  /** They go into blocks with this commit, and all that the journal has of the conversation. */
  folds = false
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
  readonly #tails: Tails
  readonly #now: () => number
  #queue: Waiting[] = []
  /** Next of the queue; what stands before was planned. */
  #next = 0
  #planned: (Waiting & Placed)[] = []
  #convs = new Map<ConvKey, Planned>()
  /** Number of the next record of the journal. */
  #record = 1
  /** Old conversations of the journal that this commit makes blocks of. */
  #aged: Tail[] = []
  #fold: NodeJS.Timeout | undefined
  #foldDue = false
  /** Blocks and records are written here. One commit is in flight and lmdb copies while it commits: reused by the next. */
  #slab = Buffer.allocUnsafeSlow(256 << 10)
  #closed = false

  constructor (dbs: Databases, committer: Committer, heads: Heads, reader: BlockReader, tails: Tails, now: () => number) {
    this.#dbs = dbs
    this.#committer = committer
    this.#heads = heads
    this.#reader = reader
    this.#tails = tails
    this.#now = now
    this.#recover()
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

  close (): void {
    this.#closed = true
    clearTimeout(this.#fold)
  }

  get waiting (): boolean { return this.#foldDue || this.#next < this.#queue.length }

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
    this.#write(tx)
  }

  committed (): void {
    const nowMs = this.#now()
    for (const [conv, p] of this.#convs) {
      if (p.entries.length === 0) continue
      this.#heads.set(conv, { seq: p.seq, ts: p.ts, counts: p.counts })
      if (p.folds) this.#tails.remove(conv)
      else this.#tails.add(conv, p.entries, p.bytes, p.byCid, p.record, nowMs)
    }
    for (const { conv } of this.#aged) this.#tails.remove(conv)
    this.#answer()
    if (!this.#tails.empty && !this.#closed) {
      this.#fold ??= setTimeout(() => {
        this.#fold = undefined
        this.#foldDue = true
        this.#committer.wake()
      }, FOLD_AGE_MS).unref()
    }
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
    if (d.cid !== '') first = this.#known(d, sameHash = this.#sameHash(d.conv, d, p.byCid ??= new Map()))
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
    if (d.effects !== undefined || entry.seq === 1) {
      const own = new Tx(tx)
      if (entry.seq === 1 && !isGroupKey(d.conv)) openDirect(this.#dbs, own, entry)
      if (d.effects !== undefined) applyEffects(this.#dbs, own, entry, p.counts, d.effects)
      tx.absorb(own)
    }
    if (sameHash !== undefined) sameHash.entries.push(entry)
    p.seq = entry.seq
    p.ts = entry.ts
    p.counts = counts
    p.entries.push(entry)
    p.bytes += maxEncodedBytes(entry)
    return { result: { kind: 'stored', entry }, sure: false }
  }

  /** What is known of a sender's cid: of those in `known`, of the journal, or of the blocks. Noted in `known`. */
  #sameHash (conv: ConvKey, { from, cid }: { from: UserId, cid: string }, known: Map<number, SameHash>): SameHash {
    const hash = cidHash(from, cid)
    let same = known.get(hash) ?? this.#tails.get(conv)?.byCid.get(hash)
    if (same === undefined) {
      const key = cidKey(conv, hash)
      same = { key, stored: this.#dbs.log.getBinary(key), entries: [] }
    }
    known.set(hash, same)
    return same
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

  /** Puts what was planned into blocks, where it is enough for one, or into records of the journal. */
  #write (tx: Tx): void {
    for (const n of this.#tails.takeSpent()) tx.remove(this.#dbs.journal, recordKey(n))
    this.#aged = this.#pickAged()
    let need = 0
    for (const [conv, p] of this.#convs) {
      const tail = this.#tails.get(conv)
      p.folds = p.entries.length > 0 && (tail?.bytes ?? 0) + p.bytes >= FOLD_BYTES
      need += p.bytes + partOverhead(conv) + (p.folds ? tail?.bytes ?? 0 : 0)
    }
    for (const { conv, bytes } of this.#aged) need += bytes + partOverhead(conv)
    if (need > this.#slab.length) this.#slab = Buffer.allocUnsafeSlow(need + (need >> 1))
    let at = this.#writeRecords(tx)
    for (const [conv, p] of this.#convs) if (p.folds) at = this.#writeFolded(tx, conv, this.#tails.get(conv), p, at)
    for (const tail of this.#aged) at = this.#writeFolded(tx, tail.conv, tail, undefined, at)
  }

  /** What does not fold yet, from the start of the slab; gives the end. */
  #writeRecords (tx: Tx): number {
    let at = 0
    let start = 0
    const endRecord = (): void => {
      if (at > start) tx.append(this.#dbs.journal, recordKey(this.#record++), this.#slab.subarray(start, at))
      start = at
    }
    for (const [conv, p] of this.#convs) {
      if (p.folds || p.entries.length === 0) continue
      if (at - start + p.bytes > RECORD_BYTES) endRecord()
      at = encodePart(this.#slab, conv, p.entries, at)
      p.record = this.#record
    }
    endRecord()
    return at
  }

  /** All that a conversation has in the journal and in this commit, from `at` of the slab; gives the end. */
  #writeFolded (tx: Tx, conv: ConvKey, tail: Tail | undefined, planned: Planned | undefined, at: number): number {
    this.#writeCids(tx, new Set([...tail?.byCid.values() ?? [], ...planned?.byCid?.values() ?? []]))
    return this.#writeBlocks(tx, conv, [...tail?.entries ?? [], ...planned?.entries ?? []], at)
  }

  /** Of the journal, what is due; not what this commit adds to. */
  #pickAged (): Tail[] {
    const aged: Tail[] = []
    const oldMs = this.#now() - FOLD_AGE_MS
    const most = MAX_FOLDS + FOLDS_PER_NEW * this.#convs.size
    let over = this.#tails.memoryBytes - JOURNAL_BYTES
    this.#foldDue = false
    for (const tail of this.#tails.oldestFirst()) {
      if (aged.length >= most) this.#foldDue = true
      if (this.#foldDue || (tail.sinceMs > oldMs && over <= 0)) break
      if (this.#convs.has(tail.conv)) continue
      over -= memoryOf(tail)
      aged.push(tail)
    }
    return aged
  }

  /** Blocks of all these entries; gives the end in the slab. */
  #writeBlocks (tx: Tx, conv: ConvKey, entries: readonly Entry[], at: number): number {
    for (let from = 0; from < entries.length;) {
      let to = from
      let bytes = 0
      while (to < entries.length && to - from < BLOCK_ENTRIES && bytes < BLOCK_BYTES) bytes += maxEncodedBytes(entries[to++]!)
      const end = encodeBlock(this.#slab, entries, from, to, at)
      tx.append(this.#dbs.log, blockKey(conv, entries[from]!.seq), this.#slab.subarray(at, end))
      at = end
      from = to
    }
    return at
  }

  /** All seqs of a hash are one value: those among the blocks and those that come there now. */
  #writeCids (tx: Tx, all: ReadonlySet<SameHash>): void {
    for (const { key, stored, entries } of all) {
      if (entries.length === 0) continue
      const seqs = packU48(entries.map(e => e.seq))
      tx.append(this.#dbs.log, key, stored === undefined ? seqs : Buffer.concat([stored, seqs]))
    }
  }

  /** Takes up the journal of the process before. */
  #recover (): void {
    /** Of the blocks: a conversation may be in thousands of records. */
    const heads = new Map<ConvKey, number>()
    for (const { key, value } of this.#dbs.journal.getRange({ start: recordKey(0) })) {
      const record = firstSeqOf(key)
      this.#record = record + 1
      for (const { conv, entries, bytes } of decodeRecord(value)) {
        let head = heads.get(conv)
        if (head === undefined) heads.set(conv, head = this.#reader.head(conv).seq)
        if (entries[0]!.seq <= head) continue // among the blocks since
        const byCid = new Map<number, SameHash>()
        for (const e of entries) if (e.cid !== '') this.#sameHash(conv, e, byCid).entries.push(e)
        this.#tails.add(conv, entries, bytes, byCid, record, this.#now())
      }
      this.#tails.spend(record)
    }
  }
}
