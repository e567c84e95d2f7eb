import fc from 'fast-check'
import type { UserId } from '../../broker/domain/ids.js'
import type { Call } from '../../broker/plugin.js'
import groups from '../../plugins/groups/index.js'
import history from '../../plugins/history/index.js'
import { decodeToken, encodeToken } from '../../plugins/history/token.js'
import { type AConversation, type AnEntry, type Answer, type Rig, rig } from '../support/host.js'

let r: Rig
let n = 0
/** A user of its own for each test, with an inbox of its own. */
let me = ''
beforeAll(async () => { r = await rig([groups, history]) })
afterAll(async () => { await r.close() })
beforeEach(() => { me = `user${n++}` })

const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
const ask = async (params: object, more: Partial<Call> = {}, user = me): Promise<Answer> => await r.as(user, 'sync', params, more)
const fill = async (conv: string, count: number, user = me): Promise<void> => { await Promise.all(range(1, count).map(async i => await r.say(user, conv, i))) }
const group = (name: string): string => `${me}.${name}`
/** The seqs given, by conversation. */
const given = (a: Answer): Record<string, number[]> => Object.fromEntries(a.conversations.map(c => [c.conv, c.entries.map(e => e.seq)]))
const of = (a: Answer, conv: string): AConversation => a.conversations.find(c => c.conv === conv)!

describe('by cursors', () => {
  test('what came past them; a conversation that is not named counts as 0, one without news is left out', async () => {
    await fill('u/ann', 3)
    await fill('u/ben', 2)
    await r.as(me, 'group.create', { group: group('g'), members: ['ann'] })
    const first = await ask({ cursors: {} })
    expect(given(first)).toEqual({ 'u/ann': [1, 2, 3], 'u/ben': [1, 2], [`g/${group('g')}`]: [1] })
    expect(first).toMatchObject({ gone: [], more: false, epoch: r.stores.epoch })
    expect(first).not.toHaveProperty('next')
    expect(given(await ask({ cursors: { 'u/ann': 2, 'u/ben': 2 } }))).toEqual({ 'u/ann': [3], [`g/${group('g')}`]: [1] })
    expect((await ask({ cursors: { 'u/ann': 3, 'u/ben': 2, [`g/${group('g')}`]: 1 } })).conversations).toEqual([])
  })

  test('one above the head is ignored, as if it were not named', async () => {
    await fill('u/ann', 3)
    for (const seq of [4, 9_000_000]) expect(given(await ask({ cursors: { 'u/ann': seq } }))).toEqual({ 'u/ann': [1, 2, 3] })
    expect((await ask({ cursors: { 'u/nobody': 7 } }))).toMatchObject({ gone: [] })
  })

  test('entries carry from and type; beside them stand head, marks, unread and the peer\'s marks', async () => {
    await r.say('ann', `u/${me}`, 'a')
    await r.say('ann', `u/${me}`, 'b')
    await r.say(me, 'u/ann', 'c', { cid: 'c1' })
    await r.read(me, 'u/ann', 1)
    await r.read('ann', `u/${me}`, 2)
    const ts = r.clock.now()
    expect((await ask({ cursors: { 'u/ann': 1 } })).conversations).toEqual([{
      conv: 'u/ann', head: 3, more: false, unread: 1, read: 1, peer: { delivered: 2, read: 2 },
      entries: [{ conv: 'u/ann', seq: 2, ts, from: 'ann', type: 'text', body: 'b' }, { conv: 'u/ann', seq: 3, ts, from: me, type: 'text', body: 'c', cid: 'c1' }]
    }])
  })

  test('the raw log: edits, reactions and system entries have their places', async () => {
    await r.say(me, 'u/ann', 'a')
    for (const type of ['edit', 'react', 'recall']) await r.say(me, 'u/ann', 'x', { type })
    expect((await ask({ cursors: {} })).conversations[0]!.entries.map(e => e.type)).toEqual(['text', 'edit', 'react', 'recall'])
  })

  test.each<[string, object]>([
    ['neither', {}], ['both', { cursors: {}, since: '' }], ['a negative seq', { cursors: { 'u/ann': -1 } }], ['no seq', { cursors: { 'u/ann': '1' } }], ['half a seq', { cursors: { 'u/ann': 1.5 } }],
    ['a name that is none', { cursors: { 'u/a/b': 1 } }], ['an empty name', { cursors: { '': 1 } }], ['a key of the store', { cursors: { 'd/ann/ben': 1 } }],
    ['__proto__', { cursors: JSON.parse('{"__proto__":1}') as object }], ['constructor', { cursors: { constructor: 1 } }], ['a list', { cursors: [1] }], ['limit 0', { cursors: {}, limit: 0 }], ['a stranger', { cursors: {}, before: 1 }]
  ])('%s: refused', async (_what, params) => {
    await fill('u/ann', 1)
    expect(await r.refusal(me, 'sync', params)).toBe('bad-request')
  })

  test('users with names that are traps', async () => {
    for (const peer of ['__proto__', 'constructor', 'toString']) await fill(`u/${peer}`, 2)
    expect(given(await ask({ cursors: { 'u/__proto__': 1, 'u/constructor': 2 } }))).toEqual({ 'u/__proto__': [2], 'u/toString': [1, 2] })
  })
})

