import fc from 'fast-check'
import type { UserId } from '../../broker/domain/ids.js'
import type { Call } from '../../broker/plugin.js'
import groups from '../../plugins/groups/index.js'
import history from '../../plugins/history/index.js'
import { type AnEntry, type Answer, type Rig, rig } from '../support/host.js'

let r: Rig
let n = 0
/** A peer and a group of its own for each test. */
let peer = ''
let g = ''
beforeAll(async () => { r = await rig([groups, history]) })
afterAll(async () => { await r.close() })
beforeEach(() => { n++; peer = `peer${n}`; g = `g${n}` })

const me = 'me'
const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
const seqs = (a: { entries: AnEntry[] }): number[] => a.entries.map(e => e.seq)
const ask = async (params: object, more: Partial<Call> = {}, user = me): Promise<Answer> => await r.as(user, 'history', params, more)
const fill = async (conv: string, count: number, user = me): Promise<void> => { await Promise.all(range(1, count).map(async i => await r.say(user, conv, i))) }
/** Bytes of an answer as it goes out. */
const sizeOf = async (params: object, maxBytes: number): Promise<number> => (await r.operations.call('history', { user: me as UserId, device: '', admin: false, maxBytes }, params)).length
const fields = (json: string): { fields: Buffer } => ({ fields: Buffer.from(json) })

describe('where a page begins and ends', () => {
  test.each<[object, number[], object]>([
    [{}, range(101, 300), { from: 101, to: 300, more: true }],
    [{ limit: 3 }, [298, 299, 300], { from: 298, to: 300, more: true }],
    [{ before: 3 }, [1, 2], { from: 1, to: 2, more: false }],
    [{ before: 1 }, [], { from: 1, to: 0, more: false }],
    [{ before: 250, limit: 2 }, [248, 249], { from: 248, to: 249, more: true }],
    [{ before: 301, limit: 1 }, [300], { from: 300, to: 300, more: true }],
    [{ before: 9_000_000, limit: 1 }, [300], { from: 300, to: 300, more: true }],
    [{ after: 0, limit: 2 }, [1, 2], { from: 1, to: 2, more: true }],
    [{ after: 298 }, [299, 300], { from: 299, to: 300, more: false }],
    [{ after: 300 }, [], { from: 301, to: 300, more: false }],
    [{ after: 9_000_000 }, [], { from: 301, to: 300, more: false }],
    [{ after: 0, limit: 1_000_000 }, range(1, 200), { from: 1, to: 200, more: true }],
    [{ limit: 201 }, range(101, 300), { from: 101, to: 300, more: true }]
  ])('%j', async (params, expected, rest) => {
    if (await r.stores.log.page('d/me/three' as never, { before: 1000, limit: 1 }).then(p => p.length) === 0) await fill('u/three', 300)
    const answer = await ask({ conv: 'u/three', ...params })
    expect(seqs(answer)).toEqual(expected)
    expect(answer).toMatchObject({ head: 300, ...rest })
  })

  test('page by page, in either direction, it is the whole, whatever the page and the room', async () => {
    for (const i of range(1, 40)) await r.say(me, `u/${peer}`, 'x'.repeat(i * i))
    const whole = (await ask({ conv: `u/${peer}` })).entries
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 2500, max: 20_000 }), fc.boolean(), async (limit, maxBytes, forwards) => {
      const found: AnEntry[][] = []
      let at = forwards ? 0 : 41
      for (let more = true; more;) {
        const page = await ask({ conv: `u/${peer}`, limit, [forwards ? 'after' : 'before']: at }, { maxBytes })
        expect(page.entries.length).toBeGreaterThan(0)
        expect(seqs(page)).toEqual(range(page.from, page.to))
        expect(forwards ? page.from - 1 : page.to + 1).toBe(at)
        found.push(page.entries)
        at = forwards ? page.to : page.from
        more = page.more
      }
      expect((forwards ? found : found.reverse()).flat()).toEqual(whole)
    }), { numRuns: 60 })
  })

  test.each([{ before: 5, after: 2 }, { limit: 0 }, { limit: -1 }, { limit: 1.5 }, { before: 0 }, { after: -1 }, { after: '1' }, { cursor: 'x' }])('%j is refused', async params => {
    expect(await r.refusal(me, 'history', { conv: `u/${peer}`, ...params })).toBe('bad-request')
  })

  test('where nothing was said there is nothing', async () => {
    for (const params of [{}, { after: 0 }, { after: 7 }, { before: 7 }]) expect(await ask({ conv: `u/${peer}`, ...params })).toEqual({ entries: [], from: 1, to: 0, head: 0, more: false })
  })
})

