import fc from 'fast-check'
import type { GroupId, UserId } from '../../broker/domain/ids.js'
import groups from '../../plugins/groups/index.js'
import { Lanes } from '../../plugins/groups/lanes.js'
import { type Rig, rig } from '../support/host.js'

let r: Rig
let n = 0
/** A group id of its own for each test. */
let g = ''
beforeAll(async () => { r = await rig([groups]) })
afterAll(async () => { await r.close() })
beforeEach(() => { g = `g${n++}`; r.posted.length = 0 })

const roles = async (group = g): Promise<Record<string, string>> =>
  Object.fromEntries((await r.as('root', 'group.members', { group, limit: 1000 }, { admin: true })).members.map(m => [m.user, m.role]))
const bodies = (): unknown[] => r.posted.map(p => p.body)
const stored = async (group = g) => (await r.stores.directory.group(group as GroupId))!

/** owner `olga`, admins `adam` (first) and `anna`, members `mara`, `max`; `left` was one. */
async function make (kind: string, group = g): Promise<void> {
  await r.as('olga', 'group.create', { group, kind, members: ['mara', 'max', 'left'] })
  await r.as('olga', 'group.add', { group, users: ['adam'] })
  await r.as('olga', 'group.add', { group, users: ['anna'] })
  await r.as('olga', 'group.role', { group, user: 'anna', role: 'admin' })
  await r.as('olga', 'group.role', { group, user: 'adam', role: 'admin' })
  await r.as('left', 'group.leave', { group })
  r.posted.length = 0
}

describe('create', () => {
  test('gives the group, with the creator as its owner, by one entry', async () => {
    const made = await r.as('olga', 'group.create', { group: g, title: 'Team', avatar: 'a.png', custom: { n: [1, null] }, members: ['max', 'mara', 'max', 'olga'] })
    expect(made).toEqual({ group: g, kind: 'private', title: 'Team', avatar: 'a.png', custom: { n: [1, null] }, historyVisible: false, created: r.clock.now(), memberCount: 3, role: 'owner' })
    expect(await r.as('olga', 'group.get', { group: g })).toEqual(made)
    expect(await roles()).toEqual({ olga: 'owner', mara: 'member', max: 'member' })
    expect(r.posted).toMatchObject([{ conv: `g/${g}`, from: 'olga', body: { event: 'created', kind: 'private', title: 'Team', users: ['max', 'mara'] } }])
  })

  test('makes up an id that is none yet', async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, async () => (await r.as('olga', 'group.create')).group))
    expect(new Set(ids).size).toBe(50)
    for (const id of ids) expect(id).toMatch(/^[\w-]{12}$/)
  })

  test('an id in use, or of a deleted group, is a conflict and changes nothing', async () => {
    await make('public')
    expect(await r.refusal('eve', 'group.create', { group: g, title: 'mine' })).toBe('conflict')
    expect(await r.refusal('olga', 'group.create', { group: g })).toBe('conflict')
    await r.as('olga', 'group.delete', { group: g })
    expect(await r.refusal('olga', 'group.create', { group: g })).toBe('conflict')
    expect((await stored()).title).toBe('')
  })

  test.each<[string, object]>([
    ['a long title', { title: 'x'.repeat(257) }],
    ['a long avatar', { avatar: 'ü'.repeat(1025) }],
    ['a large custom', { custom: 'x'.repeat(4095) }],
    ['an unknown kind', { kind: 'secret' }],
    ['a misspelt name', { titel: 'x' }],
    ['a member that is no user id', { members: ['a/b'] }],
    ['a member that is no text', { members: [1] }],
    ['1,001 members', { members: Array.from({ length: 1001 }, (_, i) => `u${i}`) }]
  ])('refuses %s', async (_what, params) => {
    expect(await r.refusal('olga', 'group.create', { group: g, ...params })).toBe('bad-request')
    expect(await r.stores.directory.group(g as GroupId)).toBeUndefined()
  })

  test('takes all at its limit', async () => {
    const made = await r.as('olga', 'group.create', { group: g, title: 'x'.repeat(256), avatar: 'ü'.repeat(1024), custom: 'x'.repeat(4094), members: Array.from({ length: 1000 }, (_, i) => `u${i}`) })
    expect(made.memberCount).toBe(1001)
    expect(r.posted[0]!.body).toMatchObject({ count: 1000, users: { length: 100 } })
  })
})

