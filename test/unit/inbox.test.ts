import fc from 'fast-check'
import type { UserId } from '../../broker/domain/ids.js'
import type { Call } from '../../broker/plugin.js'
import groups from '../../plugins/groups/index.js'
import history from '../../plugins/history/index.js'
import { type AConversation, type Answer, type Rig, rig } from '../support/host.js'

let r: Rig
let n = 0
/** A user of its own for each test, with an inbox of its own. */
let me = ''
let g = ''
beforeAll(async () => { r = await rig([groups, history]) })
afterAll(async () => { await r.close() })
beforeEach(() => { me = `user${n++}`; g = `${me}.g` })

const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
const ask = async (params: object = {}, more: Partial<Call> = {}, user = me): Promise<Answer> => await r.as(user, 'inbox', params, more)
const names = (a: Answer): string[] => a.conversations.map(c => c.conv)
const line = async (conv: string, user = me): Promise<AConversation> => (await ask({ limit: 200 }, {}, user)).conversations.find(c => c.conv === conv)!
const later = (): void => { r.clock.advance(10) }
const mentions = (json: string): { fields: Buffer } => ({ fields: Buffer.from(`"body":"hi","mentions":${json}`) })

describe('the list', () => {
  test('latest activity first, each with its last entry and its marks', async () => {
    await r.say('ann', `u/${me}`, 'first')
    later()
    await r.as(me, 'group.create', { group: g, title: 'Team', members: ['ben'] })
    later()
    await r.say('ann', `u/${me}`, 'second')
    await r.read('ann', `u/${me}`, 1)
    later()
    await r.say(me, `u/${me}`, 'a note')
    later()
    await r.say(me, `g/${g}`, 'hello')
    const ts = r.clock.now()
    expect(await ask()).toEqual({
      conversations: [
        { conv: `g/${g}`, title: 'Team', head: 2, read: 0, unread: 0, mentions: 0, last: { conv: `g/${g}`, seq: 2, ts, from: me, type: 'text', body: 'hello' } },
        { conv: `u/${me}`, head: 1, read: 0, unread: 0, mentions: 0, last: { conv: `u/${me}`, seq: 1, ts: ts - 10, from: me, type: 'text', body: 'a note' } },
        { conv: 'u/ann', head: 2, read: 0, unread: 2, mentions: 0, peer: { delivered: 1, read: 1 }, last: { conv: 'u/ann', seq: 2, ts: ts - 20, from: 'ann', type: 'text', body: 'second' } }
      ],
      more: false
    })
  })

  test('holds nothing of groups that were left, and all of one that was entered again', async () => {
    await r.as('boss', 'group.create', { group: g, members: [me] })
    expect(names(await ask())).toEqual([`g/${g}`])
    await r.as(me, 'group.leave', { group: g })
    expect(await ask()).toEqual({ conversations: [], more: false })
    await r.say('boss', `g/${g}`, 'not yours')
    await r.as('boss', 'group.add', { group: g, users: [me] })
    expect((await ask()).conversations).toMatchObject([{ conv: `g/${g}`, head: 4, unread: 0, last: { seq: 4, type: 'system' } }])
  })

  test('who leaves and comes back while the list is made is shown nothing from in between', async () => {
    await r.as('boss', 'group.create', { group: g, members: [me] })
    const heads = r.host.log.heads.bind(r.host.log)
    r.host.log.heads = async convs => {
      const found = await heads(convs)
      await r.as(me, 'group.leave', { group: g })
      await r.as('boss', 'group.add', { group: g, users: [me] })
      return found
    }
    try {
      expect((await ask()).conversations).toMatchObject([{ conv: `g/${g}`, last: null, unread: 0 }])
    } finally { r.host.log.heads = heads }
  })

  test('a group without a title has none here', async () => {
    await r.as(me, 'group.create', { group: g })
    expect(await line(`g/${g}`)).not.toHaveProperty('title')
  })

  test('nothing for who has nothing', async () => {
    expect(await ask()).toEqual({ conversations: [], more: false })
  })
})

