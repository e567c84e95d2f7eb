import { jest } from '@jest/globals'
import fc from 'fast-check'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Entry } from '../../broker/domain/entry.js'
import type { ConvKey } from '../../broker/domain/ids.js'
import type { Draft } from '../../broker/ports/log.js'
import type { Stores } from '../../broker/ports/stores.js'
import { openDatabases } from '../../broker/stores/lmdb/database.js'
import { cidHash } from '../../broker/stores/lmdb/keys.js'
import { openLmdb } from '../../broker/stores/lmdb/open.js'
import { draft, inGroup, user } from '../contract/opened.js'
import { recordingLogger } from '../support/recording-logger.js'

/** Older than what the journal keeps. */
const AGE_MS = 10_001

let dir: string
let nowMs: number
let commits = 0
let stores: Stores
const open = async (): Promise<void> => { stores = await openLmdb(dir, { log: recordingLogger(), now: () => nowMs, commitGate: () => { commits++ } }) }
const reopen = async (): Promise<void> => { await stores.close(); await open() }
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'parley-journal-'))
  nowMs = 1e12
  await open()
})
afterEach(async () => {
  await stores.close()
  rmSync(dir, { recursive: true })
})

async function append (d: Draft): Promise<Entry> {
  const r = await stores.log.append(d)
  if (r.kind !== 'stored') throw new Error(r.kind)
  return r.entry
}
const whole = async (conv: ConvKey): Promise<Entry[]> => await stores.log.page(conv, { after: 0, limit: 10_000 })

/** What lies on the disk: records of the journal, and blocks by conversation. The store is closed for it. */
async function onDisk (): Promise<{ records: number, blocks: (conv: ConvKey) => number }> {
  await stores.close()
  const dbs = openDatabases(join(dir, 'store.mdb'))
  const records = [...dbs.journal.getKeys({ start: '\u0000' })].length
  const blocks = new Map<string, number>()
  for (const key of dbs.log.getKeys({ start: '\u0000' })) {
    const [conv, rest] = [key.slice(0, -7), key.at(-7)]
    if (rest === '\u0000') blocks.set(conv, (blocks.get(conv) ?? 0) + 1)
  }
  await dbs.root.close()
  await open()
  return { records, blocks: conv => blocks.get(conv) ?? 0 }
}

const A = inGroup('a')
const B = inGroup('b')

test('small entries stand in the journal first, and become one block once they are old', async () => {
  const drafts = Array.from({ length: 5 }, () => draft(A))
  const entries: Entry[] = []
  for (const d of drafts) entries.push(await append(d))
  expect((await onDisk()).blocks(A)).toBe(0)
  expect(await whole(A)).toEqual(entries)
  nowMs += AGE_MS
  await append(draft(B)) // any commit takes the old ones along
  expect(await whole(A)).toEqual(entries)
  const disk = await onDisk()
  expect([disk.blocks(A), disk.blocks(B)]).toEqual([1, 0])
  expect(await whole(A)).toEqual(entries)
  for (const [i, d] of drafts.entries()) expect(await stores.log.append(d)).toEqual({ kind: 'already-stored', entry: entries[i] })
})

test('a conversation of 4 kB becomes a block at once, with what the journal has of it', async () => {
  const small = await append(draft(A))
  const large = await append(draft(A, { fields: Buffer.alloc(4096, 'x') }))
  expect((await onDisk()).blocks(A)).toBe(1)
  expect(await whole(A)).toEqual([small, large])
})

test('the journal is emptied of what stands in blocks, however long it goes on', async () => {
  for (let i = 0; i < 300; i++) {
    await append(draft(inGroup(`g${i % 40}`)))
    nowMs += 1000
  }
  // ten seconds' worth, and the records that the last commit made needless
  expect((await onDisk()).records).toBeLessThan(30)
  for (let i = 0; i < 40; i++) expect((await whole(inGroup(`g${i}`))).map(e => e.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].slice(0, i < 20 ? 8 : 7))
})