test('ids that no topic could hold are refused everywhere', async () => {
  const hostile = ['', 'a/b', '+', '#', 'a b', 'ü', '\u0000', '../x', 'x'.repeat(129), '$SYS']
  for (const group of hostile) {
    for (const [name, more] of [['create', {}], ['get', {}], ['update', {}], ['delete', {}], ['join', {}], ['leave', {}], ['members', {}], ['add', { users: ['a'] }], ['remove', { users: ['a'] }], ['role', { user: 'a', role: 'admin' }]] as const) {
      expect([name, group, await r.refusal('olga', `group.${name}`, { group, ...more })]).toEqual([name, group, 'bad-request'])
    }
  }
  await make('public')
  for (const user of hostile) {
    expect(await r.refusal('olga', 'group.add', { group: g, users: ['ok', user] })).toBe('bad-request')
    expect(await r.refusal('olga', 'group.role', { group: g, user, role: 'member' })).toBe('bad-request')
  }
  // Within the grammar, and a trap for whoever looks names up in an object.
  for (const group of ['__proto__', 'constructor', 'toString']) {
    expect(await r.refusal('olga', 'group.get', { group })).toBe('not-found')
    await r.as('olga', 'group.create', { group, members: ['__proto__', 'hasOwnProperty'], custom: JSON.parse('{"__proto__":{"x":1}}') as object })
    expect((await r.as('__proto__', 'group.get', { group })).role).toBe('member')
  }
})

/** Who may do what in a group of this kind: the code of the refusal, or `ok`. `root` is an admin of the broker and no member. */
const who = ['olga', 'adam', 'mara', 'left', 'eve', 'root'] as const
const F = 'forbidden'
const N = 'not-member'
const matrix: [string, string, object, string[]][] = [
  // operation, kinds, params: owner, admin, member, former member, stranger, broker's admin
  ['get', 'private', {}, ['ok', 'ok', 'ok', N, N, 'ok']],
  ['get', 'public channel', {}, ['ok', 'ok', 'ok', 'ok', 'ok', 'ok']],
  ['members', 'private public channel', {}, ['ok', 'ok', 'ok', N, N, 'ok']],
  ['update', 'private public channel', { title: 'new' }, ['ok', 'ok', F, N, N, 'ok']],
  ['delete', 'private public channel', {}, ['ok', F, F, N, N, 'ok']],
  ['join', 'private', {}, ['ok', 'ok', 'ok', F, F, 'ok']],
  ['join', 'public channel', {}, ['ok', 'ok', 'ok', 'ok', 'ok', 'ok']],
  ['leave', 'private public channel', {}, ['ok', 'ok', 'ok', N, N, N]],
  ['add', 'private public channel', { users: ['new'] }, ['ok', 'ok', F, N, N, 'ok']],
  ['remove', 'private public channel', { users: ['max'] }, ['ok', 'ok', F, N, N, 'ok']],
  ['remove', 'private', { users: ['anna'] }, ['ok', `user:${F}`, F, N, N, 'ok']],
  ['remove', 'private', { users: ['olga'] }, [`user:${F}`, `user:${F}`, F, N, N, 'ok']],
  ['remove', 'private', { users: ['nobody'] }, [`user:${N}`, `user:${N}`, F, N, N, `user:${N}`]],
  ['role', 'private public channel', { user: 'max', role: 'admin' }, ['ok', 'ok', F, N, N, 'ok']],
  ['role', 'private', { user: 'max', role: 'owner' }, ['ok', F, F, N, N, 'ok']],
  ['role', 'private', { user: 'anna', role: 'member' }, ['ok', F, F, N, N, 'ok']],
  ['role', 'private', { user: 'anna', role: 'owner' }, ['ok', F, F, N, N, 'ok']],
  ['role', 'private', { user: 'olga', role: 'member' }, ['conflict', F, F, N, N, 'conflict']],
  ['role', 'private', { user: 'nobody', role: 'admin' }, [N, N, F, N, N, N]]
]
const cases = matrix.flatMap(([op, kinds, params, expected]) => kinds.split(' ').flatMap(kind => who.map((user, i) => ({ op, kind, params, user, outcome: expected[i]! }))))

