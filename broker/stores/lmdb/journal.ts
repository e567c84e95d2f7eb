import type { Counts, Entry, Head } from '../../domain/entry.js'
import type { ConvKey } from '../../domain/ids.js'
import type { BlockReader } from './blocks.js'
import { decodeBlock, encodeBlock, maxEncodedBytes } from './codec.js'
import type { Tx } from './committer.js'
import type { Databases } from './database.js'
import { blockKey, cidHash, cidKey, firstSeqOf, type Key } from './keys.js'
import { decodeRecord, encodePart, partOverhead, recordKey } from './record.js'
import { packU48, unpackU48 } from './rows.js'
import type { Cids, Tail, Tails } from './tails.js'

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
/** A record holds about so many bytes: LMDB looks for as many free pages in a row. */
const RECORD_BYTES = 32 << 10
const NO_SEQS: readonly number[] = []

/** One conversation's part of the commit that is being put together. */
export class Planned {
  /** The last seq that is on the disk. */
  readonly stored: number
  seq: number
  ts: number
  counts: Counts
  readonly entries: Entry[] = []
  /** At most what the entries take, encoded. */
  bytes = 0
  readonly cids = new Map<Key, readonly number[]>()
  /** Where they are in the journal; undefined: they become blocks, with all that the journal has of the conversation. */
  inJournal: { readonly record: number, readonly block: Buffer } | undefined
  constructor (head: Head) {
    this.stored = this.seq = head.seq
    this.ts = head.ts
    this.counts = head.counts
  }

  /** The next entry. */
  add (e: Entry): void {
    this.seq = e.seq
    this.ts = e.ts
    this.counts = e.counts
    this.entries.push(e)
    this.bytes += maxEncodedBytes(e)
  }
}

/** Puts what is committed into records of the journal, and what is enough for a block, or old, into blocks of the log. */
export class Journal {
  readonly #dbs: Databases
  readonly #reader: BlockReader
  readonly #tails: Tails
  readonly #now: () => number
  readonly #wake: () => void
  /** Number of the next record. */
  #record = 1
  /** Old conversations that this commit makes blocks of. */
  #aged: Tail[] = []
  #timer: NodeJS.Timeout | undefined
  #due = false
  #closed = false
  /** Blocks and records are written here. One commit is in flight and lmdb copies while it commits: reused by the next. */
  #slab = Buffer.allocUnsafeSlow(256 << 10)

  /** Takes up the journal of the process before. `wake` is called when it has something to write of itself. */
  constructor (dbs: Databases, reader: BlockReader, tails: Tails, now: () => number, wake: () => void) {
    this.#dbs = dbs
    this.#reader = reader
    this.#tails = tails
    this.#now = now
    this.#wake = wake
    this.#recover()
  }