describe('unread', () => {
  test('counts messages of others past my mark, not mine, not what is no message; recalled and expired ones count', async () => {
    await r.as(me, 'group.create', { group: g, members: ['ann', 'ben'] })
    for (const conv of [`g/${g}`, 'u/ann']) {
      const mine = conv
      const theirs = conv === 'u/ann' ? `u/${me}` : conv
      await r.say('ann', theirs, 'read')
      const mark = await r.say('ann', theirs, 'read too')
      await r.read(me, conv, mark)
      for (const type of ['edit', 'recall', 'react', 'system']) await r.say('ann', theirs, 'x', { type })
      await r.say(me, mine, 'mine')
      await r.say('ann', theirs, 'expired', { exp: r.clock.now() })
      await r.say('ann', theirs, 'a poll', { type: 'poll' })
      await r.say('ann', theirs, 'recalled')
      expect([conv, (await line(conv)).unread]).toEqual([conv, 3])
    }
  })

  test('is exact, whoever writes what and wherever the mark stands', async () => {
    const step = fc.record({ from: fc.constantFrom('me', 'ann', 'ben'), type: fc.constantFrom('text', 'text', 'poll', 'edit', 'react', 'recall') })
    let run = 0
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), fc.nat(31), async (steps, at) => {
      const id = `${g}${run++}`
      const peer = `${run % 2 === 0 ? 'a' : 'z'}.${id}` // who of two comes first in the order of names must not matter
      await r.as(me, 'group.create', { group: id, members: ['ann', 'ben'] })
      for (const { from, type } of steps) {
        await r.say(from === 'me' ? me : from, `g/${id}`, 'x', { type })
        if (from !== 'ben') await r.say(from === 'me' ? me : peer, from === 'me' ? `u/${peer}` : `u/${me}`, 'x', { type })
      }
      const counts = (list: typeof steps): number => list.filter(s => s.from !== 'me' && (s.type === 'text' || s.type === 'poll')).length
      const direct = steps.filter(s => s.from !== 'ben')
      const [inGroup, inDirect] = [Math.min(at, steps.length), Math.min(at, direct.length)]
      if (inGroup > 0) await r.read(me, `g/${id}`, inGroup + 1) // the first entry is that of the creation
      if (inDirect > 0) await r.read(me, `u/${peer}`, inDirect)
      const found = new Map((await ask({ limit: 200 })).conversations.map(c => [c.conv, c.unread]))
      expect(found.get(`g/${id}`)).toBe(counts(steps.slice(inGroup)))
      expect(found.get(`u/${peer}`) ?? 0).toBe(counts(direct.slice(inDirect)))
      if (direct.length > 0) expect((await r.as(me, 'sync', { cursors: {}, limit: 200 })).conversations.find(c => c.conv === `u/${peer}`)!.unread).toBe(counts(direct.slice(inDirect)))
    }), { numRuns: 25 })
  })

  test('what was said before I came is not unread', async () => {
    await r.as('boss', 'group.create', { group: g })
    for (const i of range(1, 5)) await r.say('boss', `g/${g}`, i)
    await r.as('boss', 'group.add', { group: g, users: [me] })
    expect((await line(`g/${g}`)).unread).toBe(0)
    await r.say('boss', `g/${g}`, 'welcome')
    expect((await line(`g/${g}`)).unread).toBe(1)
  })

  test('shows 999 at most; past 1,000 entries my own messages beyond them count, too', async () => {
    await r.as(me, 'group.create', { group: g, members: ['ann'] })
    const say = async (from: string, count: number): Promise<void> => { await Promise.all(range(1, count).map(async i => await r.say(from, from === 'ann' ? `u/${me}` : 'u/ann', i))) }
    const sayThere = async (from: string, count: number): Promise<void> => { await Promise.all(range(1, count).map(async i => await r.say(from, `g/${g}`, i))) }
    await say('ann', 999)
    await say(me, 5)
    expect((await line('u/ann')).unread).toBe(999)
    await say('ann', 1)
    expect((await line('u/ann')).unread).toBe(999)
    await r.read(me, 'u/ann', 2)
    expect((await line('u/ann')).unread).toBe(998)

    await sayThere('ann', 399)
    await sayThere(me, 600)
    expect((await line(`g/${g}`)).unread).toBe(399) // 1,000 entries past the mark: exact
    await sayThere(me, 300)
    await sayThere('ann', 100)
    expect((await line(`g/${g}`)).unread).toBe(799) // 300 of my own are not looked at any more
    await r.read(me, `g/${g}`, 401)
    expect((await line(`g/${g}`)).unread).toBe(100) // fewer than 1,000 entries again
    await sayThere('ann', 1200)
    expect((await line(`g/${g}`)).unread).toBe(999)
  })
})

