import type { Entry } from '../../domain/entry.js'
import type { ConvKey } from '../../domain/ids.js'
import { BLOCK_OVERHEAD, encodeBlock } from './codec.js'
import { type Key, u48 } from './keys.js'

/** A part of a record: what one commit adds to one conversation. */
export interface Part { conv: ConvKey, firstSeq: number, block: Buffer }

/** Of one part beside its entries: conversation (u16 and bytes), first seq u48, length u32, the block's head. */
export const partOverhead = (conv: ConvKey): number => 12 + conv.length + BLOCK_OVERHEAD
export const recordKey = (n: number): Key => u48(n)

/** Writes one conversation's part of a record at `at`; gives where its block begins and ends. */
export function encodePart (b: Buffer, conv: ConvKey, entries: readonly Entry[], at: number): { from: number, to: number } {
  at = b.writeUInt16BE(conv.length, at)
  at += b.write(conv, at, 'latin1')
  at = b.writeUIntBE(entries[0]!.seq, at, 6)
  const from = at + 4
  const to = encodeBlock(b, entries, 0, entries.length, from)
  b.writeUInt32BE(to - from, at)
  return { from, to }
}

/** The parts of a record. Their blocks are views of `b`. */
export function * decodeRecord (b: Buffer): Generator<Part> {
  for (let at = 0; at < b.length;) {
    const nameEnd = at + 2 + b.readUInt16BE(at)
    const conv = b.toString('latin1', at + 2, nameEnd) as ConvKey
    const from = nameEnd + 10
    at = from + b.readUInt32BE(nameEnd + 6)
    yield { conv, firstSeq: b.readUIntBE(nameEnd, 6), block: b.subarray(from, at) }
  }
}
