import type { Client, Delivered } from '../support/client.js'
import { ack, fill, range, seqs } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

afterEach(closeAll)

const users = async (p: Parley, ...names: string[]): Promise<Client[]> => await Promise.all(names.map(async user => await p.client({ user, subscribe: ['me/#'] })))
const events = (c: Client): unknown[] => c.on('me/evt').map(d => d.json)
const entries = (c: Client, conv: string): Delivered[] => c.on('me/msg').filter(d => d.json.conv === conv)
const bodies = (c: Client, conv: string): unknown[] => entries(c, conv).map(d => d.json.body)
/** Asks, and expects it to be done. */
async function done (c: Client, method: string, params: object): Promise<Record<string, unknown>> {
  const { result, error } = await c.rpc(method, params)
  if (result === undefined) throw new Error(`${method}: ${error?.code}: ${error?.message}`)
  return result
}
/** Publishes and gives what `me/ack` says. */
async function said (c: Client, conv: string, cid: string): Promise<Record<string, unknown>> {
  await c.say(`${conv}/msg`, { cid, body: cid })
  return c.on('me/ack').find(d => d.json.cid === cid)!.json
}

test('members follow at once: who comes gets the entry by which it came and all that follows, who goes gets its own last', async () => {
  const p = await startParley()
  const [olga, max, mara] = await users(p, 'olga', 'max', 'mara') as [Client, Client, Client]
  const second = await p.client({ user: 'max', device: 'laptop', subscribe: ['me/#'] })
  await done(olga, 'group.create', { group: 'team', title: 'Team', members: ['mara'] })
  await olga.say('g/team/msg', { body: 'before' })
  await done(olga, 'group.add', { group: 'team', users: ['max'] })
  await olga.say('g/team/msg', { body: 'while' })
  await max.say('g/team/msg', { body: 'hello' })
  await done(olga, 'group.remove', { group: 'team', users: ['max'] })
  await olga.say('g/team/msg', { body: 'after' })
  for (const c of [olga, max, second, mara]) await c.settled()

  const system = (event: string, more: object = {}): object => ({ event, ...more })
  const came = system('added', { users: ['max'] })
  const went = system('removed', { users: ['max'] })
  expect(bodies(max, 'g/team')).toEqual([came, 'while', went]) // its own came as me/ack
  expect(bodies(second, 'g/team')).toEqual([came, 'while', 'hello', went])
  expect(seqs(second, 'g/team')).toEqual([3, 4, 5, 6])
  expect(entries(max, 'g/team')[0]!.json).toEqual({ conv: 'g/team', seq: 3, ts: expect.any(Number) as number, from: 'olga', type: 'system', body: came })
  for (const c of [max, second]) expect(events(c)).toEqual([{ type: 'conv-added', conv: 'g/team' }, { type: 'conv-removed', conv: 'g/team' }])
  expect(seqs(mara, 'g/team')).toEqual(range(1, 7))
  expect(events(mara)).toEqual([{ type: 'conv-added', conv: 'g/team' }])
  expect(await said(max, 'g/team', 'late')).toMatchObject({ error: { code: 'not-member' } })
})

test('a removed member gets nothing past the removal, by any way', async () => {
  const p = await startParley()
  const [olga, max] = await users(p, 'olga', 'max') as [Client, Client]
  const away = await p.client({ user: 'max', device: 'tablet', subscribe: ['me/#'] })
  await away.end()
  await done(olga, 'group.create', { group: 'team', members: ['max'] })
  await fill(olga, 'g/team/msg', 3)
  await done(olga, 'group.remove', { group: 'team', users: ['max'] })
  await fill(olga, 'g/team/msg', 300)
  await max.settled()
  const visible = range(1, 5)
  expect(seqs(max, 'g/team')).toEqual(visible)

  // A device that was away, a new one, one that begins clean, and one that takes batches.
  const tablet = await p.client({ user: 'max', device: 'tablet' })
  const fresh = await p.client({ user: 'max', device: 'new', subscribe: ['me/#'] })
  const clean = await p.client({ user: 'max', device: 'web', clean: true, subscribe: ['me/#'] })
  for (const c of [tablet, fresh, clean]) await c.settled()
  expect(seqs(tablet, 'g/team')).toEqual(visible)
  for (const c of [fresh, clean]) expect(seqs(c, 'g/team').every(seq => seq <= 5)).toBe(true)
  for (const c of [tablet, fresh, clean]) expect(c.on('me/gap')).toEqual([])

  // What it can ask for.
  for (const params of [{}, { after: 0 }, { after: 5 }, { before: 300 }]) {
    const found = await done(max, 'history', { conv: 'g/team', ...params }) as { entries: { seq: number }[], head: number }
    expect(found.head).toBe(5)
    expect(found.entries.every(e => e.seq <= 5)).toBe(true)
  }
  for (const cursor of [0, 4, 5, 100]) {
    const { conversations, gone } = await done(max, 'sync', { cursors: { 'g/team': cursor } }) as { conversations: { head: number, entries: { seq: number }[], unread: number }[], gone: string[] }
    expect(gone).toEqual(['g/team'])
    for (const c of conversations) {
      expect(c.head).toBe(5)
      expect(c.entries.every(e => e.seq <= 5)).toBe(true)
      expect(c.unread).toBe(3)
    }
  }
  expect(await done(max, 'inbox', {})).toMatchObject({ conversations: [] })
  expect(await max.rpc('group.get', { group: 'team' })).toMatchObject({ error: { code: 'not-member' } })
  expect(await max.rpc('group.members', { group: 'team' })).toMatchObject({ error: { code: 'not-member' } })
  expect(await done(max, 'group.list', {})).toEqual({ groups: [], more: false })

  // What it says is neither stored nor shown, nor are its signals and receipts.
  await max.say('g/team/rcpt', { read: 300 })
  max.publish('g/team/sig', { typing: true }, { qos: 0 })
  expect(await said(max, 'g/team', 'late')).toMatchObject({ error: { code: 'not-member' } })
  await max.settled()
  await olga.settled()
  expect(olga.on('me/sig')).toEqual([])
  expect((await done(olga, 'history', { conv: 'g/team', limit: 1 }))).toMatchObject({ head: 305 })

  // After a restart, too.
  await p.restart()
  const [again] = await users(p, 'max') as [Client]
  await again.settled()
  expect(seqs(again, 'g/team')).toEqual([])
})