describe('mentions', () => {
  test.each<[string, string, number]>([
    ['me', '["ann","ME"]', 1], ['all', '"@all"', 1], ['somebody else', '["ann","MEx"]', 0], ['nobody', '[]', 0],
    ['me, spelt with escapes', '["\\u00ME"]', 1], ['all, spelt with escapes', '"\\u0040all"', 1]
  ])('of %s: %s', async (_who, json, expected) => {
    const escaped = `\\u00${me.charCodeAt(0).toString(16)}${me.slice(1)}`
    await r.as(me, 'group.create', { group: g, members: ['ann'] })
    await r.say('ann', `g/${g}`, '', mentions(json.replace('\\u00ME', escaped).replace('ME', me)))
    expect(await line(`g/${g}`)).toMatchObject({ unread: 1, mentions: expected })
  })

  test('neither my own, nor those read, nor the same letters in a body', async () => {
    await r.as(me, 'group.create', { group: g, members: ['ann'] })
    const mark = await r.say('ann', `g/${g}`, '', mentions(`["${me}"]`))
    await r.read(me, `g/${g}`, mark)
    await r.say(me, `g/${g}`, '', mentions('"@all"'))
    await r.say('ann', `g/${g}`, { mentions: [me] })
    await r.say('ann', `g/${g}`, `"mentions":["${me}"]`)
    await r.say('ann', `g/${g}`, '', { ...mentions(`["${me}"]`), type: 'edit' })
    expect(await line(`g/${g}`)).toMatchObject({ unread: 2, mentions: 0 })
    await r.say('ann', `u/${me}`, '', mentions(`["${me}"]`))
    expect(await line('u/ann')).toMatchObject({ unread: 1, mentions: 1 })
  })
})