  /** It has something to write, whether or not anything is appended. */
  get due (): boolean { return this.#due }
  close (): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  /** Seqs of the entries with this hash of sender and cid: as in `newer`, in the journal, or in the log. */
  seqs (conv: ConvKey, key: Key, newer: Cids): readonly number[] {
    return newer.get(key) ?? this.#tails.get(conv)?.cids.get(key) ?? this.#storedSeqs(key)
  }

  /** Puts what was planned into `tx`. */
  write (tx: Tx, convs: ReadonlyMap<ConvKey, Planned>): void {
    for (const n of this.#tails.takeSpent()) tx.remove(this.#dbs.journal, recordKey(n))
    this.#aged = this.#pickAged(convs)
    const small: [ConvKey, Planned][] = []
    const large: [ConvKey, Planned][] = []
    let need = 0
    for (const item of convs) {
      const [conv, p] = item
      if (p.entries.length === 0) continue
      const before = this.#tails.get(conv)?.bytes ?? 0
      const folds = before + p.bytes >= FOLD_BYTES
      ;(folds ? large : small).push(item)
      need += p.bytes + partOverhead(conv) + (folds ? before : 0)
    }
    for (const tail of this.#aged) need += tail.bytes
    if (need > this.#slab.length) this.#slab = Buffer.allocUnsafeSlow(need + (need >> 1))
    let at = this.#writeRecords(tx, small)
    for (const [conv, p] of large) at = this.#writeBlocks(tx, conv, this.#tails.get(conv), p, at)
    for (const tail of this.#aged) at = this.#writeBlocks(tx, tail.conv, tail, undefined, at)
  }

  /** What was written is durable. */
  committed (convs: ReadonlyMap<ConvKey, Planned>): void {
    const nowMs = this.#now()
    for (const [conv, { entries, cids, inJournal }] of convs) {
      if (entries.length === 0) continue
      if (inJournal === undefined) this.#tails.remove(conv)
      else this.#tails.add(conv, entries[0]!.seq, inJournal.block, cids, inJournal.record, nowMs)
    }
    for (const { conv } of this.#aged) this.#tails.remove(conv)
    if (this.#tails.empty || this.#closed) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#due = true
      this.#wake()
    }, FOLD_AGE_MS).unref()
  }

  /** What does not become blocks yet, from the start of the slab; gives the end. */
  #writeRecords (tx: Tx, parts: ReadonlyArray<[ConvKey, Planned]>): number {
    let at = 0
    let start = 0
    const endRecord = (): void => {
      if (at > start) tx.append(this.#dbs.journal, recordKey(this.#record++), this.#slab.subarray(start, at))
      start = at
    }
    for (const [conv, p] of parts) {
      if (at - start + p.bytes > RECORD_BYTES) endRecord()
      const { from, to } = encodePart(this.#slab, conv, p.entries, at)
      p.inJournal = { record: this.#record, block: this.#slab.subarray(from, to) }
      at = to
    }
    endRecord()
    return at
  }

  /** All that a conversation has in the journal and in this commit, from `at` of the slab; gives the end. */
  #writeBlocks (tx: Tx, conv: ConvKey, tail: Tail | undefined, planned: Planned | undefined, at: number): number {
    if (tail !== undefined) for (const [key, seqs] of tail.cids) if (planned?.cids.has(key) !== true) tx.append(this.#dbs.log, key, packU48(seqs))
    if (planned !== undefined) for (const [key, seqs] of planned.cids) tx.append(this.#dbs.log, key, packU48(seqs))
    const entries = planned?.entries ?? []
    let before = tail
    let from = 0
    do {
      let to = from
      let bytes = before?.bytes ?? 0
      const room = from + BLOCK_ENTRIES - (before?.count ?? 0)
      while (to < entries.length && to < room && bytes < BLOCK_BYTES) bytes += maxEncodedBytes(entries[to++]!)
      const end = encodeBlock(this.#slab, entries, from, to, at, before?.block)
      tx.append(this.#dbs.log, blockKey(conv, before?.firstSeq ?? entries[from]!.seq), this.#slab.subarray(at, end))
      before = undefined
      at = end
      from = to
    } while (from < entries.length)
    return at
  }

  /** Of the journal, what is due; not what this commit adds to. */
  #pickAged (convs: ReadonlyMap<ConvKey, Planned>): Tail[] {
    const aged: Tail[] = []
    const oldMs = this.#now() - FOLD_AGE_MS
    const most = MAX_FOLDS + FOLDS_PER_NEW * convs.size
    let over = this.#tails.memoryBytes - JOURNAL_BYTES
    this.#due = false
    for (const tail of this.#tails.oldestFirst()) {
      if (aged.length >= most) this.#due = true
      if (this.#due || (tail.sinceMs > oldMs && over <= 0)) break
      if (convs.has(tail.conv)) continue
      over -= tail.memoryBytes
      aged.push(tail)
    }
    return aged
  }

  #storedSeqs (key: Key): readonly number[] {
    const stored = this.#dbs.log.getBinary(key)
    return stored === undefined ? NO_SEQS : Array.from({ length: stored.length / 6 }, (_, i) => unpackU48(stored, i))
  }

  #recover (): void {
    /** Of the blocks: a conversation may be in thousands of records. */
    const heads = new Map<ConvKey, number>()
    for (const { key, value } of this.#dbs.journal.getRange({ start: recordKey(0) })) {
      const record = firstSeqOf(key)
      this.#record = record + 1
      for (const { conv, firstSeq, block } of decodeRecord(value)) {
        let head = heads.get(conv)
        if (head === undefined) heads.set(conv, head = this.#reader.head(conv).seq)
        if (firstSeq <= head) continue // among the blocks since
        const cids = new Map<Key, readonly number[]>()
        for (const { from, cid, seq } of decodeBlock(block, conv, firstSeq)) {
          if (cid === '') continue
          const cidsKey = cidKey(conv, cidHash(from, cid))
          cids.set(cidsKey, [...this.seqs(conv, cidsKey, cids), seq])
        }
        this.#tails.add(conv, firstSeq, block, cids, record, this.#now())
      }
      this.#tails.spend(record)
    }
  }
}
