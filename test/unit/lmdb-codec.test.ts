import fc from 'fast-check'
import type { Entry } from '../../broker/domain/entry.js'
import type { ConvKey, DeviceId, UserId } from '../../broker/domain/ids.js'
import { BLOCK_OVERHEAD, checkEncodable, countIn, decodeBlock, encodeBlock, maxEncodedBytes } from '../../broker/stores/lmdb/codec.js'
import { cidHash, deviceBytes, firstSeqOf, join, join3, rangeOf, u48 } from '../../broker/stores/lmdb/keys.js'
import { decodeRecord, encodePart, partOverhead } from '../../broker/stores/lmdb/record.js'

const CONV = 'd/a/b' as ConvKey
const bytes = fc.uint8Array({ maxLength: 60 }).map(b => Buffer.from(b))
const u48s = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 48 - 1 }))
const u32s = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 32 - 1 }))
const entries = fc.array(fc.record({
  ts: u48s, counts: fc.tuple(u32s, u32s), from: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 128 }).map(s => s as UserId),
  dev: fc.string({ unit: 'binary', maxLength: 128 }).map(s => s as DeviceId), cid: fc.string({ unit: 'grapheme-ascii', maxLength: 64 }),
  type: fc.oneof(fc.constant('text'), fc.string({ unit: 'binary', minLength: 1, maxLength: 31 }), fc.constant('\uFFFF'.repeat(64))),
  fields: bytes, bytes: fc.option(bytes), push: bytes, exp: u48s, hash: fc.oneof(fc.nat(300), fc.maxSafeNat()), packetId: fc.nat(65535)
}), { minLength: 1, maxLength: 20 }).map(all => all.map((e, i): Entry => ({ conv: CONV, seq: i + 7, ...e })))

describe('a block', () => {
  test('gives back its entries, and takes no more room than was foretold', () => {
    fc.assert(fc.property(entries, fc.nat(9), (all, at) => {
      const room = all.reduce((n, e) => n + maxEncodedBytes(e), BLOCK_OVERHEAD)
      const b = Buffer.alloc(at + room + 1, 0xee)
      const end = encodeBlock(b, all, 0, all.length, at)
      expect(end).toBeLessThanOrEqual(at + room)
      const block = b.subarray(at, end)
      expect(countIn(block)).toBe(all.length)
      expect(decodeBlock(block, CONV, 7)).toEqual(all)
    }))
  })

  test('that lost its end, or has more than its entries, is told from a whole one', () => {
    fc.assert(fc.property(entries, fc.integer({ min: 1, max: 30 }), (all, cut) => {
      const b = Buffer.alloc(all.reduce((n, e) => n + maxEncodedBytes(e), BLOCK_OVERHEAD))
      const block = b.subarray(0, encodeBlock(b, all, 0, all.length, 0))
      expect(() => decodeBlock(Buffer.concat([block, Buffer.alloc(cut)]), CONV, 7)).toThrow(/damaged/)
      expect(() => decodeBlock(block.subarray(0, Math.max(3, block.length - cut)), CONV, 7)).toThrow()
    }))
  })

  test('of another format is refused', () => {
    expect(() => countIn(Buffer.from([9, 0, 1]))).toThrow('a block of format 9: this version reads 1')
  })
})

test('what does not fit its field is refused before it spoils a block', () => {
  const fits = { conv: CONV, from: 'f'.repeat(255) as UserId, cid: 'c'.repeat(255), type: 'é'.repeat(127), dev: '\u{10FFFF}'.repeat(128) as DeviceId }
  expect(() => { checkEncodable(fits) }).not.toThrow()
  for (const over of [{ from: 'f'.repeat(256) as UserId }, { cid: 'c'.repeat(256) }, { type: 'é'.repeat(128) }, { dev: 'é'.repeat(40_000) as DeviceId }, { conv: 'c'.repeat(1025) as ConvKey }]) {
    expect(() => { checkEncodable({ ...fits, ...over }) }).toThrow(/at most/)
  }
})

test('a record of the journal gives back its parts', () => {
  fc.assert(fc.property(fc.array(entries, { minLength: 1, maxLength: 5 }), lists => {
    const parts = lists.map((all, i) => ({ conv: `g/group-${i}` as ConvKey, entries: all.map(e => ({ ...e, conv: `g/group-${i}` as ConvKey })) }))
    const b = Buffer.alloc(parts.reduce((n, p) => n + partOverhead(p.conv) + p.entries.reduce((m, e) => m + maxEncodedBytes(e), 0), 0))
    let at = 0
    for (const p of parts) at = encodePart(b, p.conv, p.entries, at).to
    expect([...decodeRecord(b.subarray(0, at))].map(({ conv, firstSeq, block }) => ({ conv, entries: decodeBlock(block, conv, firstSeq) }))).toEqual(parts)
  }), { numRuns: 30 })
})

describe('keys', () => {
  test('of seqs sort as the numbers do', () => {
    fc.assert(fc.property(u48s, u48s, (a, b) => {
      expect(firstSeqOf(u48(a))).toBe(a)
      expect(Math.sign(Buffer.compare(Buffer.from(u48(a), 'latin1'), Buffer.from(u48(b), 'latin1')))).toBe(Math.sign(a - b))
    }))
  })

  test('of one owner are all of its range, and none of another is', () => {
    const part = fc.string({ unit: fc.constantFrom('a', 'b', '~', ' ', 'é', '\uFFFF', '\u{10FFFF}'), minLength: 1, maxLength: 4 })
    fc.assert(fc.property(part, part, part, part, (a, b, c, d) => {
      const [pa, pb, pc, pd] = [a, b, c, d].map(s => deviceBytes(s as DeviceId)) as [string, string, string, string]
      const within = (key: string, { start, end }: { start: string, end: string }): boolean => key >= start && key < end
      expect(within(join(pa, pb), rangeOf(pa))).toBe(true)
      expect(within(join3(pa, pb, pc), rangeOf(join(pa, pb)))).toBe(true)
      expect(within(join(pc, pd), rangeOf(pa))).toBe(pc === pa)
      expect(within(join3(pa, pc, pd), rangeOf(join(pa, pb)))).toBe(pc === pb)
    }))
  })

  test('of a cid tell the sender from the cid', () => {
    expect(cidHash('ab', 'c')).not.toBe(cidHash('a', 'bc'))
    fc.assert(fc.property(fc.string(), fc.string(), (from, cid) => { expect(firstSeqOf(u48(cidHash(from, cid)))).toBe(cidHash(from, cid)) }))
  })
})
