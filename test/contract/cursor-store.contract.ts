import fc from 'fast-check'
import type { Cursor } from '../../broker/ports/inbox.js'
import { device, direct, HOSTILE_DEVICES, HOSTILE_IDS, inGroup, type Open, type Opened, user } from './opened.js'

/** What any {@link CursorStore} keeps. */
export function cursorStoreContract (name: string, open: Open): void {
  describe(`${name}: cursors`, () => {
    let opened: Opened
    let last = 0
    const someUser = (): ReturnType<typeof user> => user(`cursor-${++last}`)
    beforeAll(async () => { opened = await open() })
    afterAll(async () => { await opened.close() })
    const byConv = (cursors: readonly Cursor[]): Cursor[] => [...cursors].sort((a, b) => a.conv < b.conv ? -1 : 1)

    test('only rise, each number by itself, and highest is never below contiguous', async () => {
      const cursor = fc.record({ conv: fc.constantFrom(inGroup('a'), inGroup('ab'), direct('a', 'b')), contiguous: fc.nat(60), highest: fc.nat(60) })
      await fc.assert(fc.asyncProperty(fc.array(fc.array(cursor, { maxLength: 6 }), { minLength: 1, maxLength: 8 }), fc.boolean(), async (saves, together) => {
        const { cursors } = opened.stores
        const me = someUser()
        if (together) await Promise.all(saves.map(async s => { await cursors.save(me, device('d'), s) }))
        else for (const s of saves) await cursors.save(me, device('d'), s)
        const expected = new Map<string, Cursor>()
        for (const { conv, contiguous, highest } of saves.flat()) {
          const was = expected.get(conv) ?? { contiguous: 0, highest: 0 }
          const c = Math.max(was.contiguous, contiguous)
          expected.set(conv, { conv, contiguous: c, highest: Math.max(was.highest, highest, c) })
        }
        expect(byConv(await cursors.load(me, device('d')))).toEqual(byConv([...expected.values()]))
        expect(await cursors.furthest(me)).toEqual(new Map([...expected.values()].map(c => [c.conv, c.contiguous])))
      }), { numRuns: 40 })
    })

    test('of each device stand by themselves, whatever it is called; the furthest counts for a new one', async () => {
      const me = someUser()
      const [one, two] = [inGroup('one'), inGroup('two')]
      for (const [i, d] of HOSTILE_DEVICES.entries()) {
        await opened.stores.cursors.save(me, device(d), [{ conv: one, contiguous: i, highest: i + 100 }, ...(i === 3 ? [{ conv: two, contiguous: 0, highest: 9 }] : [])])
      }
      await opened.stores.cursors.save(user(`${me}a`), device('a'), [{ conv: one, contiguous: 999, highest: 999 }])
      await opened.reopen()
      const { cursors } = opened.stores
      for (const [i, d] of HOSTILE_DEVICES.entries()) {
        const expected = [{ conv: one, contiguous: i, highest: i + 100 }, ...(i === 3 ? [{ conv: two, contiguous: 0, highest: 9 }] : [])]
        expect([d, byConv(await cursors.load(me, device(d)))]).toEqual([d, expected])
      }
      expect(await cursors.furthest(me)).toEqual(new Map([[one, HOSTILE_DEVICES.length - 1], [two, 0]]))
      expect([await cursors.load(me, device('b')), await cursors.furthest(user('cursor-'))]).toEqual([[], new Map()])
    })

    test('of users with odd names and the longest ids are kept', async () => {
      const longest = device('\u{10FFFF}'.repeat(128))
      const conv = direct('y'.repeat(128), 'z'.repeat(128))
      const { cursors } = opened.stores
      for (const [i, id] of HOSTILE_IDS.entries()) await cursors.save(user(id), longest, [{ conv, contiguous: i, highest: i }])
      for (const [i, id] of HOSTILE_IDS.entries()) expect([id, await cursors.load(user(id), longest)]).toEqual([id, [{ conv, contiguous: i, highest: i }]])
    })

    test('come in any number', async () => {
      const me = someUser()
      const all = Array.from({ length: 1234 }, (_, i) => ({ conv: inGroup(`g${i}`), contiguous: i, highest: 2 ** 47 + i }))
      await opened.stores.cursors.save(me, device('d'), all)
      await opened.stores.cursors.save(me, device('d'), [])
      expect(byConv(await opened.stores.cursors.load(me, device('d')))).toEqual(byConv(all))
    })
  })
}