describe('by token', () => {
  test('empty: all; the token of an answer: what came since', async () => {
    await fill('u/ann', 3)
    const { token, conversations } = await ask({ since: '' })
    expect(conversations).toHaveLength(1)
    expect((await ask({ since: token })).conversations).toEqual([])
    await fill('u/ann', 1)
    await fill('u/ben', 1)
    const next = await ask({ since: token })
    expect(given(next)).toEqual({ 'u/ann': [4], 'u/ben': [1] })
    expect(given(await ask({ since: token }))).toEqual(given(next)) // idempotent
    expect((await ask({ since: next.token })).conversations).toEqual([])
    expect((await ask({ cursors: { 'u/ann': 4, 'u/ben': 1 } })).token).toBe(next.token)
  })

  test('one of another epoch says nothing', async () => {
    await fill('u/ann', 3)
    const { token } = await ask({ since: '' })
    const bytes = Buffer.from(token, 'base64url')
    bytes[1]! ^= 1
    expect(given(await ask({ since: bytes.toString('base64url') }))).toEqual({ 'u/ann': [1, 2, 3] })
  })

  test('one that somebody added to or cut is refused', async () => {
    await fill('u/ann', 200)
    const { token } = await ask({ since: '' })
    for (const since of [`${token}!`, `${token}=`, `${token}A`, token.slice(0, -1), token.slice(0, 4), 'AAAA', 'Ag']) expect(await r.refusal(me, 'sync', { since })).toBe('bad-request')
  })

  test('seqs of any size come back as they were', () => {
    for (const seq of [1, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 47]) {
      const row = { conv: 'd/a/b' as never, since: 1, left: 0, read: 0, delivered: 0, readCounts: [0, 0] as const }
      expect([...decodeToken(encodeToken('e', new Map([[row.conv, seq]])), 'e', [row]).values()]).toEqual([seq])
    }
  })

  test('whatever is given as a token, a place or a name, the answer is one, or a refusal', async () => {
    await fill('u/ann', 2)
    const { token } = await ask({ since: '' })
    const text = fc.oneof(fc.string(), fc.base64String(), fc.integer({ min: 0, max: token.length }).map(cut => token.slice(0, cut)), fc.uint8Array().map(b => Buffer.from([1, ...b]).toString('base64url')))
    await fc.assert(fc.asyncProperty(text, text, async (a, b) => {
      for (const params of [{ since: a }, { since: token, cursor: a }, { cursors: {}, cursor: `${a}.${b}` }, { cursors: { [a]: 1 } }]) {
        expect([undefined, 'bad-request']).toContain(await r.refusal(me, 'sync', params))
      }
    }), { numRuns: 300 })
  })
})