test('a removal while a device lags: it gets all that was before, in order, and nothing after', async () => {
  const p = await startParley()
  const [olga] = await users(p, 'olga') as [Client]
  const slow = await p.client({ user: 'max', subscribe: ['me/#'], acks: false })
  await done(olga, 'group.create', { group: 'team', members: ['max'] })
  await fill(olga, 'g/team/msg', 100)
  await done(olga, 'group.remove', { group: 'team', users: ['max'] })
  await fill(olga, 'g/team/msg', 50)
  await slow.settled()
  const held = [...slow.on('me/msg'), ...slow.on('me/evt')]
  expect(held.length).toBeLessThan(102)
  slow.acks = true
  ack(slow, ...held.map(d => d.id))
  await slow.got('me/msg', 102)
  await slow.settled()
  expect(seqs(slow, 'g/team')).toEqual(range(1, 102))
  expect(events(slow)).toEqual([{ type: 'conv-added', conv: 'g/team' }, { type: 'conv-removed', conv: 'g/team' }])
})

test('members who come and go while others write: each gets exactly what was said while it was in', async () => {
  const p = await startParley()
  const [olga, max, writer] = await users(p, 'olga', 'max', 'writer') as [Client, Client, Client]
  await done(olga, 'group.create', { group: 'team', members: ['writer'] })
  const writing = fill(writer, 'g/team/msg', 400)
  for (let i = 0; i < 10; i++) {
    await done(olga, 'group.add', { group: 'team', users: ['max'] })
    await done(olga, 'group.remove', { group: 'team', users: ['max'] })
  }
  await writing
  await max.settled()
  // The log itself says when it was in.
  const log: { seq: number, body: { event?: string } | number }[] = []
  for (let after = 0, more = true; more;) {
    const page = await done(olga, 'history', { conv: 'g/team', after }) as { entries: typeof log, to: number, more: boolean }
    log.push(...page.entries)
    after = page.to
    more = page.more
  }
  let isIn = false
  const due = log.filter(e => {
    const event = typeof e.body === 'object' ? e.body.event : undefined
    if (event === 'added') isIn = true
    const gets = isIn
    if (event === 'removed') isIn = false
    return gets
  })
  expect(log.map(e => e.seq)).toEqual(range(1, 421))
  expect(seqs(max, 'g/team')).toEqual(due.map(e => e.seq))
  expect(events(max)).toHaveLength(20)
})

test('in a channel owners and admins write, members read; a role counts from the next message on', async () => {
  const p = await startParley()
  const [olga, max] = await users(p, 'olga', 'max') as [Client, Client]
  const five = await p.client({ user: 'max', device: 'five', version: 5, subscribe: ['me/#'] })
  await done(olga, 'group.create', { group: 'news', kind: 'channel' })
  await done(max, 'group.join', { group: 'news' })
  expect(await said(max, 'g/news', 'm1')).toMatchObject({ error: { code: 'forbidden' } })
  expect(await five.say('g/news/msg', { cid: 'm2', body: 'x' })).toMatchObject({ reasonCode: 0x87, properties: { userProperties: { code: 'forbidden' } } })
  expect(await said(olga, 'g/news', 'o1')).toMatchObject({ seq: 3 })
  await done(olga, 'group.role', { group: 'news', user: 'max', role: 'admin' })
  expect(await said(max, 'g/news', 'm3')).toMatchObject({ seq: 5 })
  await done(olga, 'group.role', { group: 'news', user: 'max', role: 'member' })
  expect(await said(max, 'g/news', 'm4')).toMatchObject({ error: { code: 'forbidden' } })
  await max.settled()
  expect(seqs(five, 'g/news')).toEqual([2, 3, 4, 5, 6])
  expect(events(max)).toEqual([{ type: 'conv-added', conv: 'g/news' }, { type: 'conv-changed', conv: 'g/news' }, { type: 'conv-changed', conv: 'g/news' }])
})

