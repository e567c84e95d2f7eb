import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Entry, Head } from '../../broker/domain/entry.js'
import type { ConvKey } from '../../broker/domain/ids.js'
import { BlockReader } from '../../broker/stores/lmdb/blocks.js'
import { encodeBlock } from '../../broker/stores/lmdb/codec.js'
import { type Databases, openDatabases } from '../../broker/stores/lmdb/database.js'
import { Heads } from '../../broker/stores/lmdb/heads.js'
import { blockKey } from '../../broker/stores/lmdb/keys.js'
import { Tails } from '../../broker/stores/lmdb/tails.js'
import { draft, inGroup } from '../contract/opened.js'

describe('the reader', () => {
  let dir: string
  let dbs: Databases
  let reads: number
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'parley-blocks-'))
    dbs = openDatabases(join(dir, 'store.mdb'))
    reads = 0
    const { log } = dbs
    const [getBinary, getRange] = [log.getBinary.bind(log), log.getRange.bind(log)]
    log.getBinary = (...args) => { reads++; return getBinary(...args) }
    log.getRange = (...args) => { reads++; return getRange(...args) }
    for (const conv of [A, B]) {
      const entries = Array.from({ length: 100 }, (_, i): Entry => ({ ...draft(conv, { fields: Buffer.alloc(1000, 'x') }), seq: i + 1, ts: i, counts: [i, 0] }))
      for (let from = 0; from < 100; from += 10) {
        const b = Buffer.alloc(20_000)
        await log.put(blockKey(conv, from + 1), b.subarray(0, encodeBlock(b, entries, from, from + 10, 0)))
      }
    }
  })
  afterEach(async () => {
    await dbs.root.close()
    rmSync(dir, { recursive: true })
  })
  const A = inGroup('a')
  const B = inGroup('b')
  const seqs = (entries: readonly Entry[]): number[] => entries.map(e => e.seq)
  const some = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

  test('reads a block once while it is kept, from wherever it is asked for', () => {
    const reader = new BlockReader(dbs, new Tails(), 1 << 20)
    expect(seqs(reader.page(A, { after: 44, limit: 3 }, 100))).toEqual([45, 46, 47])
    const first = reads
    expect(seqs(reader.page(A, { after: 47, limit: 3 }, 100))).toEqual([48, 49, 50])
    expect(seqs(reader.page(A, { before: 46, limit: 5 }, 100))).toEqual(some(41, 45))
    expect(reader.entry(A, 41)!.seq).toBe(41)
    expect(reads).toBe(first)
    expect(reader.entry(B, 41)!.conv).toBe(B)
    expect(reads).toBeGreaterThan(first)
  })

  test('keeps no more than it may, and reads right whatever it still has', () => {
    const reader = new BlockReader(dbs, new Tails(), 30_000) // two blocks or three
    for (let i = 0; i < 500; i++) {
      const conv = i % 3 === 0 ? B : A
      const after = (i * 37) % 95
      expect(seqs(reader.page(conv, { after, limit: 5 }, 100))).toEqual(some(after + 1, after + 5))
    }
    expect(reads).toBeGreaterThan(400)
  })

  test('gives nothing past the head it is told, nor where nothing is', () => {
    const reader = new BlockReader(dbs, new Tails(), 1 << 20)
    expect(seqs(reader.page(A, { after: 93, limit: 50 }, 95))).toEqual([94, 95])
    expect(seqs(reader.page(A, { before: 1000, limit: 2 }, 95))).toEqual([94, 95])
    expect(reader.entry(A, 101)).toBeUndefined()
    expect(reader.entry(inGroup('aa'), 1)).toBeUndefined()
    expect(reader.head(A)).toEqual({ seq: 100, ts: 99, counts: [99, 0] })
    expect(reader.head(inGroup(''))).toEqual({ seq: 0, ts: 0, counts: [0, 0] })
  })
})

test('heads are kept up to a number, the newest value always wins, and the rest is read again', () => {
  const disk = new Map<ConvKey, Head>()
  let loads = 0
  const heads = new Heads(10, conv => { loads++; return disk.get(conv) ?? { seq: 0, ts: 0, counts: [0, 0] } })
  for (let i = 0; i < 3000; i++) {
    const conv = inGroup(`g${(i * 7) % 23}`)
    expect(heads.get(conv).seq).toBe(disk.get(conv)?.seq ?? 0)
    if (i % 2 === 0) {
      const head: Head = { seq: i, ts: i, counts: [0, 0] }
      disk.set(conv, head)
      heads.set(conv, head)
    }
  }
  expect(loads).toBeGreaterThan(1000)
  loads = 0
  for (let i = 0; i < 100; i++) heads.get(inGroup(`hot${i % 3}`))
  expect(loads).toBe(3)
})