test.each(cases)('group.$op $params of a $kind group by $user: $outcome', async ({ op, kind, params, user, outcome }) => {
  await make(kind)
  const before = await roles()
  const admin = user === 'root'
  const code = await r.refusal(user, `group.${op}`, { group: g, ...params }, { admin })
  const ofUser = outcome.startsWith('user:')
  expect(code).toBe(outcome === 'ok' || ofUser ? undefined : outcome)
  if (outcome !== 'ok') {
    expect(r.posted).toEqual([])
    expect(await roles()).toEqual(before)
  } else expect(r.posted.length).toBeLessThanOrEqual(1)
  if (ofUser) {
    const { users } = await r.as(user, `group.${op}`, { group: g, ...params }, { admin })
    expect(users.map(u => u.error?.code)).toEqual([outcome.slice(5)])
  }
})

describe('what is no group any more, or never was one', () => {
  const ops: [string, object][] = [['get', {}], ['update', {}], ['delete', {}], ['join', {}], ['leave', {}], ['members', {}], ['add', { users: ['a'] }], ['remove', { users: ['a'] }], ['role', { user: 'a', role: 'admin' }]]
  test.each(ops)('group.%s', async (op, more) => {
    for (const [user, admin] of [['olga', false], ['eve', false], ['root', true]] as const) expect(await r.refusal(user, `group.${op}`, { group: g, ...more }, { admin })).toBe('not-found')
    await make('public')
    await r.as('olga', 'group.delete', { group: g })
    for (const [user, admin] of [['olga', false], ['eve', false], ['root', true]] as const) expect(await r.refusal(user, `group.${op}`, { group: g, ...more }, { admin })).toBe('gone')
  })

  test('deleting removes all by one entry, up to which they may read', async () => {
    await make('private')
    await r.as('olga', 'group.delete', { group: g })
    expect(bodies()).toEqual([{ event: 'deleted' }])
    expect(await r.stores.directory.memberCount(g as GroupId)).toBe(0)
    const [head] = await r.stores.log.heads([r.posted[0]!.conv])
    for (const user of ['olga', 'adam', 'mara']) expect((await r.stores.inbox.row(user as UserId, r.posted[0]!.conv))!.left).toBe(head!.seq)
  })
})

describe('update', () => {
  test('tells and stores what differs, and keeps the rest', async () => {
    await r.as('olga', 'group.create', { group: g, title: 'Old', avatar: 'a', custom: { a: 1 } })
    r.posted.length = 0
    const after = await r.as('olga', 'group.update', { group: g, title: 'New', avatar: 'a', custom: { a: 1 } })
    expect(after).toMatchObject({ title: 'New', avatar: 'a', custom: { a: 1 }, kind: 'private' })
    expect(bodies()).toEqual([{ event: 'updated', title: 'New' }])
    expect(await r.as('olga', 'group.update', { group: g, kind: 'public', custom: null, avatar: '', historyVisible: true })).toEqual({ ...after, kind: 'public', historyVisible: true, custom: undefined, avatar: undefined })
    expect(bodies()[1]).toEqual({ event: 'updated', kind: 'public', avatar: '', custom: null, historyVisible: true })
  })

  test('without a difference there is no entry', async () => {
    await make('private')
    await r.as('olga', 'group.update', { group: g })
    await r.as('olga', 'group.update', { group: g, kind: 'private', title: '', custom: null })
    expect(r.posted).toEqual([])
    expect(await r.refusal('olga', 'group.update', { group: g, avatar: 'x'.repeat(2049) })).toBe('bad-request')
  })
})