test('a group that changes its kind, its name, its end: members are told, and it counts at once', async () => {
  const p = await startParley()
  const [olga, max, eve] = await users(p, 'olga', 'max', 'eve') as [Client, Client, Client]
  await done(olga, 'group.create', { group: 'team', members: ['max'] })
  expect(await eve.rpc('group.join', { group: 'team' })).toMatchObject({ error: { code: 'forbidden' } })
  expect(await said(eve, 'g/team', 'e1')).toMatchObject({ error: { code: 'not-member' } })
  await done(olga, 'group.update', { group: 'team', kind: 'public', title: 'All' })
  expect(await done(eve, 'group.join', { group: 'team' })).toMatchObject({ group: 'team', kind: 'public', title: 'All', memberCount: 3, role: 'member' })
  expect(await said(eve, 'g/team', 'e2')).toMatchObject({ seq: 4 })
  await done(olga, 'group.update', { group: 'team', kind: 'channel' })
  expect(await said(eve, 'g/team', 'e3')).toMatchObject({ error: { code: 'forbidden' } })
  await done(olga, 'group.delete', { group: 'team' })
  expect(await said(olga, 'g/team', 'o1')).toMatchObject({ error: { code: 'gone' } })
  expect(await said(eve, 'g/none', 'e4')).toMatchObject({ error: { code: 'not-found' } })
  await max.settled()
  expect(events(max).map(e => (e as { type: string }).type)).toEqual(['conv-added', 'conv-changed', 'conv-changed', 'conv-removed'])
  expect(events(eve).map(e => (e as { type: string }).type)).toEqual(['conv-added', 'conv-changed', 'conv-removed'])
  expect(bodies(max, 'g/team').at(-1)).toEqual({ event: 'deleted' })
  expect(await done(max, 'history', { conv: 'g/team', limit: 1 })).toMatchObject({ head: 6 })
})

test('when the owner leaves the next one owns, and may', async () => {
  const p = await startParley()
  const [olga, max, mara] = await users(p, 'olga', 'max', 'mara') as [Client, Client, Client]
  await done(olga, 'group.create', { group: 'team', members: ['max'] })
  await done(olga, 'group.add', { group: 'team', users: ['mara'] })
  await done(olga, 'group.leave', { group: 'team' })
  await max.settled()
  expect(events(max)).toEqual([{ type: 'conv-added', conv: 'g/team' }, { type: 'conv-changed', conv: 'g/team' }])
  expect(await mara.rpc('group.delete', { group: 'team' })).toMatchObject({ error: { code: 'forbidden' } })
  await done(max, 'group.role', { group: 'team', user: 'mara', role: 'owner' })
  expect((await done(mara, 'group.members', { group: 'team' })).members).toEqual([{ user: 'mara', role: 'owner', since: 2 }, { user: 'max', role: 'owner', since: 1 }])
})

test('limits: members of a group, ids of a list', async () => {
  const p = await startParley({ limits: { groupMembers: 3 } })
  const [olga] = await users(p, 'olga') as [Client]
  expect(await olga.rpc('group.create', { group: 'big', members: ['a', 'b', 'c'] })).toMatchObject({ error: { code: 'too-large' } })
  await done(olga, 'group.create', { group: 'team', kind: 'public', members: ['a'] })
  expect(await done(olga, 'group.add', { group: 'team', users: ['b', 'c'] })).toEqual({ users: [{ user: 'b' }, { user: 'c', error: { code: 'too-large', message: 'the group is full' } }] })
  const users1001 = range(1, 1001).map(i => `u${i}`)
  for (const [method, params] of [['group.create', { members: users1001 }], ['group.add', { group: 'team', users: users1001 }], ['group.remove', { group: 'team', users: users1001 }]] as const) {
    expect(await olga.rpc(method, params)).toMatchObject({ error: { code: 'bad-request' } })
  }
  expect((await olga.rpc('server.info')).result).toMatchObject({ limits: { groupMembers: 3 } })
})

test('a new member sees what was before only while the group shows it', async () => {
  const p = await startParley()
  const [olga, max] = await users(p, 'olga', 'max') as [Client, Client]
  await done(olga, 'group.create', { group: 'open', historyVisible: true })
  await done(olga, 'group.create', { group: 'shut' })
  for (const group of ['open', 'shut']) {
    await fill(olga, `g/${group}/msg`, 3)
    await done(olga, 'group.add', { group, users: ['max'] })
  }
  const seen = async (conv: string): Promise<unknown> => (await done(max, 'history', { conv }) as { entries: { seq: number }[] }).entries.map(e => e.seq)
  expect(await seen('g/open')).toEqual([1, 2, 3, 4, 5])
  expect(await seen('g/shut')).toEqual([5])
  expect(seqs(max, 'g/shut')).toEqual([5])
})