describe('page by page', () => {
  async function walk (params: object, maxBytes = 1 << 20, between: () => Promise<void> = async () => {}): Promise<AConversation[]> {
    const found: AConversation[] = []
    for (let cursor: string | undefined, pages = 0; ; pages++) {
      const page = await ask({ ...params, ...(cursor === undefined ? {} : { cursor }) }, { maxBytes })
      found.push(...page.conversations)
      expect(page.more).toBe(page.next !== undefined)
      if (!page.more) return found
      expect(page.conversations.length).toBeGreaterThan(0)
      expect(pages).toBeLessThan(500)
      cursor = page.next
      await between()
    }
  }

  test('it is the whole, in order, whatever the page and the room', async () => {
    for (const i of range(1, 30)) {
      if (i % 3 !== 0) later() // some at the same time
      await r.say(me, `u/p${i}`, 'x'.repeat(i * 30))
    }
    const whole = await walk({})
    const ts = whole.map(c => c.last!.ts)
    expect(ts).toEqual([...ts].sort((a, b) => b - a))
    expect(new Set(whole.map(c => c.conv)).size).toBe(30)
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 2000, max: 20_000 }), async (limit, maxBytes) => {
      expect(await walk({ limit }, maxBytes)).toEqual(whole)
    }), { numRuns: 30 })
  })

  test('limit is lowered to 200; 100 without one', async () => {
    await Promise.all(range(1, 203).map(async i => await r.say(me, `u/p${i}`)))
    expect((await ask({ limit: 1e9 })).conversations).toHaveLength(200)
    expect((await ask()).conversations).toHaveLength(100)
  })

  test('256 KiB of entries, one at least; what is too large for the client comes as its size', async () => {
    for (const i of range(1, 6)) { later(); await r.say('ann', `u/${me}${i}`, 'x'.repeat(60_000)) }
    for (const i of range(1, 6)) { later(); await r.say(me, `u/p${i}`, 'x'.repeat(60_000)) }
    expect(names(await ask())).toEqual(['u/p6', 'u/p5', 'u/p4', 'u/p3'])
    later()
    await r.say(me, 'u/p1', 'x'.repeat(300_000))
    const first = await ask()
    expect(names(first)).toEqual(['u/p1'])
    expect(first.conversations[0]!.last!.body).toHaveLength(300_000)
    expect(names(await ask({ cursor: first.next }))).toEqual(['u/p6', 'u/p5', 'u/p4', 'u/p3'])
    const cut = await ask({}, { maxBytes: 3000 })
    expect(cut.conversations[0]!.last).toEqual({ conv: 'u/p1', seq: 2, ts: r.clock.now(), from: me, type: 'text', size: expect.any(Number) as number })
  })

  test('no answer is larger than the client takes', async () => {
    for (const i of range(1, 20)) await r.say(`q${i}`, `u/${me}`, 'ü'.repeat(i * 60))
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1500, max: 30_000 }), async maxBytes => {
      expect((await r.operations.call('inbox', { user: me as UserId, device: '', admin: false, maxBytes }, {})).length).toBeLessThanOrEqual(maxBytes)
    }), { numRuns: 40 })
  })

  test('conversations that become active meanwhile keep their places: none twice, none left out', async () => {
    for (const i of range(1, 12)) { later(); await r.say(me, `u/p${i}`) }
    let round = 0
    const found = await walk({ limit: 3 }, 1 << 20, async () => {
      later()
      for (const i of [1, 12, 5 + round++]) await r.say(`p${i}`, `u/${me}`, 'news')
      later()
      await r.say(`stranger${round}`, `u/${me}`, 'new here')
    })
    expect(found.map(c => c.conv)).toEqual(range(1, 12).reverse().map(i => `u/p${i}`))
    expect(found.at(-1)).toMatchObject({ conv: 'u/p1', head: 4, unread: 3, last: { body: 'news' } }) // as it is now, where it stood
    expect(names(await ask({ limit: 1 }))).toEqual(['u/stranger3'])
  })

  test('of two of the same time the second keeps its place, too', async () => {
    for (const i of range(1, 3)) await r.say(me, `u/p${i}`)
    const first = await ask({ limit: 1 })
    later()
    for (const i of range(1, 3)) await r.say(me, `u/p${i}`)
    expect([names(first), names(await ask({ cursor: first.next }))]).toEqual([['u/p1'], ['u/p2', 'u/p3']])
  })

  test('one whose entry was committed late, with an earlier time, is not left out', async () => {
    for (const i of range(1, 6)) { later(); await r.say(me, `u/p${i}`) }
    const first = await ask({ limit: 3 })
    expect(names(first)).toEqual(['u/p6', 'u/p5', 'u/p4'])
    await r.say('p1', `u/${me}`, 'late', { nowMs: r.clock.now() - 5 })
    const rest: string[] = []
    for (let page = first; page.more;) { page = await ask({ limit: 3, cursor: page.next }); rest.push(...names(page)) }
    expect(new Set([...names(first), ...rest])).toEqual(new Set(range(1, 6).map(i => `u/p${i}`)))
  })

  test('a conversation that is left meanwhile takes none with it', async () => {
    for (const i of range(1, 4)) { later(); await r.as(me, 'group.create', { group: `${g}${i}`, members: ['ann'] }) }
    const first = await ask({ limit: 2 })
    await r.as(me, 'group.leave', { group: `${g}4` })
    await r.as(me, 'group.leave', { group: `${g}2` })
    expect(names(await ask({ limit: 2, cursor: first.next }))).toEqual([`g/${g}1`])
  })

  test('a cursor of somebody\'s making gives an answer or is refused', async () => {
    for (const i of range(1, 3)) await r.say(me, `u/p${i}`)
    const odd = (v: unknown): string => Buffer.from(JSON.stringify(v)).toString('base64url')
    for (const cursor of ['', 'x', odd(null), odd({}), odd([1, 2, 3]), odd([1, 2, '3', 'x']), odd([1, 1, 1, 7])]) expect(await r.refusal(me, 'inbox', { cursor })).toBe('bad-request')
    await fc.assert(fc.asyncProperty(fc.oneof(fc.string(), fc.array(fc.oneof(fc.integer(), fc.string()), { maxLength: 5 }).map(odd), fc.tuple(fc.maxSafeInteger(), fc.integer(), fc.integer(), fc.string()).map(odd)), async cursor => {
      expect([undefined, 'bad-request']).toContain(await r.refusal(me, 'inbox', { cursor }))
    }), { numRuns: 200 })
    for (const params of [{ limit: 0 }, { limit: '1' }, { conv: 'u/p1' }]) expect(await r.refusal(me, 'inbox', params)).toBe('bad-request')
  })
})