describe('coming', () => {
  test('who is in already comes in again without an entry, and keeps its role', async () => {
    await make('private')
    expect(await r.as('adam', 'group.join', { group: g })).toMatchObject({ group: g, role: 'admin' })
    expect(await r.as('olga', 'group.add', { group: g, users: ['adam', 'mara'] })).toEqual({ users: [{ user: 'adam' }, { user: 'mara' }] })
    expect(r.posted).toEqual([])
    expect((await roles()).adam).toBe('admin')
  })

  test('several by one entry; each user is answered once', async () => {
    await make('private')
    expect(await r.as('adam', 'group.add', { group: g, users: ['z', 'mara', 'y', 'z'] })).toEqual({ users: [{ user: 'z' }, { user: 'mara' }, { user: 'y' }] })
    expect(bodies()).toEqual([{ event: 'added', users: ['z', 'y'] }])
  })

  test('what a former member may see begins at the entry by which it came back', async () => {
    await make('public')
    await r.as('left', 'group.join', { group: g })
    expect(bodies()).toEqual([{ event: 'joined' }])
    const { seq } = (await r.stores.log.heads([r.posted[0]!.conv]))[0]!
    expect(await r.stores.inbox.row('left' as UserId, r.posted[0]!.conv)).toMatchObject({ since: seq, left: 0 })
  })
})

describe('a group that is full', () => {
  let small: Rig
  beforeAll(async () => { small = await rig([groups], { groupMembers: 4 }) })
  afterAll(async () => { await small.close() })

  test('takes as many as there is room for', async () => {
    expect(await small.refusal('o', 'group.create', { group: g, members: ['a', 'b', 'c', 'd'] })).toBe('too-large')
    await small.as('o', 'group.create', { group: g, kind: 'public', members: ['a'] })
    const { users } = await small.as('o', 'group.add', { group: g, users: ['b', 'a', 'c', 'd', 'e'] })
    expect(users.map(u => [u.user, u.error?.code])).toEqual([['b', undefined], ['a', undefined], ['c', undefined], ['d', 'too-large'], ['e', 'too-large']])
    expect(await small.refusal('d', 'group.join', { group: g })).toBe('too-large')
    await small.as('b', 'group.leave', { group: g })
    await small.as('d', 'group.join', { group: g })
  })

  test('many who come at once get no more than the room', async () => {
    await small.as('o', 'group.create', { group: g, kind: 'public' })
    const came = await Promise.all(Array.from({ length: 50 }, async (_, i) => await small.refusal(`u${i}`, 'group.join', { group: g })))
    expect(came.filter(c => c === undefined)).toHaveLength(3)
    expect(await small.stores.directory.memberCount(g as GroupId)).toBe(4)
  })

  test('0 is no limit', async () => {
    const open = await rig([groups], { groupMembers: 0 })
    await open.as('o', 'group.create', { group: g, members: ['a'] })
    expect((await open.as('o', 'group.add', { group: g, users: ['b', 'c'] })).users.every(u => u.error === undefined)).toBe(true)
    await open.close()
  })
})

describe('going', () => {
  test('the last owner\'s place goes to the oldest admin, then to the oldest member; then the group is deleted', async () => {
    await make('private')
    await r.as('olga', 'group.leave', { group: g })
    expect(await roles()).toEqual({ adam: 'owner', anna: 'admin', mara: 'member', max: 'member' })
    await r.as('adam', 'group.leave', { group: g })
    await r.as('anna', 'group.leave', { group: g })
    expect(await roles()).toEqual({ mara: 'owner', max: 'member' })
    await r.as('mara', 'group.leave', { group: g })
    await r.as('max', 'group.leave', { group: g })
    expect(bodies()).toEqual([{ event: 'left', owner: 'adam' }, { event: 'left', owner: 'anna' }, { event: 'left', owner: 'mara' }, { event: 'left', owner: 'max' }, { event: 'left', deleted: true }])
    expect(await r.refusal('max', 'group.get', { group: g })).toBe('gone')
  })

  test('the oldest is who came first, not whose name comes first', async () => {
    await r.as('olga', 'group.create', { group: g })
    for (const user of ['zoe', 'ann', 'bea']) await r.as('olga', 'group.add', { group: g, users: [user] })
    await r.as('olga', 'group.leave', { group: g })
    expect(await roles()).toEqual({ ann: 'member', bea: 'member', zoe: 'owner' })
  })

  test('one of two owners goes without a successor, and may step down', async () => {
    await make('private')
    await r.as('olga', 'group.role', { group: g, user: 'max', role: 'owner' })
    await r.as('olga', 'group.role', { group: g, user: 'olga', role: 'admin' })
    await r.as('max', 'group.role', { group: g, user: 'olga', role: 'owner' })
    await r.as('max', 'group.leave', { group: g })
    expect(bodies().at(-1)).toEqual({ event: 'left' })
    expect((await roles()).adam).toBe('admin')
  })

  test('a broker\'s admin who removes all owners leaves one, who removes all deletes the group', async () => {
    await make('private')
    await r.as('root', 'group.remove', { group: g, users: ['olga', 'adam'] }, { admin: true })
    expect(await roles()).toEqual({ anna: 'owner', mara: 'member', max: 'member' })
    await r.as('root', 'group.remove', { group: g, users: ['anna', 'mara', 'max'] }, { admin: true })
    expect(bodies()).toEqual([{ event: 'removed', users: ['olga', 'adam'], owner: 'anna' }, { event: 'removed', users: ['anna', 'mara', 'max'], deleted: true }])
    expect((await stored()).deleted).toBe(true)
  })

  test('of those removed each has its own result', async () => {
    await make('private')
    const { users } = await r.as('adam', 'group.remove', { group: g, users: ['olga', 'mara', 'nobody', 'adam', 'max'] })
    expect(users.map(u => [u.user, u.error?.code])).toEqual([['olga', 'forbidden'], ['mara', undefined], ['nobody', 'not-member'], ['adam', 'forbidden'], ['max', undefined]])
    expect(bodies()).toEqual([{ event: 'removed', users: ['mara', 'max'] }])
  })

  test('the same role again makes no entry', async () => {
    await make('private')
    await r.as('olga', 'group.role', { group: g, user: 'adam', role: 'admin' })
    expect(r.posted).toEqual([])
  })
})