describe('how much an answer holds', () => {
  test('256 KiB of entries, one at least', async () => {
    for (const i of range(1, 8)) await r.say(me, `u/${peer}`, `${i}`.repeat(60_000))
    await r.say(me, `u/${peer}`, 'x'.repeat(300_000))
    const first = await ask({ conv: `u/${peer}`, after: 0 })
    expect(seqs(first)).toEqual([1, 2, 3, 4])
    expect(first).toMatchObject({ from: 1, to: 4, more: true })
    expect(seqs(await ask({ conv: `u/${peer}`, after: 4 }))).toEqual([5, 6, 7, 8])
    const large = await ask({ conv: `u/${peer}` })
    expect(large).toMatchObject({ from: 9, to: 9, more: true })
    expect(large.entries[0]!.body).toHaveLength(300_000)
    expect(seqs(await ask({ conv: `u/${peer}`, before: 9 }))).toEqual([5, 6, 7, 8])
  })

  test('never more than the client takes: what is too large alone comes as its size', async () => {
    await r.say(me, `u/${peer}`, 'small')
    await r.say(peer, `u/${me}`, 'x'.repeat(5000), { type: 'poll' })
    await r.say(me, `u/${peer}`, 'small too')
    const whole = (await ask({ conv: `u/${peer}` })).entries
    const size = Buffer.byteLength(JSON.stringify(whole[1]))
    const cut = { conv: `u/${peer}`, seq: 2, ts: r.clock.now(), from: peer, type: 'poll', size }
    expect((await ask({ conv: `u/${peer}`, after: 0 }, { maxBytes: 1000 })).entries).toEqual([whole[0], cut])
    expect((await ask({ conv: `u/${peer}`, before: 3 }, { maxBytes: 1000 })).entries).toEqual([cut])
    expect(await ask({ conv: `u/${peer}`, after: 1, limit: 1 }, { maxBytes: size })).toEqual({ entries: [cut], from: 2, to: 2, head: 3, more: true })
    expect((await ask({ conv: `u/${peer}`, after: 1, limit: 1 }, { maxBytes: size + 200 })).entries).toEqual([whole[1]])
  })

  test('whatever the sizes, no answer is larger than the client takes, and paging gets to the end', async () => {
    for (const i of range(1, 30)) await r.say(me, `u/${peer}`, 'ü'.repeat(i % 7 === 0 ? 3000 : i * 20))
    await fc.assert(fc.asyncProperty(fc.integer({ min: 500, max: 8000 }), async maxBytes => {
      for (let after = 0; after < 30;) {
        const params = { conv: `u/${peer}`, after }
        expect(await sizeOf(params, maxBytes)).toBeLessThanOrEqual(maxBytes)
        const { to } = await ask(params, { maxBytes })
        expect(to).toBeGreaterThan(after)
        after = to
      }
    }), { numRuns: 40 })
  })

  test('who takes less than the smallest answer is told so', async () => {
    await r.say(me, `u/${peer}`, 'x')
    expect(await r.refusal(me, 'history', { conv: `u/${peer}` }, { maxBytes: 100 })).toBe('too-large')
  })
})

