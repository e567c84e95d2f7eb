import fc from 'fast-check'
import type { Effects, Group, MemberChange, Role } from '../../broker/domain/group.js'
import type { UserId } from '../../broker/domain/ids.js'
import type { AppendResult } from '../../broker/ports/log.js'
import { draft, group, HOSTILE_IDS, inGroup, type Open, type Opened, user } from './opened.js'

const asGroup = (id: string, over: Partial<Group> = {}): Group => ({
  group: group(id), kind: 'private', title: `The ${id}`, avatar: '', custom: null, historyVisible: false, createdMs: 1, deleted: false, ...over
})

/** What any {@link Directory} keeps; with {@link Draft.effects}, which change it. */
export function directoryContract (name: string, open: Open): void {
  describe(`${name}: directory`, () => {
    let opened: Opened
    let last = 0
    const someGroup = (): string => `group-${++last}`
    beforeAll(async () => { opened = await open() })
    afterAll(async () => { await opened.close() })
    const system = async (id: string, effects: Effects, cid = `system-${++last}`): Promise<AppendResult> =>
      await opened.stores.log.append(draft(inGroup(id), { type: 'system', dev: '', cid, hash: 1, effects }))
    const change = async (id: string, members: MemberChange[]): Promise<number> => {
      const r = await system(id, { members })
      if (r.kind !== 'stored') throw new Error(r.kind)
      return r.entry.seq
    }
    const ids = async (id: string): Promise<UserId[]> => (await opened.stores.directory.members(group(id), { limit: 1000 })).map(m => m.user)

    test('remembers users, whatever they are called', async () => {
      const { directory } = opened.stores
      for (const id of HOSTILE_IDS) expect([id, await directory.knows(user(id))]).toEqual([id, false])
      await Promise.all([...HOSTILE_IDS, ...HOSTILE_IDS].map(async id => { await directory.remember(user(id)) }))
      await opened.reopen()
      for (const id of HOSTILE_IDS) expect([id, await opened.stores.directory.knows(user(id))]).toEqual([id, true])
      expect(await opened.stores.directory.knows(user('aaa'))).toBe(false)
    })

    describe('groups', () => {
      test('are as their last entry made them, also when deleted', async () => {
        const { directory } = opened.stores
        const id = someGroup()
        expect(await directory.group(group(id))).toBeUndefined()
        const made = asGroup(id, { title: '\u{1F4AC} "é"', custom: { ['__proto__']: [1, { deep: null }] }, historyVisible: true })
        await system(id, { group: made, create: true })
        expect(await directory.group(group(id))).toEqual(made)
        const gone = { ...made, deleted: true }
        await system(id, { group: gone })
        await opened.reopen()
        expect(await opened.stores.directory.group(group(id))).toEqual(gone)
        expect(JSON.stringify(await opened.stores.directory.group(group(id)))).toBe(JSON.stringify(gone))
      })

      test('are created once: of many at the same time one wins, and the others change nothing', async () => {
        const id = someGroup()
        const create = (title: string, owner: string): Effects => ({ group: asGroup(id, { title }), create: true, members: [{ user: user(owner), role: 'owner' }] })
        const results = await Promise.all(['one', 'two', 'three'].map(async t => await system(id, create(t, t))))
        expect(results.map(r => r.kind)).toEqual(['stored', 'conflict', 'conflict'])
        await system(id, { group: asGroup(id, { title: 'one', deleted: true }) })
        expect((await system(id, create('later', 'later'))).kind).toBe('conflict')
        expect(await ids(id)).toEqual(['one'])
        expect((await opened.stores.log.heads([inGroup(id)]))[0]!.seq).toBe(2)
      })

      test('a resent creation is known by its cid, and takes no effect again', async () => {
        const id = someGroup()
        const effects: Effects = { group: asGroup(id), create: true, members: [{ user: user('ann'), role: 'owner' }] }
        const first = await system(id, effects, 'create')
        await change(id, [{ user: user('bob'), role: 'member' }, { user: user('ann'), role: null }])
        expect(await system(id, effects, 'create')).toEqual({ kind: 'already-stored', entry: first.kind === 'stored' && first.entry })
        expect(await ids(id)).toEqual(['bob'])
        expect((await opened.stores.log.append(draft(inGroup(id), { type: 'system', dev: '', cid: 'create', hash: 2, effects }))).kind).toBe('conflict')
        expect(await ids(id)).toEqual(['bob'])
      })
    })

    describe('members', () => {
      test('are found one by one, and in pages by user id', async () => {
        const { directory } = opened.stores
        const id = someGroup()
        const users = [...HOSTILE_IDS, ...Array.from({ length: 300 }, (_, i) => `m${i}`)]
        const seq = await change(id, users.map(u => ({ user: user(u), role: 'member' })))
        const sorted = [...users].sort() as UserId[]
        expect(await ids(id)).toEqual(sorted)
        expect(await directory.memberCount(group(id))).toBe(users.length)
        for (const u of users) expect(await directory.member(group(id), user(u))).toEqual({ user: u, role: 'member', since: seq })
        expect(await directory.member(group(id), user('m'))).toBeUndefined()
        const paged: UserId[] = []
        for (let after: UserId | undefined; ;) {
          const page = await directory.members(group(id), { after, limit: 47 })
          if (page.length === 0) break
          paged.push(...page.map(m => m.user))
          after = page.at(-1)!.user
        }
        expect(paged).toEqual(sorted)
        expect((await directory.members(group(id), { after: user('m29a'), limit: 2 })).map(m => m.user)).toEqual(['m3', 'm30'])
      })

      test('of groups whose names begin alike are not mixed', async () => {
        const id = someGroup()
        await change(id, [{ user: user('a'), role: 'owner' }])
        await change(`${id}~`, [{ user: user('b'), role: 'owner' }])
        await change(`${id}a`, [{ user: user('c'), role: 'owner' }])
        expect([await ids(id), await ids(`${id}~`), await ids(`${id}a`), await ids(`${id}b`)]).toEqual([['a'], ['b'], ['c'], []])
        expect(await opened.stores.directory.memberCount(group(`${id}b`))).toBe(0)
      })

      test('join, leave, come back and change roles as their entries tell, in the order of the log', async () => {
        const step = fc.array(fc.record({ user: fc.constantFrom('u1', 'u2', 'u3', 'u4').map(user), role: fc.constantFrom<Role | null>('owner', 'admin', 'member', null) }), { maxLength: 4 })
        await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 15 }), fc.boolean(), async (steps, together) => {
          const { directory } = opened.stores
          const id = someGroup()
          if (together) await Promise.all(steps.map(async members => await system(id, { members })))
          else for (const members of steps) await system(id, { members })
          const expected = new Map<UserId, { role: Role, since: number }>()
          steps.forEach((members, i) => {
            for (const { user: u, role } of members) {
              if (role === null) expected.delete(u)
              else expected.set(u, { role, since: expected.get(u)?.since ?? i + 1 })
            }
          })
          const list = [...expected].sort(([a], [b]) => a < b ? -1 : 1).map(([u, m]) => ({ user: u, ...m }))
          expect(await directory.members(group(id), { limit: 10 })).toEqual(list)
          expect(await directory.memberCount(group(id))).toBe(list.length)
        }), { numRuns: 40 })
      })

      test('change only with their entry: while it is not stored, nothing has changed', async () => {
        const { directory, inbox } = opened.stores
        const id = someGroup()
        await change(id, [{ user: user('ann'), role: 'owner' }])
        const resume = opened.stall()
        const waiting = change(id, [{ user: user('eve'), role: 'member' }, { user: user('ann'), role: null }])
        while (opened.stores.health().ok) await new Promise(resolve => setImmediate(resolve))
        expect(await ids(id)).toEqual(['ann'])
        expect(await directory.memberCount(group(id))).toBe(1)
        expect(await inbox.row(user('eve'), inGroup(id))).toBeUndefined()
        resume()
        await waiting
        expect(await ids(id)).toEqual(['eve'])
        expect((await inbox.row(user('eve'), inGroup(id)))!.since).toBe(2)
        expect((await inbox.row(user('ann'), inGroup(id)))!.left).toBe(2)
      })
    })

    test('blocks are of one direction, and sorted', async () => {
      const { directory } = opened.stores
      const me = user('me')
      for (const id of [...HOSTILE_IDS].reverse()) await directory.block(me, user(id))
      await directory.block(me, user('a'))
      await directory.block(user('me2'), user('other'))
      expect(await directory.blocked(me)).toEqual([...HOSTILE_IDS].sort())
      expect(await directory.blocks(user('a'), me)).toBe(false)
      await directory.unblock(me, user('a'))
      await directory.unblock(me, user('a'))
      await opened.reopen()
      const again = opened.stores.directory
      expect([await again.blocks(me, user('a')), await again.blocks(me, user('aa')), await again.blocks(me, user('__proto__'))]).toEqual([false, true, true])
      expect(await again.blocked(user('m'))).toEqual([])
    })
  })
}