describe('at once', () => {
  test('all owners who leave together leave one owner behind, or a deleted group', async () => {
    await r.as('a', 'group.create', { group: g, members: ['b', 'c', 'd'] })
    await r.as('a', 'group.role', { group: g, user: 'b', role: 'owner' })
    await Promise.all(['a', 'b', 'c'].map(async u => await r.as(u, 'group.leave', { group: g })))
    expect(await roles()).toEqual({ d: 'owner' })
  })

  test('one group made by many belongs to one', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, async (_, i) => await r.refusal(`u${i}`, 'group.create', { group: g })))
    expect(made.filter(c => c === undefined)).toHaveLength(1)
    expect(made.filter(c => c === 'conflict')).toHaveLength(19)
    expect(Object.values(await roles())).toEqual(['owner'])
  })

  test('the same user added by many comes in by one entry', async () => {
    await make('private')
    await Promise.all(Array.from({ length: 20 }, async () => await r.as('olga', 'group.add', { group: g, users: ['new'] })))
    expect(bodies()).toEqual([{ event: 'added', users: ['new'] }])
  })

  test('whatever comes at once, every group with members has an owner, and every refusal is a known one', async () => {
    const users = ['a', 'b', 'c', 'd', 'e']
    const user = fc.constantFrom(...users)
    const step = fc.oneof(
      fc.record({ by: user, op: fc.constantFrom('join', 'leave', 'delete', 'members', 'get'), params: fc.constant({}) }),
      fc.record({ by: user, op: fc.constantFrom('add', 'remove'), params: fc.record({ users: fc.array(user, { minLength: 1 }) }) }),
      fc.record({ by: user, op: fc.constant('role'), params: fc.record({ user, role: fc.constantFrom('owner', 'admin', 'member') }) }))
    await fc.assert(fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { maxLength: 8 }), async rounds => {
      const group = `p${n++}`
      await r.as('a', 'group.create', { group, kind: 'public', members: ['b', 'c'] })
      for (const round of rounds) {
        const codes = await Promise.all(round.map(async s => await r.refusal(s.by, `group.${s.op}`, { group, ...s.params })))
        for (const code of codes) expect([undefined, 'forbidden', 'not-member', 'conflict', 'gone']).toContain(code)
        const gone = (await stored(group)).deleted
        const now = await r.stores.directory.members(group as GroupId, { limit: 10 })
        expect(now.length === 0).toBe(gone)
        expect(gone || now.some(m => m.role === 'owner')).toBe(true)
        expect(await r.stores.directory.memberCount(group as GroupId)).toBe(now.length)
      }
    }), { numRuns: 60 })
  }, 60_000)
})

