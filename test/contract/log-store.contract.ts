import fc from 'fast-check'
import type { Entry } from '../../broker/domain/entry.js'
import type { ConvKey } from '../../broker/domain/ids.js'
import type { AppendResult, Draft, LogStore, PageQuery } from '../../broker/ports/log.js'
import { device, direct, draft, inGroup, type Open, type Opened, someConv, user } from './opened.js'

/** The stored entry; fails the test when there is another result. */
function stored (r: AppendResult): Entry {
  if (r.kind !== 'stored') throw new Error(`${r.kind} ${'cause' in r ? r.cause.message : ''}`)
  return r.entry
}

/** The whole log of a conversation, by pages of 100. */
async function whole (log: LogStore, conv: ConvKey): Promise<Entry[]> {
  const all: Entry[] = []
  for (;;) {
    const page = await log.page(conv, { after: all.length, limit: 100 })
    if (page.length === 0) return all
    all.push(...page)
  }
}

const seqs = (entries: readonly Entry[]): number[] => entries.map(e => e.seq)
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

/** What any {@link LogStore} keeps. */
export function logStoreContract (name: string, open: Open): void {
  describe(`${name}: log`, () => {
    let opened: Opened
    let log: LogStore
    beforeAll(async () => { opened = await open(); log = opened.stores.log })
    afterAll(async () => { await opened.close() })
    const reopen = async (): Promise<void> => { await opened.reopen(); log = opened.stores.log }

    describe('seq', () => {
      test('has no gaps and no doubles when many append to many conversations at once', async () => {
        const convs = Array.from({ length: 12 }, (_, i) => i % 2 === 0 ? someConv() : inGroup(`many-${i}`))
        const results: Entry[] = []
        await Promise.all(Array.from({ length: 40 }, async (_, caller) => {
          for (let i = 0; i < 25; i++) {
            results.push(stored(await log.append(draft(convs[(caller * 7 + i) % convs.length]!, { from: user(`u${caller}`) }))))
          }
        }))
        for (const conv of convs) {
          const entries = await whole(log, conv)
          expect(seqs(entries)).toEqual(upTo(entries.length))
          expect(entries).toEqual(results.filter(e => e.conv === conv).sort((a, b) => a.seq - b.seq))
        }
        expect(results).toHaveLength(1000)
      })

      test('follows the order of the calls, which need not be awaited', async () => {
        const convs = [someConv(), someConv(), inGroup('ordered')]
        const drafts = Array.from({ length: 600 }, (_, i) => draft(convs[i % 3]!, { cid: i % 5 === 0 ? '' : `n-${i}` }))
        const entries = (await Promise.all(drafts.map(async d => await log.append(d)))).map(stored)
        for (const conv of convs) expect(seqs(entries.filter(e => e.conv === conv))).toEqual(upTo(200))
        expect(entries.map(e => e.fields)).toEqual(drafts.map(d => d.fields))
      })

      test('goes on after the store was closed and opened', async () => {
        const conv = someConv()
        for (let i = 0; i < 5; i++) {
          expect(stored(await log.append(draft(conv))).seq).toBe(2 * i + 1)
          expect(stored(await log.append(draft(conv))).seq).toBe(2 * i + 2)
          await reopen()
        }
        expect(seqs(await whole(log, conv))).toEqual(upTo(10))
      })
    })

    describe('a resend', () => {
      test('with the same cid and payload gets the first entry, however often and after a restart', async () => {
        const conv = someConv()
        const d = draft(conv, { nowMs: 5000 })
        const first = stored(await log.append(d))
        stored(await log.append(draft(conv)))
        const again = { kind: 'already-stored', entry: first }
        expect(await log.append({ ...d, nowMs: 9000 })).toEqual(again)
        expect(await Promise.all(upTo(20).map(async () => await log.append({ ...d, dup: true, packetId: 9, dev: device('tablet') })))).toEqual(upTo(20).map(() => again))
        await reopen()
        expect(await log.append({ ...d, nowMs: 9000 })).toEqual(again)
        expect(seqs(await whole(log, conv))).toEqual([1, 2])
      })

      test('that overtakes the first answer is not stored twice', async () => {
        const conv = someConv()
        const d = draft(conv)
        const results = await Promise.all([log.append(d), log.append(d), log.append(draft(conv)), log.append(d)])
        expect(results.map(r => r.kind)).toEqual(['stored', 'already-stored', 'stored', 'already-stored'])
        expect(results.map(r => 'entry' in r && r.entry.seq)).toEqual([1, 1, 2, 1])
      })

      test('of a cid with another payload is a conflict, before and after a restart', async () => {
        const conv = someConv()
        const d = draft(conv)
        const results = await Promise.all([log.append(d), log.append({ ...d, hash: d.hash + 1 })])
        expect(results.map(r => r.kind)).toEqual(['stored', 'conflict'])
        expect(await log.append({ ...d, hash: d.hash + 2 })).toEqual({ kind: 'conflict' })
        await reopen()
        expect(await log.append({ ...d, hash: d.hash + 2 })).toEqual({ kind: 'conflict' })
        expect(seqs(await whole(log, conv))).toEqual([1])
      })

      test('is told by sender and conversation: others may use the same cid', async () => {
        const [one, two] = [inGroup('cid-1'), inGroup('cid-2')]
        const d = draft(one, { from: user('ab'), cid: 'c' })
        for (const other of [d, { ...d, conv: two }, { ...d, from: user('a'), cid: 'bc' }, { ...d, from: user('b') }, { ...d, cid: 'C' }]) {
          expect((await log.append(other)).kind).toBe('stored')
        }
      })

      test('by cid is known among many thousands, at any age', async () => {
        const conv = inGroup('many-cids')
        const drafts = Array.from({ length: 3000 }, (_, i) => draft(conv, { cid: `x${i}`, from: user(`u${i % 7}`) }))
        const first = (await Promise.all(drafts.map(async d => await log.append(d)))).map(stored)
        await reopen()
        const again = await Promise.all(drafts.map(async d => await log.append(d)))
        expect(again).toEqual(first.map(entry => ({ kind: 'already-stored', entry })))
      })
    })

    describe('a resend without cid', () => {
      const raw = (conv: ConvKey, over: Partial<Draft> = {}): Draft => draft(conv, { cid: '', packetId: 7, ...over })

      test('gets the first entry when device, packet id and payload are the same', async () => {
        const conv = someConv()
        const d = raw(conv)
        const first = stored(await log.append(d))
        expect(await log.append({ ...d, dup: true })).toEqual({ kind: 'already-stored', entry: first })
        await reopen()
        expect(await log.append({ ...d, dup: true })).toEqual({ kind: 'already-stored', entry: first })
        const others: Partial<Draft>[] = [{ dup: false }, { packetId: 8 }, { dev: device('tablet') }, { from: user('bob') }, { hash: d.hash + 0.5e6 }]
        for (const other of others) expect((await log.append({ ...d, dup: true, ...other })).kind).toBe('stored')
      })

      test('is not taken for an entry with a cid, nor for one without packet id', async () => {
        const conv = someConv()
        const d = draft(conv, { packetId: 7 })
        stored(await log.append(d))
        expect((await log.append({ ...d, cid: '', dup: true })).kind).toBe('stored')
        const none = raw(conv, { packetId: 0 })
        stored(await log.append(none))
        expect((await log.append({ ...none, dup: true })).kind).toBe('stored')
      })

      test.each([[199, 'already-stored'], [200, 'stored']])('behind %i newer entries is %s', async (newer, kind) => {
        for (const restart of [false, true]) {
          const conv = someConv()
          const d = raw(conv)
          const appends = [log.append(d), ...upTo(newer - 1).map(async () => await log.append(draft(conv)))]
          await Promise.all(appends)
          if (restart) await reopen()
          stored(await log.append(draft(conv)))
          expect((await log.append({ ...d, dup: true })).kind).toBe(kind)
        }
      })

      test('finds the newest of several, and one that is being stored', async () => {
        const conv = someConv()
        const d = raw(conv)
        const results = await Promise.all([log.append(d), log.append(d), log.append({ ...d, dup: true })])
        expect(results.map(r => 'entry' in r ? [r.kind, r.entry.seq] : r.kind)).toEqual([['stored', 1], ['stored', 2], ['already-stored', 2]])
      })
    })

    test('ts never decreases, whatever the clock does', async () => {
      await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 2 ** 42 }), { minLength: 1, maxLength: 30 }), fc.boolean(), async (clock, together) => {
        const conv = someConv()
        const drafts = clock.map(nowMs => draft(conv, { nowMs }))
        if (together) await Promise.all(drafts.map(async d => await log.append(d)))
        else for (const d of drafts) await log.append(d)
        let latest = 0
        expect((await whole(log, conv)).map(e => e.ts)).toEqual(clock.map(nowMs => (latest = Math.max(latest, nowMs))))
      }), { numRuns: 15 })
    })

    test('counts are the messages so far: of each author in a direct conversation, of all in a group', async () => {
      const types = fc.constantFrom('text', 'edit', 'recall', 'react', 'system', 'poll')
      await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.constantFrom('zoe', 'amy'), types), { minLength: 1, maxLength: 40 }), fc.boolean(), async (sent, restart) => {
        const tag = someConv().slice(2).replace('/', '.')
        const [a, b] = [`amy-${tag}`, `zoe-${tag}`]
        const [one, all] = [direct(b, a), inGroup(tag)]
        const counts = { amy: 0, zoe: 0 }
        const expected: (readonly [number, number])[] = []
        await Promise.all(sent.flatMap(([who, type], i) => {
          if (type === 'text' || type === 'poll') counts[who as 'amy' | 'zoe']++
          expected.push([counts.amy, counts.zoe])
          const from = user(`${who}-${tag}`)
          return [log.append(draft(one, { from, type, cid: `${i}` })), log.append(draft(all, { from, type, cid: `${i}` }))]
        }))
        if (restart) await reopen()
        expect((await whole(log, one)).map(e => e.counts)).toEqual(expected)
        expect((await whole(log, all)).map(e => e.counts)).toEqual(expected.map(([x, y]) => [x + y, 0]))
      }), { numRuns: 10 })
    })

    describe('heads', () => {
      test('come in the order asked, many at once, repeated and unknown ones too', async () => {
        const known = Array.from({ length: 400 }, () => someConv())
        const entries = (await Promise.all(known.flatMap((conv, i) => [log.append(draft(conv, { nowMs: i })), log.append(draft(conv, { nowMs: i + 1 }))]))).map(stored)
        const unknown = Array.from({ length: 400 }, () => someConv())
        const asked = [...known.flatMap((conv, i) => [conv, unknown[i]!, conv]), inGroup('nobody-here')]
        for (let time = 0; time < 2; time++) {
          const heads = await log.heads(asked)
          expect(heads).toHaveLength(1201)
          known.forEach((_, i) => {
            const { seq, ts, counts } = entries[2 * i + 1]!
            expect([seq, ts]).toEqual([2, i + 1])
            expect(heads.slice(3 * i, 3 * i + 3)).toEqual([{ seq, ts, counts }, { seq: 0, ts: 0, counts: [0, 0] }, { seq, ts, counts }])
          })
          await reopen()
        }
        expect(await log.heads([])).toEqual([])
      })

      test('are committed ones, never of what is only being stored', async () => {
        const conv = someConv()
        stored(await log.append(draft(conv)))
        const release = opened.stall()
        const waiting = log.append(draft(conv))
        expect((await log.heads([conv]))[0]!.seq).toBe(1)
        expect(await log.page(conv, { after: 0, limit: 10 })).toHaveLength(1)
        release()
        expect(stored(await waiting).seq).toBe(2)
        expect((await log.heads([conv]))[0]!.seq).toBe(2)
      })
    })

    describe('pages', () => {
      /** As the port's comment has it, over an array. */
      function model (all: readonly Entry[], q: PageQuery): Entry[] {
        const forwards = q.after !== undefined
        const side = forwards ? all.filter(e => e.seq > q.after!) : all.filter(e => e.seq < q.before!).reverse()
        const out: Entry[] = []
        let bytes = 0
        for (const e of side) {
          out.push(e)
          bytes += e.fields.length + (e.bytes?.length ?? 0)
          if (out.length >= q.limit || bytes >= (q.maxBytes ?? Infinity)) break
        }
        return forwards ? out : out.reverse()
      }

      test('go both ways, within limit and bytes, like a slice of the log', async () => {
        const conv = inGroup('pages')
        const sizes = fc.sample(fc.oneof({ weight: 9, arbitrary: fc.nat(200) }, fc.nat(30_000)), { numRuns: 900, seed: 7 })
        const all: Entry[] = []
        // in lots of many sizes: a store may keep together what came together
        for (let at = 0, lot = 1; at < sizes.length; at += lot, lot = 1 + (lot * 7) % 190) {
          const lotOf = sizes.slice(at, at + lot).map((size, i) => draft(conv, i % 9 === 0 ? { bytes: Buffer.alloc(size, 1) } : { fields: Buffer.alloc(size, 'x') }))
          all.push(...(await Promise.all(lotOf.map(async d => await log.append(d)))).map(stored))
        }
        const seq = fc.integer({ min: -1, max: all.length + 5 })
        const side = fc.oneof(seq.map(after => ({ after })), seq.map(before => ({ before })), fc.constant({ before: Number.MAX_SAFE_INTEGER }))
        const bounds = fc.record({ limit: fc.integer({ min: 1, max: 300 }), maxBytes: fc.option(fc.nat(100_000), { nil: undefined }) })
        const shape = (entries: readonly Entry[]): unknown => entries.map(e => [e.seq, e.cid, e.fields.length, e.bytes?.length])
        const property = fc.asyncProperty(side, bounds, async (s, b) => {
          expect(shape(await log.page(conv, { ...s, ...b }))).toEqual(shape(model(all, { ...s, ...b })))
        })
        await fc.assert(property, { numRuns: 100 })
        await reopen()
        await fc.assert(property, { numRuns: 100 })
      })

      test('of an unknown conversation are empty, and so is the far side of the log', async () => {
        const conv = someConv()
        for (const q of [{ after: 0, limit: 5 }, { before: 9, limit: 5 }]) expect(await log.page(conv, q)).toEqual([])
        stored(await log.append(draft(conv)))
        for (const q of [{ after: 1, limit: 5 }, { before: 1, limit: 5 }, { before: 0, limit: 5 }]) expect(await log.page(conv, q)).toEqual([])
      })

      test('hold nothing of a conversation whose name begins alike', async () => {
        const convs = [direct('a', 'b'), direct('a', 'bc'), inGroup('a'), inGroup('ab'), direct('a', 'b~')]
        const entries = (await Promise.all(convs.map(async conv => await log.append(draft(conv, { from: user('a') }))))).map(stored)
        for (const [i, conv] of convs.entries()) {
          expect(await log.page(conv, { after: 0, limit: 9 })).toEqual([entries[i]])
          expect(await log.page(conv, { before: 9, limit: 9 })).toEqual([entries[i]])
        }
      })
    })

    describe('an entry', () => {
      const anyBytes = fc.uint8Array({ maxLength: 300 }).map(b => Buffer.from(b))
      const ascii = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map(c => String.fromCharCode(c)), minLength: 1, maxLength: 64 })
      const drafts = fc.record({
        from: fc.string({ unit: fc.constantFrom(...'aZ09._-@=|:~!'), minLength: 1, maxLength: 128 }).map(user),
        dev: fc.oneof(fc.constant('' as const), fc.string({ unit: fc.constantFrom('a', '/', 'é', '\u{1F4F1}', '\uFFFF'), minLength: 1, maxLength: 64 }).map(device)),
        cid: fc.oneof(fc.constant(''), ascii),
        type: fc.oneof(fc.constant('text'), fc.constant('\uFFFF'.repeat(64)), ascii),
        fields: anyBytes, bytes: fc.option(anyBytes), push: anyBytes,
        exp: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 2 ** 43 })),
        hash: fc.oneof(fc.constant(0), fc.maxSafeNat()), packetId: fc.integer({ min: 0, max: 65535 }), nowMs: fc.integer({ min: 1, max: 2 ** 43 })
      })

      test('is given back as it was stored, to the byte, after a restart too', async () => {
        const expected = new Map<ConvKey, Entry[]>()
        await fc.assert(fc.asyncProperty(fc.array(drafts, { minLength: 1, maxLength: 8 }), async many => {
          const conv = someConv()
          const results = await Promise.all(many.map(async (d, i) => await log.append(draft(conv, { ...d, cid: d.cid === '' ? '' : d.cid.slice(0, 61) + i }))))
          const entries = results.map(stored)
          entries.forEach((e, i) => {
            const { nowMs, cid, ...given } = many[i]!
            expect(e).toMatchObject(given)
          })
          expected.set(conv, entries)
          expect(await whole(log, conv)).toEqual(entries)
        }), { numRuns: 30 })
        await reopen()
        for (const [conv, entries] of expected) expect(await whole(log, conv)).toEqual(entries)
      })

      test('may be large, and stands beside small ones', async () => {
        const conv = someConv()
        const large = [draft(conv, { fields: Buffer.alloc(5 << 20, 'f') }), draft(conv), draft(conv, { bytes: Buffer.alloc(1 << 20, 7) }), draft(conv, { push: Buffer.alloc(70_000, 'p') })]
        const entries = (await Promise.all(large.map(async d => await log.append(d)))).map(stored)
        await reopen()
        const page = await log.page(conv, { after: 0, limit: 10 })
        expect(seqs(page)).toEqual([1, 2, 3, 4])
        page.forEach((e, i) => { for (const f of ['fields', 'bytes', 'push'] as const) expect(e[f]?.equals(entries[i]![f]!) ?? entries[i]![f]).toBe(e[f] === null ? null : true) })
        expect(seqs(await log.page(conv, { after: 0, limit: 10, maxBytes: 1 }))).toEqual([1])
        expect(seqs(await log.page(conv, { before: 5, limit: 10, maxBytes: 70_000 }))).toEqual([3, 4])
      })
    })

    describe('a store that cannot commit', () => {
      test('keeps appends waiting, in order, and says why; when it can, all are stored', async () => {
        const conv = someConv()
        stored(await log.append(draft(conv)))
        const resume = opened.stall()
        const drafts = upTo(300).map(() => draft(conv))
        let answered = 0
        const results = drafts.map(async d => {
          const r = await log.append(d)
          answered++
          return r
        })
        await unhealthy(opened)
        expect(opened.stores.health().why).toMatch(/.{20,}/)
        expect(answered).toBe(0)
        resume()
        expect((await Promise.all(results)).map(r => stored(r).seq)).toEqual(upTo(300).map(n => n + 1))
        expect(opened.stores.health()).toEqual({ ok: true })
        expect((await whole(log, conv)).slice(1).map(e => e.cid)).toEqual(drafts.map(d => d.cid))
      })

      test('and is closed calls nothing stored that is not; a resend settles it', async () => {
        const conv = someConv()
        const known = draft(conv)
        stored(await log.append(known))
        const resume = opened.stall()
        const d = draft(conv)
        // what was planned with the failing commit, and what stands behind it
        const first = [log.append(d), log.append({ ...d, hash: d.hash + 1 }), log.append(known), log.append({ ...known, hash: 0 })]
        await unhealthy(opened)
        const behind = log.append(draft(conv))
        const reopened = reopen()
        const results = await Promise.all(first)
        // neither a conflict with what was never stored, nor a loss of what was
        expect(results.slice(0, 2).map(r => r.kind)).toEqual([expect.stringMatching(/^(not-stored|unknown)$/), expect.stringMatching(/^(not-stored|unknown)$/)])
        expect(results[2]!.kind).toMatch(/^(already-stored|unknown)$/)
        expect(results[3]!.kind).toMatch(/^(conflict|unknown)$/)
        expect((await behind).kind).toMatch(/^(not-stored|unknown)$/)
        resume()
        await reopened
        expect((await log.append(d)).kind).toMatch(/stored$/)
        expect((await log.append(d)).kind).toBe('already-stored')
        expect((await whole(log, conv)).filter(e => e.cid === d.cid)).toHaveLength(1)
      })
    })

    test('a closed store takes nothing, and says that it was certainly not stored', async () => {
      const conv = someConv()
      const before = log
      await reopen()
      const d = draft(conv)
      const r = await before.append(d)
      expect(r.kind).toBe('not-stored')
      expect(await whole(log, conv)).toEqual([])
      expect(stored(await log.append(d)).seq).toBe(1)
    })
  })
}

/** Until health() says no. */
async function unhealthy (opened: Opened): Promise<void> {
  while (opened.stores.health().ok) await new Promise(resolve => setImmediate(resolve))
}