test('two cids of one hash are told apart, in the journal and in blocks', async () => {
  const pair = ['c11198417', 'c39089026'] // found by trying 40 million
  expect(cidHash('u', pair[0]!)).toBe(cidHash('u', pair[1]!))
  const [one, two] = pair.map((cid, i) => draft(A, { from: user('u'), cid, hash: i })) as [Draft, Draft]
  const known = async (...entries: Entry[]): Promise<void> => {
    for (const [i, entry] of entries.entries()) {
      expect(await stores.log.append([one, two][i]!)).toEqual({ kind: 'already-stored', entry })
      expect(await stores.log.append({ ...[one, two][i]!, hash: 99 })).toEqual({ kind: 'conflict' })
    }
  }
  const first = await append(one)
  nowMs += AGE_MS
  await append(draft(B)) // the first one is in a block now
  const second = await append(two)
  await known(first, second)
  await reopen()
  await known(first, second)
  nowMs += AGE_MS
  await append(draft(B))
  await reopen()
  await known(first, second)
})

test('the journal has a bound, however many conversations come and however fast', async () => {
  const many = 16_000
  // as many drafts in each commit as it takes, however slow this machine is
  const clock = jest.spyOn(performance, 'now').mockReturnValue(0)
  commits = 0
  await Promise.all(Array.from({ length: many }, async (_, i) => await append(draft(inGroup(`n${i}`), { fields: Buffer.alloc(3000, 'x') }))))
  const disk = await onDisk()
  clock.mockRestore()
  const inBlocks = Array.from({ length: many }, (_, i) => disk.blocks(inGroup(`n${i}`))).reduce((a, b) => a + b)
  expect(many - inBlocks).toBeLessThan(9000) // 32 MB of memory, by what a tail takes
  expect(commits).toBeLessThan(40) // it did not have to catch up
  const heads = await stores.log.heads(Array.from({ length: many }, (_, i) => inGroup(`n${i}`)))
  expect(heads.every(h => h.seq === 1)).toBe(true)
})

test('old entries become blocks also when nothing is sent any more', async () => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance', 'Date'] })
  try {
    await append(draft(A))
    nowMs += AGE_MS
    jest.advanceTimersByTime(AGE_MS)
  } finally {
    jest.useRealTimers()
  }
  expect((await onDisk()).blocks(A)).toBe(1)
  expect(await whole(A)).toHaveLength(1)
})

test('whatever comes in between, the log is what was appended and every cid is known', async () => {
  const convs = ['x', 'xy', 'z'].map(inGroup)
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('append' as const), lots: fc.array(fc.record({ conv: fc.nat(2), cid: fc.option(fc.nat(40)), bytes: fc.oneof({ weight: 9, arbitrary: fc.nat(400) }, fc.constant(6000)) }), { minLength: 1, maxLength: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(100, 5000, AGE_MS) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) }
  )
  let run = 0
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async steps => {
    const mine = convs.map(c => `${c}-${++run}` as ConvKey)
    const model = new Map(mine.map(c => [c, [] as Entry[]]))
    for (const s of steps) {
      if (s.kind === 'wait') nowMs += s.ms
      else if (s.kind === 'restart') await reopen()
      else {
        const drafts = s.lots.map(l => draft(mine[l.conv]!, { cid: l.cid === null ? '' : `c${l.cid}`, hash: 1, fields: Buffer.alloc(l.bytes, 'x') }))
        const results = await Promise.all(drafts.map(async d => await stores.log.append(d)))
        results.forEach((r, i) => {
          const d = drafts[i]!
          const log = model.get(d.conv)!
          const first = d.cid === '' ? undefined : log.find(e => e.cid === d.cid)
          if (first !== undefined) {
            expect(r.kind).toBe('already-stored')
            expect('entry' in r && r.entry.seq).toBe(first.seq)
          } else {
            expect(r.kind).toBe('stored')
            if (r.kind === 'stored') log.push(r.entry)
          }
        })
      }
      for (const [conv, log] of model) {
        const got = await whole(conv)
        expect(got.map(e => [e.seq, e.cid, e.fields.length])).toEqual(log.map((e, i) => [i + 1, e.cid, e.fields.length]))
        expect((await stores.log.heads([conv]))[0]!.seq).toBe(log.length)
      }
    }
  }), { numRuns: 40 })
})
