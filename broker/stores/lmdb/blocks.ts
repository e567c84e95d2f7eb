import { EMPTY_HEAD, type Entry, type Head } from '../../domain/entry.js'
import type { ConvKey } from '../../domain/ids.js'
import type { PageQuery } from '../../ports/log.js'
import { decodeBlock } from './codec.js'
import type { Databases } from './database.js'
import { blockKey, firstSeqOf } from './keys.js'
import type { Tails } from './tails.js'

interface Block { readonly first: number, readonly entries: readonly Entry[], readonly bytes: number }

/** Reads the log. A device that lags asks for the same block again and again, a window at a time: decoded ones are kept. */
export class BlockReader {
  readonly #dbs: Databases
  readonly #tails: Tails
  readonly #half: number
  /** Two generations: what is found in the old one moves to the young one, and the old one is dropped as a whole. */
  #young = new Map<ConvKey, Block[]>()
  #old = new Map<ConvKey, Block[]>()
  #youngBytes = 0

  constructor (dbs: Databases, tails: Tails, cacheBytes: number) {
    this.#dbs = dbs
    this.#tails = tails
    this.#half = cacheBytes / 2
  }

  /** Where the conversation stands. */
  head (conv: ConvKey): Head {
    const last = this.#blockAt(conv, Number.MAX_SAFE_INTEGER)
    const e = last?.entries.at(-1)
    return e === undefined ? EMPTY_HEAD : { seq: e.seq, ts: e.ts, counts: e.counts }
  }

  entry (conv: ConvKey, seq: number): Entry | undefined {
    const b = this.#blockAt(conv, seq)
    return b === undefined ? undefined : b.entries[seq - b.first]
  }

  /** As {@link LogStore.page}, of the entries up to `headSeq`. Synchronous: no read transaction outlives it. */
  page (conv: ConvKey, q: PageQuery, headSeq: number): Entry[] {
    const maxBytes = q.maxBytes ?? Infinity
    const out: Entry[] = []
    let bytes = 0
    const full = (e: Entry): boolean => {
      out.push(e)
      bytes += sizeOf(e)
      return out.length >= q.limit || bytes >= maxBytes
    }
    if (q.before === undefined) {
      let seq = Math.max(0, q.after ?? 0) + 1
      while (seq <= headSeq) {
        const b = this.#blockAt(conv, seq)
        if (b === undefined) return out
        for (let i = seq - b.first; i < b.entries.length; i++, seq++) {
          if (seq > headSeq || full(b.entries[i]!)) return out
        }
      }
      return out
    }
    let seq = Math.min(q.before - 1, headSeq)
    while (seq >= 1) {
      const b = this.#blockAt(conv, seq)
      if (b === undefined) break
      let done = false
      for (let i = seq - b.first; i >= 0 && !done; i--, seq--) done = full(b.entries[i]!)
      if (done) break
    }
    return out.reverse()
  }

  /** The block that holds `seq`; the last one when `seq` is past the end and nothing else is asked for than a head. */
  #blockAt (conv: ConvKey, seq: number): Block | undefined {
    const tail = this.#tails.get(conv)
    if (tail !== undefined && seq >= tail.firstSeq) return { first: tail.firstSeq, entries: decodeBlock(tail.block, conv, tail.firstSeq), bytes: tail.bytes }
    const kept = this.#kept(conv, seq)
    if (kept !== undefined) return kept
    let first = seq
    // A reader that goes on where a block ended asks for the first seq of the next: no search needed.
    let bytes = seq <= MAX_SEQ ? this.#dbs.log.getBinary(blockKey(conv, seq)) : undefined
    if (bytes === undefined) {
      const range = this.#dbs.log.getRange({ start: blockKey(conv, Math.min(seq, MAX_SEQ)), end: blockKey(conv, 0), reverse: true, limit: 1 })
      for (const { key, value } of range) { first = firstSeqOf(key); bytes = value }
    }
    if (bytes === undefined) return undefined
    const block = { first, entries: decodeBlock(bytes, conv, first), bytes: bytes.length }
    if (seq <= MAX_SEQ && seq >= first + block.entries.length) return undefined
    if (seq <= MAX_SEQ) this.#keep(conv, block)
    return block
  }

  #kept (conv: ConvKey, seq: number): Block | undefined {
    const young = find(this.#young.get(conv), seq)
    if (young !== undefined) return young
    const old = find(this.#old.get(conv), seq)
    if (old !== undefined) this.#keep(conv, old)
    return old
  }

  #keep (conv: ConvKey, b: Block): void {
    if (this.#youngBytes > this.#half) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    const blocks = this.#young.get(conv)
    if (blocks === undefined) this.#young.set(conv, [b])
    else blocks.splice(indexFor(blocks, b.first), 0, b)
    // a decoded entry takes more than its bytes
    this.#youngBytes += b.bytes + 200 * b.entries.length
  }
}

const MAX_SEQ = 2 ** 48 - 1

/** What {@link PageQuery.maxBytes} counts. */
const sizeOf = (e: Entry): number => e.fields.length + (e.bytes === null ? 0 : e.bytes.length)

/** Where a block with this first seq belongs among `blocks`, which are sorted. */
function indexFor (blocks: readonly Block[], first: number): number {
  let lo = 0
  let hi = blocks.length
  while (lo < hi) {
    const mid = (lo + hi) >>> 1
    if (blocks[mid]!.first <= first) lo = mid + 1; else hi = mid
  }
  return lo
}

function find (blocks: readonly Block[] | undefined, seq: number): Block | undefined {
  if (blocks === undefined) return undefined
  const b = blocks[indexFor(blocks, seq) - 1]
  return b !== undefined && seq < b.first + b.entries.length ? b : undefined
}