describe('page by page', () => {
  const large = (e: AnEntry): object => ({ ...e, body: undefined, size: undefined })
  /** Everything that a walk with one way of asking brings, each conversation's entries in order. */
  async function walk (params: { cursors?: object, since?: string }, more: { limit?: number }, maxBytes: number): Promise<{ found: Map<string, AnEntry[]>, token: string }> {
    const found = new Map<string, AnEntry[]>()
    const take = (a: Answer): void => { for (const c of a.conversations) found.set(c.conv, [...found.get(c.conv) ?? [], ...c.entries]) }
    let token = ''
    let start: object = params
    for (let rounds = 0; ; rounds++) {
      let rest = false
      let page = await ask({ ...start, ...more }, { maxBytes })
      for (let pages = 0; ; pages++) {
        expect(page.conversations.length).toBeLessThanOrEqual(Math.min(more.limit ?? 100, 200))
        for (const c of page.conversations) expect(c.entries.length).toBeGreaterThan(0)
        take(page)
        rest ||= page.conversations.some(c => c.more)
        expect(page.more).toBe(page.next !== undefined)
        if (!page.more) break
        expect(pages).toBeLessThan(500)
        page = await ask({ ...start, ...more, cursor: page.next }, { maxBytes })
      }
      token = page.token
      if (!rest) return { found, token }
      expect(rounds).toBeLessThan(500)
      // What a conversation has more of comes with the token, or with the cursors that the client has by now.
      start = token !== '' ? { since: token } : { cursors: Object.fromEntries([...found].map(([conv, entries]) => [conv, entries.at(-1)!.seq])) }
    }
  }

  test('it is the whole, each entry once, whatever the page and the room', async () => {
    for (const i of range(1, 12)) for (const k of range(1, i)) await r.say(k % 2 === 0 ? me : `p${i}`, k % 2 === 0 ? `u/p${i}` : `u/${me}`, 'x'.repeat(k * i * 10))
    await r.as(me, 'group.create', { group: group('g') })
    const whole = await walk({ cursors: {} }, {}, 1 << 20)
    expect([...whole.found.values()].map(e => e.length).sort((a, b) => a - b)).toEqual([1, ...range(1, 12)])
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 250 }), fc.integer({ min: 1400, max: 30_000 }), fc.boolean(), async (limit, maxBytes, byToken) => {
      const part = await walk(byToken ? { since: '' } : { cursors: {} }, { limit }, maxBytes)
      expect(part.found.size).toBe(whole.found.size)
      for (const [conv, entries] of whole.found) expect(part.found.get(conv)!.map(large)).toEqual(entries.map(large))
    }), { numRuns: 40 })
  })

  test('what comes while the client pages is neither lost nor given twice', async () => {
    for (const i of range(1, 6)) await fill(`u/p${i}`, 2)
    const a = await ask({ cursors: {}, limit: 2 })
    expect(Object.keys(given(a))).toEqual(['u/p1', 'u/p2'])
    for (const i of range(1, 6)) await fill(`u/p${i}`, 1)
    await fill('u/p0', 1)
    const b = await ask({ cursors: {}, limit: 2, cursor: a.next })
    const c = await ask({ cursors: {}, limit: 2, cursor: b.next })
    expect([...Object.keys(given(b)), ...Object.keys(given(c))]).toEqual(['u/p3', 'u/p4', 'u/p5', 'u/p6'])
    expect(c.more).toBe(false)
    const rest = await walk({ since: c.token }, {}, 1 << 20)
    const all = [a, b, c].flatMap(page => page.conversations.flatMap(x => x.entries)).concat([...rest.found.values()].flat())
    expect(all.map(e => `${e.conv} ${e.seq}`).sort()).toEqual(['u/p0 1', ...range(1, 6).flatMap(i => range(1, 3).map(seq => `u/p${i} ${seq}`))])
  })

  test('limit is lowered to 200, for conversations and for the entries of each', async () => {
    await fill('u/many', 203)
    for (const i of range(1, 202)) await r.say(me, `u/x${i}`)
    const page = await ask({ cursors: {}, limit: 100_000 })
    expect(page.conversations).toHaveLength(200)
    expect(page.more).toBe(true)
    expect(of(page, 'u/many')).toMatchObject({ head: 203, more: true, entries: { length: 200 } })
    expect((await ask({ cursors: {} })).conversations).toHaveLength(100)
  })

  test('256 KiB of entries in all, one at least', async () => {
    for (const i of range(1, 3)) for (let k = 0; k < 3; k++) await r.say(me, `u/p${i}`, 'x'.repeat(60_000))
    await r.say(me, 'u/p4', 'x'.repeat(300_000))
    const a = await ask({ cursors: {} })
    expect(given(a)).toEqual({ 'u/p1': [1, 2, 3], 'u/p2': [1] })
    expect(of(a, 'u/p2').more).toBe(true)
    const b = await ask({ cursors: {}, cursor: a.next })
    expect(given(b)).toEqual({ 'u/p3': [1, 2, 3] })
    const c = await ask({ cursors: {}, cursor: b.next })
    expect(of(c, 'u/p4').entries[0]!.body).toHaveLength(300_000)
    expect(c.more).toBe(false)
    expect(given(await ask({ since: c.token }))).toEqual({ 'u/p2': [2, 3] })
  })

  test('what is too large for the client alone comes as its size', async () => {
    await r.say('ann', `u/${me}`, 'x'.repeat(5000))
    expect((await ask({ cursors: {} }, { maxBytes: 2000 })).conversations[0]!.entries).toEqual([
      { conv: 'u/ann', seq: 1, ts: r.clock.now(), from: 'ann', type: 'text', size: expect.any(Number) as number }
    ])
  })

  test('a client that takes little, with many conversations, pages without a token', async () => {
    for (const i of range(1, 120)) await r.say(me, `u/p${i}`)
    const { token, next } = await ask({ cursors: {} }, { maxBytes: 1500 })
    expect(token).toBe('')
    expect(next).toMatch(/^\./)
    for (const params of [{ cursors: {} }, { since: '' }]) {
      const { found } = await walk(params, {}, 1500)
      expect(found.size).toBe(120)
    }
    const first = await ask({ cursors: { 'g/none': 1 } }, { maxBytes: 1500 })
    const second = await ask({ cursors: { 'g/none': 1 }, cursor: first.next }, { maxBytes: 1500 })
    expect([first.gone, second.gone]).toEqual([['g/none'], []])
  })
})

