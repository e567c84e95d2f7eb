import type { Entry } from '../../domain/entry.js'
import type { ConvKey } from '../../domain/ids.js'
import { BLOCK_OVERHEAD, decodeBlock, encodeBlock } from './codec.js'
import { type Key, u48 } from './keys.js'

/** Entries of one hash of sender and cid: their seqs among the blocks, and those that are not there yet. */
export interface SameHash { key: Key, stored: Buffer | undefined, entries: Entry[] }

/** What of one conversation is durable in the journal alone. */
export interface Tail {
  readonly conv: ConvKey
  readonly entries: Entry[]
  /** Of the entries, encoded. */
  bytes: number
  readonly byCid: Map<number, SameHash>
  /** The journal's records that hold a part of it. */
  readonly records: number[]
  readonly sinceMs: number
}

/** About what a tail takes in memory. Measured with cids: 1.5 kB beside the bytes with one entry, 8.4 kB with ten. */
export const memoryOf = (t: Tail): number => t.bytes + 700 * (1 + t.entries.length)

/** Of one part of a record beside its entries: conversation (u16 and bytes), first seq u48, length u32, the block's head. */
export const partOverhead = (conv: ConvKey): number => 12 + conv.length + BLOCK_OVERHEAD
export const recordKey = (n: number): Key => u48(n)

/** Writes one conversation's part of a record at `at`; gives the end. */
export function encodePart (b: Buffer, conv: ConvKey, entries: readonly Entry[], at: number): number {
  at = b.writeUInt16BE(conv.length, at)
  at += b.write(conv, at, 'latin1')
  at = b.writeUIntBE(entries[0]!.seq, at, 6)
  const end = encodeBlock(b, entries, 0, entries.length, at + 4)
  b.writeUInt32BE(end - at - 4, at)
  return end
}

/** The parts of a record. */
export function * decodeRecord (b: Buffer): Generator<{ conv: ConvKey, entries: Entry[], bytes: number }> {
  for (let at = 0; at < b.length;) {
    const nameEnd = at + 2 + b.readUInt16BE(at)
    const conv = b.toString('latin1', at + 2, nameEnd) as ConvKey
    const bytes = b.readUInt32BE(nameEnd + 6)
    at = nameEnd + 10 + bytes
    yield { conv, entries: decodeBlock(b.subarray(nameEnd + 10, at), conv, b.readUIntBE(nameEnd, 6)), bytes }
  }
}

/**
 * What is in the journal and not yet among the blocks, in memory: few entries of each conversation in use. Changed
 * only by what is durable.
 */
export class Tails {
  /** In the order of their age. */
  readonly #tails = new Map<ConvKey, Tail>()
  /** Of each record, the conversations that have a part of it here. */
  readonly #uses = new Map<number, number>()
  /** Records that nobody needs any more. */
  #spent: number[] = []
  #memoryBytes = 0

  get (conv: ConvKey): Tail | undefined { return this.#tails.get(conv) }
  /** See {@link memoryOf}. */
  get memoryBytes (): number { return this.#memoryBytes }
  get empty (): boolean { return this.#tails.size === 0 && this.#spent.length === 0 }
  oldestFirst (): Iterable<Tail> { return this.#tails.values() }

  add (conv: ConvKey, entries: readonly Entry[], bytes: number, byCid: ReadonlyMap<number, SameHash> | undefined, record: number, nowMs: number): void {
    let t = this.#tails.get(conv)
    const before = t === undefined ? 0 : memoryOf(t)
    if (t === undefined) this.#tails.set(conv, t = { conv, entries: [], bytes: 0, byCid: new Map(), records: [], sinceMs: nowMs })
    if (byCid !== undefined) for (const [hash, same] of byCid) t.byCid.set(hash, same)
    t.bytes += bytes
    for (const e of entries) t.entries.push(e)
    this.#memoryBytes += memoryOf(t) - before
    t.records.push(record)
    this.#uses.set(record, (this.#uses.get(record) ?? 0) + 1)
  }

  /** The conversation's entries are among the blocks now. */
  remove (conv: ConvKey): void {
    const t = this.#tails.get(conv)
    if (t === undefined) return
    this.#tails.delete(conv)
    this.#memoryBytes -= memoryOf(t)
    for (const record of t.records) {
      const uses = this.#uses.get(record)! - 1
      if (uses > 0) { this.#uses.set(record, uses); continue }
      this.#uses.delete(record)
      this.#spent.push(record)
    }
  }

  /** Records found that nothing of is needed. */
  spend (record: number): void { if (!this.#uses.has(record)) this.#spent.push(record) }

  takeSpent (): number[] {
    const spent = this.#spent
    this.#spent = []
    return spent
  }
}