describe('lists', () => {
  async function all (user: string, op: string, of: 'groups' | 'members', params: object, maxBytes = 1 << 20): Promise<unknown[]> {
    const found: unknown[] = []
    for (let cursor: string | undefined, pages = 0; pages < 1000; pages++) {
      const page = await r.as(user, op, { ...params, ...(cursor === undefined ? {} : { cursor }) }, { maxBytes })
      found.push(...page[of])
      expect(page.more).toBe(page.next !== undefined)
      if (!page.more) return found
      expect(page[of].length).toBeGreaterThan(0)
      cursor = page.next
    }
    throw new Error('no end')
  }

  test('members, page by page, are the whole, whatever the page and the room', async () => {
    const users = Array.from({ length: 60 }, (_, i) => `${'~-=Zaz'.charAt(i % 6)}m${i}`)
    await r.as('olga', 'group.create', { group: g, members: users })
    const whole = (await r.as('olga', 'group.members', { group: g, limit: 1000 })).members
    expect(whole.map(m => m.user)).toEqual(['olga', ...users].sort())
    expect(whole[0]).toEqual({ user: '-m1', role: 'member', since: 1 })
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 400, max: 4000 }), async (limit, maxBytes) => {
      expect(await all('olga', 'group.members', 'members', { group: g, limit }, maxBytes)).toEqual(whole)
    }), { numRuns: 40 })
    expect((await r.as('olga', 'group.members', { group: g, limit: 1e15 })).more).toBe(false)
  })

  test('groups, page by page, are those that I am in', async () => {
    const ids = Array.from({ length: 25 }, (_, i) => `list${i}`)
    for (const id of ids) await r.as('lena', 'group.create', { group: id, title: id, members: ['ben'] })
    await r.as('lena', 'group.leave', { group: 'list3' })
    await r.as('lena', 'group.delete', { group: 'list4' })
    await r.say('lena', 'u/ben')
    const mine = ids.filter(id => id !== 'list3' && id !== 'list4').sort()
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 400, max: 4000 }), async (limit, maxBytes) => {
      expect(await all('lena', 'group.list', 'groups', { limit }, maxBytes)).toMatchObject(mine.map(group => ({ group, title: group, role: 'owner', memberCount: 2 })))
    }), { numRuns: 30 })
    expect(await r.as('nobody', 'group.list')).toEqual({ groups: [], more: false })
  })

  test('a cursor of somebody\'s making is refused', async () => {
    await make('private')
    for (const cursor of ['', 'x', '!!!', 'YS9i', 'bWFyYQ==', '\u0000', 'x'.repeat(10_000)]) {
      expect(await r.refusal('olga', 'group.members', { group: g, cursor })).toBe('bad-request')
      expect(await r.refusal('olga', 'group.list', { cursor })).toBe('bad-request')
    }
    for (const limit of [0, -1, 1.5, '5']) expect(await r.refusal('olga', 'group.members', { group: g, limit })).toBe('bad-request')
  })
})

describe('Lanes', () => {
  test('one after the other by key, forgets keys that are done, goes on after a failure', async () => {
    const lanes = new Lanes()
    const seen: string[] = []
    const work = (key: string, name: string, fail = false) => lanes.run(key, async () => {
      seen.push(`${name}<`)
      await new Promise(resolve => { setImmediate(resolve) })
      seen.push(`${name}>`)
      if (fail) throw new Error(name)
    }).catch((e: unknown) => (e as Error).message)
    expect(await Promise.all([work('a', '1', true), work('a', '2'), work('b', '3')])).toEqual(['1', undefined, undefined])
    expect(seen.slice(0, 2)).toEqual(['1<', '3<'])
    expect(seen.filter(s => !s.startsWith('3'))).toEqual(['1<', '1>', '2<', '2>'])
    expect(lanes.size).toBe(0)
  })

  test('a flood is refused for now', async () => {
    const lanes = new Lanes()
    let open = (): void => {}
    const gate = new Promise<void>(resolve => { open = resolve })
    const running = Array.from({ length: 1000 }, () => lanes.run('a', () => gate))
    await expect(lanes.run('a', () => gate)).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 1000 })
    open()
    await Promise.all(running)
    expect(lanes.size).toBe(0)
  })
})