test('no answer is larger than the client takes, whatever that is', async () => {
  for (const i of range(1, 40)) await r.say(`q${i}`, `u/${me}`, 'ü'.repeat(i * 40))
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1200, max: 40_000 }), fc.integer({ min: 1, max: 200 }), async (maxBytes, limit) => {
    const bytes = await r.operations.call('sync', { user: me as UserId, device: '', admin: false, maxBytes }, { cursors: {}, limit })
    expect(bytes.length).toBeLessThanOrEqual(maxBytes)
  }), { numRuns: 60 })
})

describe('groups that come and go', () => {
  /** 1 created, 2 a message, 3 I am added, 4 a message, 5 I am removed, 6 a message. */
  async function comeAndGo (name = 'g'): Promise<string> {
    const g = group(name)
    await r.as('boss', 'group.create', { group: g })
    await r.say('boss', `g/${g}`, 'before')
    await r.as('boss', 'group.add', { group: g, users: [me] })
    await r.say('boss', `g/${g}`, 'while')
    await r.as('boss', 'group.remove', { group: g, users: [me] })
    await r.say('boss', `g/${g}`, 'after')
    return `g/${g}`
  }

  test('a removed member gets what stands up to and including the removal, and is told that it is gone', async () => {
    const g = await comeAndGo()
    for (const [cursor, seqs] of [[0, [3, 4, 5]], [2, [3, 4, 5]], [3, [4, 5]], [4, [5]]] as const) {
      const answer = await ask({ cursors: { [g]: cursor } })
      expect(given(answer)).toEqual({ [g]: seqs })
      expect(of(answer, g)).toMatchObject({ head: 5, more: false, unread: 1 }) // what came after it does not count
      expect(answer.gone).toEqual([g])
    }
    for (const cursor of [5, 6, 100]) expect(await ask({ cursors: { [g]: cursor } })).toMatchObject({ conversations: [], gone: [g] })
    expect(await ask({ cursors: {} })).toMatchObject({ conversations: [{ conv: g, head: 5 }], gone: [g] })
  })

  test('by token, once', async () => {
    const { token: before } = await ask({ since: '' })
    const g = await comeAndGo()
    const told = await ask({ since: before })
    expect(given(told)).toEqual({ [g]: [3, 4, 5] })
    expect(told.gone).toEqual([g])
    expect(await ask({ since: told.token })).toMatchObject({ conversations: [], gone: [] })
    await r.say('boss', g, 'more')
    expect(await ask({ since: told.token })).toMatchObject({ conversations: [], gone: [] })
  })

  test('a new client hears nothing of groups that were left long ago', async () => {
    await comeAndGo()
    expect(await ask({ since: '' })).toMatchObject({ conversations: [], gone: [] })
  })

  test('what the client has and never was its own is gone; a direct conversation never is', async () => {
    await r.as('boss', 'group.create', { group: group('theirs') })
    expect((await ask({ cursors: { [`g/${group('theirs')}`]: 0, 'g/none': 3, 'u/nobody': 3 } })).gone.sort()).toEqual(['g/none', `g/${group('theirs')}`].sort())
  })

  test('who comes back gets what follows from there on', async () => {
    const g = await comeAndGo()
    const { token } = await ask({ cursors: { [g]: 5 } })
    await r.as('boss', 'group.add', { group: g.slice(2), users: [me] })
    for (const params of [{ since: token }, { cursors: { [g]: 5 } }, { cursors: {} }]) {
      const answer = await ask(params)
      expect(given(answer)).toEqual({ [g]: [7] })
      expect(answer.gone).toEqual([])
    }
  })

  test('gone is told on the first page, or with its last entries, and once', async () => {
    const gs = await Promise.all(['a', 'b', 'c'].map(comeAndGo))
    const cursors = { [gs[0]!]: 5, [gs[1]!]: 0, [gs[2]!]: 0 }
    const pages = [await ask({ cursors, limit: 1 })]
    while (pages.at(-1)!.more) pages.push(await ask({ cursors, limit: 1, cursor: pages.at(-1)!.next }))
    expect(pages.map(p => p.gone)).toEqual([[gs[0], gs[1]], [gs[2]]])
  })
})
