import fc from 'fast-check'
import type { Group, MemberChange } from '../../broker/domain/group.js'
import type { InboxRow, Mark } from '../../broker/ports/inbox.js'
import { direct, draft, group, HOSTILE_IDS, inGroup, type Open, type Opened, someConv, user } from './opened.js'

/** What any {@link InboxStore} keeps; the rows are the log store's to make. */
export function inboxStoreContract (name: string, open: Open): void {
  describe(`${name}: inbox`, () => {
    let opened: Opened
    let last = 0
    beforeAll(async () => { opened = await open() })
    afterAll(async () => { await opened.close() })
    const fresh = { since: 1, left: 0, read: 0, delivered: 0, readCounts: [0, 0] as const }
    const names = (rows: readonly InboxRow[]): string[] => rows.map(r => r.conv).sort()

    test('has a row for both users from the first entry of a direct conversation on', async () => {
      const { log, inbox } = opened.stores
      const conv = direct('ann', 'bob')
      expect(await inbox.row(user('bob'), conv)).toBeUndefined()
      await Promise.all([log.append(draft(conv, { from: user('ann') })), log.append(draft(conv, { from: user('bob') }))])
      for (const u of ['ann', 'bob']) {
        expect(await inbox.row(user(u), conv)).toEqual({ conv, ...fresh })
        expect(await inbox.rows(user(u))).toEqual([{ conv, ...fresh }])
      }
      expect(await inbox.rows(user('an'))).toEqual([])
      expect(await inbox.row(user('carl'), conv)).toBeUndefined()
    })

    test('has one row for notes to self', async () => {
      const conv = direct('solo', 'solo')
      await opened.stores.log.append(draft(conv, { from: user('solo') }))
      expect(await opened.stores.inbox.rows(user('solo'))).toEqual([{ conv, ...fresh }])
    })

    test('gives all rows of a user with many conversations, and of users with odd names', async () => {
      const many = Array.from({ length: 1100 }, (_, i) => direct('busy', `p${i}`))
      const odd = HOSTILE_IDS.map(id => direct('odd', id))
      await Promise.all([...many, ...odd].map(async conv => await opened.stores.log.append(draft(conv))))
      await opened.reopen()
      const { inbox } = opened.stores
      expect(names(await inbox.rows(user('busy')))).toEqual([...many].sort())
      expect(names(await inbox.rows(user('odd')))).toEqual([...odd].sort())
      for (const id of HOSTILE_IDS) expect(await inbox.rows(user(id))).toContainEqual({ conv: direct('odd', id), ...fresh })
    })

    describe('of a group', () => {
      const joined = async (historyVisible: boolean): Promise<{ id: string, change: (...members: MemberChange[]) => Promise<void>, say: (n: number) => Promise<void>, row: () => Promise<InboxRow | undefined> }> => {
        const { log, inbox } = opened.stores
        const id = `inbox-${++last}`
        const made: Group = { group: group(id), kind: 'private', title: '', avatar: '', custom: null, historyVisible, createdMs: 1, deleted: false }
        await log.append(draft(inGroup(id), { type: 'system', effects: { group: made, create: true, members: [{ user: user('own'), role: 'owner' }] } }))
        return {
          id,
          change: async (...members) => { await log.append(draft(inGroup(id), { type: 'system', effects: { members } })) },
          say: async n => { for (let i = 0; i < n; i++) await log.append(draft(inGroup(id))) },
          row: async () => await inbox.row(user('eve'), inGroup(id))
        }
      }
      const eve = (role: 'member' | 'admin' | null): MemberChange => ({ user: user('eve'), role })

      test('the row begins at the entry by which the user joined, with nothing unread before it', async () => {
        const { id, change, say, row } = await joined(false)
        await say(3)
        await change(eve('member'))
        expect(await row()).toEqual({ conv: inGroup(id), since: 5, left: 0, read: 4, delivered: 4, readCounts: [3, 0] })
        await say(1)
        await change(eve('admin'))
        expect(await row()).toEqual({ conv: inGroup(id), since: 5, left: 0, read: 4, delivered: 4, readCounts: [3, 0] })
      })

      test('there is no row for whom no entry let in', async () => {
        const { say, row } = await joined(false)
        await say(2)
        await opened.stores.log.append(draft(inGroup('teams')))
        expect([await row(), await opened.stores.inbox.rows(user('team')), await opened.stores.inbox.rows(user('alice'))].flat().filter(r => r?.conv.startsWith('g/'))).toEqual([])
      })

      test('the row begins at 1 where the history is visible', async () => {
        const { id, change, say, row } = await joined(true)
        await say(3)
        await change(eve('member'))
        expect(await row()).toEqual({ conv: inGroup(id), ...fresh })
      })

      test('the row of who left ends with that entry, and stays', async () => {
        const { id, change, say, row } = await joined(false)
        await change(eve('member'))
        await say(2)
        await change(eve(null))
        await say(2)
        const left = { conv: inGroup(id), since: 2, left: 5, read: 1, delivered: 1, readCounts: [0, 0] as const }
        expect(await row()).toEqual(left)
        await change(eve(null))
        expect(await row()).toEqual(left)
        expect(await opened.stores.inbox.rows(user('eve'))).toContainEqual(left)
      })

      test('who comes back sees from then on, and what came meanwhile was never unread', async () => {
        const { id, change, say, row } = await joined(false)
        await change(eve('member'))
        await say(2)
        await change(eve(null))
        await say(2)
        await change(eve('member'))
        expect(await row()).toEqual({ conv: inGroup(id), since: 8, left: 0, read: 7, delivered: 7, readCounts: [4, 0] })
      })

      test('who comes back to a visible history has read what it had read', async () => {
        const { id, change, say, row } = await joined(true)
        await change(eve('member'))
        await say(2)
        await opened.stores.inbox.mark([{ user: user('eve'), conv: inGroup(id), read: 3, readCounts: [1, 0] }])
        await change(eve(null))
        await say(2)
        await change(eve('member'))
        expect(await row()).toEqual({ conv: inGroup(id), since: 1, left: 0, read: 3, delivered: 3, readCounts: [1, 0] })
      })
    })

    describe('marks', () => {
      test('only rise, and read implies delivered', async () => {
        const mark = fc.record({ read: fc.option(fc.nat(50), { nil: undefined }), delivered: fc.option(fc.nat(50), { nil: undefined }) })
        await fc.assert(fc.asyncProperty(fc.array(fc.array(mark, { maxLength: 5 }), { minLength: 1, maxLength: 8 }), fc.boolean(), async (calls, together) => {
          const { log, inbox } = opened.stores
          const conv = someConv()
          const me = user('alice')
          await log.append(draft(conv))
          const marks = calls.map(call => call.map((m): Mark => ({ user: me, conv, ...m, ...(m.read === undefined ? {} : { readCounts: [m.read, 2 * m.read] }) })))
          if (together) await Promise.all(marks.map(async m => { await inbox.mark(m) }))
          else for (const m of marks) await inbox.mark(m)
          const all = calls.flat()
          const read = Math.max(0, ...all.map(m => m.read ?? 0))
          const delivered = Math.max(read, ...all.map(m => m.delivered ?? 0))
          expect(await inbox.row(me, conv)).toEqual({ conv, since: 1, left: 0, read, delivered, readCounts: [read, 2 * read] })
        }), { numRuns: 40 })
      })

      test('of many users and conversations are kept apart; one without a row is dropped', async () => {
        const { log, inbox } = opened.stores
        const [one, two] = [direct('m1', 'm2'), direct('m1', 'm3')]
        await log.append(draft(one))
        await log.append(draft(two))
        await inbox.mark([
          { user: user('m1'), conv: one, read: 5, readCounts: [2, 3] }, { user: user('m2'), conv: one, delivered: 4 },
          { user: user('m2'), conv: two, read: 9, readCounts: [9, 9] }, { user: user('nobody'), conv: one, read: 1, readCounts: [0, 0] }
        ])
        await inbox.mark([])
        await opened.reopen()
        const again = opened.stores.inbox
        expect(await again.row(user('m1'), one)).toMatchObject({ read: 5, delivered: 5, readCounts: [2, 3] })
        expect(await again.row(user('m2'), one)).toMatchObject({ read: 0, delivered: 4, readCounts: [0, 0] })
        expect(await again.row(user('m1'), two)).toEqual({ conv: two, ...fresh })
        expect([await again.row(user('m2'), two), await again.row(user('nobody'), one)]).toEqual([undefined, undefined])
      })
    })
  })
}