describe('entries', () => {
  test('always carry from and type; cid and dev go to their author', async () => {
    await r.say(me, `u/${peer}`, 'a', { cid: 'c1', dev: 'phone' as never })
    await r.say(peer, `u/${me}`, 'b', { cid: 'c2', dev: 'laptop' as never })
    const ts = r.clock.now()
    const mine = { seq: 1, ts, from: me, type: 'text', body: 'a' }
    const theirs = { seq: 2, ts, from: peer, type: 'text', body: 'b' }
    expect((await ask({ conv: `u/${peer}` })).entries).toEqual([{ conv: `u/${peer}`, ...mine, cid: 'c1', dev: 'phone' }, { conv: `u/${peer}`, ...theirs }])
    expect((await ask({ conv: `u/${me}` }, {}, peer)).entries).toEqual([{ conv: `u/${me}`, ...mine }, { conv: `u/${me}`, ...theirs, cid: 'c2', dev: 'laptop' }])
  })

  test('numbers stay as they were written, bytes are base64, what has expired is erased', async () => {
    await r.say(me, `u/${peer}`, null, fields('"body":{"n":1.10,"big":12345678901234567890,"far":1e400},"ref":7'))
    await r.say(me, `u/${peer}`, null, { ...fields('"mime":"image/png"'), bytes: Buffer.from([0, 255]) })
    await r.say(me, `u/${peer}`, 'late', { exp: r.clock.now() + 1000 })
    await r.say(me, `u/${peer}`, 'gone', { exp: r.clock.now() })
    const json = (await r.operations.call('history', { user: me as UserId, device: '', admin: false, maxBytes: 1e6 }, { conv: `u/${peer}` })).toString()
    expect(json).toContain('"body":{"n":1.10,"big":12345678901234567890,"far":1e400},"ref":7')
    const now = r.clock.now()
    expect((await ask({ conv: `u/${peer}`, after: 1 })).entries).toMatchObject([
      { seq: 2, bytes: 'AP8=', mime: 'image/png' }, { seq: 3, body: 'late', exp: now + 1000 }, { seq: 4, ts: now, erased: 'expired' }
    ])
    expect((await ask({ conv: `u/${peer}`, after: 3 })).entries[0]).not.toHaveProperty('body')
  })

  test('notes to self', async () => {
    await r.say(peer, `u/${peer}`, 'remember')
    expect((await ask({ conv: `u/${peer}` }, {}, peer)).entries).toMatchObject([{ conv: `u/${peer}`, from: peer, body: 'remember' }])
    expect(seqs(await ask({ conv: `u/${peer}` }))).toEqual([]) // to me it is another conversation
  })
})

