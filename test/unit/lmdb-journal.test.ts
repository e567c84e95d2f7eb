import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Entry } from '../../broker/domain/entry.js'
import type { Stores } from '../../broker/ports/stores.js'
import { openLmdb } from '../../broker/stores/lmdb/open.js'
import { draft, inGroup, user } from '../contract/opened.js'
import { recordingLogger } from '../support/recording-logger.js'

// Small commits go to the journal first and into blocks later: nobody may see the difference, whatever the time.
let dir: string
let stores: Stores
let nowMs: number
const start = async (): Promise<void> => { stores = await openLmdb(dir, { log: recordingLogger(), now: () => nowMs }) }
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'parley-journal-'))
  nowMs = 1_750_000_000_000
  await start()
})
afterEach(async () => {
  await stores.close()
  rmSync(dir, { recursive: true })
})

const TEN_SECONDS = 10_001
type Step = { do: 'append', conv: number, bytes: number, n: number } | { do: 'again', conv: number, nth: number } | { do: 'reopen' } | { do: 'wait' }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append' as const), conv: fc.nat(4), bytes: fc.constantFrom(10, 500, 3000, 9000), n: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('again' as const), conv: fc.nat(4), nth: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'wait' as const }) }
)

test('the log is the same whatever was folded, waits, or was taken up again', async () => {
  let run = 0
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
    run++
    const conv = (i: number) => inGroup(`r${run}-${i}`)
    const model = new Map<string, Entry[]>()
    for (const s of steps) {
      if (s.do === 'wait') nowMs += TEN_SECONDS
      else if (s.do === 'reopen') { await stores.close(); await start() } else {
        const key = conv(s.conv)
        const known = model.get(key) ?? []
        if (s.do === 'append') {
          const results = await Promise.all(Array.from({ length: s.n }, async (_, i) =>
            await stores.log.append(draft(key, { cid: `${known.length + i}`, fields: Buffer.from(`"body":"${'x'.repeat(s.bytes)}"`) }))))
          for (const r of results) known.push(r.kind === 'stored' ? r.entry : (() => { throw new Error(r.kind) })())
          model.set(key, known)
        } else if (known.length > 0) {
          const e = known[s.nth % known.length]!
          const again = { ...draft(key), from: e.from, cid: e.cid, hash: e.hash, fields: e.fields }
          expect(await stores.log.append(again)).toMatchObject({ kind: 'already-stored', entry: { seq: e.seq } })
          expect((await stores.log.append({ ...again, hash: e.hash + 1 })).kind).toBe('conflict')
        }
      }
      for (const [key, entries] of model) {
        const [head] = await stores.log.heads([key as never])
        expect(head!.seq).toBe(entries.length)
      }
    }
    for (const [key, entries] of model) {
      expect(await stores.log.page(key as never, { after: 0, limit: 1000 })).toEqual(entries)
      expect(await stores.log.page(key as never, { before: entries.length, limit: 3 })).toEqual(entries.slice(0, -1).slice(-3))
    }
  }), { numRuns: 60 })
})

test('what was folded leaves the journal, which begins anew', async () => {
  const a = inGroup('a')
  for (let i = 0; i < 5; i++) await stores.log.append(draft(a, { from: user('x') }))
  nowMs += TEN_SECONDS
  for (let i = 0; i < 3; i++) await stores.log.append(draft(inGroup(`b${i}`))) // folds a, then forgets its records
  await stores.close()
  await start()
  nowMs += TEN_SECONDS
  await stores.log.append(draft(inGroup('c')))
  expect((await stores.log.page(a, { after: 0, limit: 10 })).map(e => e.seq)).toEqual([1, 2, 3, 4, 5])
})