describe('who sees what of a group', () => {
  /** 1 created, 2 a message, 3 `new` is added, 4 a message, 5 `new` is removed, 6 a message. */
  async function comeAndGo (settings: object = {}): Promise<void> {
    await r.as(me, 'group.create', { group: g, ...settings })
    await r.say(me, `g/${g}`, 'before')
    await r.as(me, 'group.add', { group: g, users: ['new'] })
    await r.say(me, `g/${g}`, 'while')
    await r.as(me, 'group.remove', { group: g, users: ['new'] })
    await r.say(me, `g/${g}`, 'after')
  }

  test('from the entry by which one came to the entry by which one went, whatever is asked for', async () => {
    await comeAndGo()
    for (const params of [{}, { after: 0 }, { after: 2 }, { before: 100 }, { before: 6 }, { limit: 3 }]) {
      const answer = await ask({ conv: `g/${g}`, ...params }, {}, 'new')
      expect(answer).toMatchObject({ from: 3, to: 5, head: 5, more: false })
      expect(seqs(answer)).toEqual([3, 4, 5])
    }
    expect(await ask({ conv: `g/${g}`, limit: 1 }, {}, 'new')).toMatchObject({ from: 5, to: 5, more: true })
    expect(await ask({ conv: `g/${g}`, before: 4 }, {}, 'new')).toMatchObject({ from: 3, to: 3, more: false })
    for (const params of [{ after: 5 }, { after: 6 }]) expect(await ask({ conv: `g/${g}`, ...params }, {}, 'new')).toEqual({ entries: [], from: 6, to: 5, head: 5, more: false })
    for (const before of [3, 2, 1]) expect(await ask({ conv: `g/${g}`, before }, {}, 'new')).toMatchObject({ entries: [], head: 5, more: false })
    expect(seqs(await ask({ conv: `g/${g}` }))).toEqual(range(1, 6))
  })

  test('who comes back sees from there on', async () => {
    await comeAndGo()
    await r.as(me, 'group.add', { group: g, users: ['new'] })
    await r.say(me, `g/${g}`, 'again')
    expect(await ask({ conv: `g/${g}` }, {}, 'new')).toMatchObject({ from: 7, to: 8, head: 8, more: false })
    expect(await ask({ conv: `g/${g}`, before: 7 }, {}, 'new')).toMatchObject({ entries: [], more: false })
  })

  test('all, while the group shows its history to members; not to those who were removed', async () => {
    await r.as(me, 'group.create', { group: g })
    await r.say(me, `g/${g}`, 'before')
    await r.as(me, 'group.add', { group: g, users: ['new', 'old'] })
    expect(seqs(await ask({ conv: `g/${g}` }, {}, 'new'))).toEqual([3])
    await r.as(me, 'group.update', { group: g, historyVisible: true })
    expect(seqs(await ask({ conv: `g/${g}` }, {}, 'new'))).toEqual([1, 2, 3, 4])
    expect(seqs(await ask({ conv: `g/${g}`, after: 0, limit: 2 }, {}, 'new'))).toEqual([1, 2])
    await r.as('new', 'group.leave', { group: g })
    expect(seqs(await ask({ conv: `g/${g}` }, {}, 'new'))).toEqual([3, 4, 5])
    await r.as(me, 'group.update', { group: g, historyVisible: false })
    expect(seqs(await ask({ conv: `g/${g}` }, {}, 'old'))).toEqual([3, 4, 5, 6])
  })

  test('of a deleted group, up to its end', async () => {
    await comeAndGo()
    await r.as(me, 'group.delete', { group: g })
    expect(seqs(await ask({ conv: `g/${g}` }))).toEqual(range(1, 7))
    expect(seqs(await ask({ conv: `g/${g}` }, {}, 'new'))).toEqual([3, 4, 5])
  })

  test('nothing for who never was in it, whether or not it is there', async () => {
    await r.as(me, 'group.create', { group: g, kind: 'public' })
    expect(await r.refusal('eve', 'history', { conv: `g/${g}` })).toBe('not-member')
    expect(await r.refusal('eve', 'history', { conv: 'g/none' })).toBe('not-member')
    expect(await r.refusal('eve', 'history', { conv: `g/${g}` }, { admin: true })).toBe('not-member')
  })

  test('a message that is stored while the removed one asks is not given', async () => {
    await comeAndGo()
    await r.as(me, 'group.add', { group: g, users: ['new'] })
    const heads = r.host.log.heads.bind(r.host.log)
    r.host.log.heads = async convs => {
      const found = await heads(convs)
      await r.as(me, 'group.remove', { group: g, users: ['new'] })
      await r.say(me, `g/${g}`, 'not yours')
      return found
    }
    try {
      expect(seqs(await ask({ conv: `g/${g}` }, {}, 'new'))).toEqual([7])
    } finally { r.host.log.heads = heads }
  })
})

test.each(['', 'u/', 'g/', 'x/bob', 'u/a/b', 'g/../x', 'u/+', 'u/#', 'd/me/bob', '__proto__', 'u/a b', 'u/\u0000', `u/${'x'.repeat(129)}`, 7, null, ['u/bob'], { conv: 'u/bob' }])('conv %j is refused', async conv => {
  expect(await r.refusal(me, 'history', { conv })).toBe('bad-request')
})

test.each(['__proto__', 'constructor', 'hasOwnProperty'])('conv u/%s is a conversation as any other', async name => {
  expect(await ask({ conv: `u/${name}` })).toMatchObject({ entries: [], head: 0 })
})
