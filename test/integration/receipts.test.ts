import type { Client } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { fill } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

afterEach(closeAll)

const marks = (c: Client): object[] => c.on('me/rcpt').map(d => d.json)
/** Lets the broker's seconds pass until it has nothing more to tell. */
async function tick (clock: FakeClock, ...of: Client[]): Promise<void> {
  for (let i = 0; i < 3; i++) { // cursors are saved, marks are raised and told
    for (const c of of) await c.settled()
    clock.advance(1000)
    for (const c of of) await c.rpc('inbox') // asks the store: what was being stored before is stored
  }
}
/** Lets seconds pass until something was heard. */
async function heard (clock: FakeClock, c: Client, what: (mark: Record<string, unknown>) => boolean): Promise<void> {
  for (let i = 0; i < 20 && !c.on('me/rcpt').some(d => what(d.json)); i++) await tick(clock, c)
  expect(c.on('me/rcpt').some(d => what(d.json))).toBe(true)
}

async function talk (settings = {}): Promise<{ p: Parley, clock: FakeClock, alice: Client, bob: Client }> {
  const clock = new FakeClock()
  const p = await startParley(settings, clock)
  return { p, clock, alice: await p.client({ user: 'alice', subscribe: ['me/#'] }), bob: await p.client({ user: 'bob', subscribe: ['me/#'] }) }
}

test('read and delivered reach the author; user is left out in a direct conversation', async () => {
  const { alice, bob, clock } = await talk()
  await fill(alice, 'u/bob/msg', 3)
  await bob.got('me/msg', 3)
  await bob.say('u/alice/rcpt', { delivered: 2 })
  await heard(clock, alice, m => m.delivered === 2)
  await bob.say('u/alice/rcpt', { read: 3 })
  await heard(clock, alice, m => m.read === 3)
  expect(marks(alice)[0]).toEqual({ conv: 'u/bob', delivered: 2 })
  expect(marks(alice).at(-1)).toMatchObject({ conv: 'u/bob', read: 3 })
  expect(alice.on('me/rcpt')[0]!.qos).toBe(1)
})

test('the PUBACK of an entry moves delivered', async () => {
  const { alice, bob, clock } = await talk()
  await fill(alice, 'u/bob/msg', 3)
  await bob.got('me/msg', 3)
  await heard(clock, alice, m => m.delivered === 3)
  expect(marks(alice)).toEqual([{ conv: 'u/bob', delivered: 3 }])
})

test('a mark never goes back, and past the head it is lowered to it', async () => {
  const { alice, bob, clock } = await talk()
  await fill(alice, 'u/bob/msg', 3)
  await bob.got('me/msg', 3)
  for (const said of [{ read: 2 }, { read: 1 }, { delivered: 1 }, { read: 9_999 }, { read: 0 }]) {
    await bob.say('u/alice/rcpt', said)
    await tick(clock, bob, alice)
  }
  expect(marks(alice).filter(m => 'read' in m)).toEqual([
    { conv: 'u/bob', read: 2, delivered: expect.any(Number) as number }, { conv: 'u/bob', read: 3 }
  ].map(m => expect.objectContaining({ conv: m.conv, read: m.read }) as object))
  expect((await bob.rpc('inbox')).result).toMatchObject({ conversations: [{ conv: 'u/alice', read: 3, unread: 0 }] })
})

test('a mark is stored when its PUBACK comes', async () => {
  const { alice, bob, p } = await talk()
  await fill(alice, 'u/bob/msg', 3)
  for (const read of [1, 2]) {
    await bob.say('u/alice/rcpt', { read })
    expect((await bob.rpc('inbox')).result).toMatchObject({ conversations: [{ conv: 'u/alice', read, unread: 3 - read }] })
  }
  await p.restart()
  const again = await p.client({ user: 'bob', subscribe: ['me/#'] })
  expect((await again.rpc('inbox')).result).toMatchObject({ conversations: [{ conv: 'u/alice', read: 2 }] })
})

test('my own marks from my other devices carry me; the device that said it is not told', async () => {
  const { p, alice, bob, clock } = await talk()
  const tablet = await p.client({ user: 'bob', device: 'tablet', subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 2)
  await bob.got('me/msg', 2)
  await bob.say('u/alice/rcpt', { read: 2 })
  await heard(clock, tablet, () => true)
  await tick(clock, bob, alice)
  expect(marks(tablet)[0]).toMatchObject({ conv: 'u/alice', read: 2, user: 'bob' })
  expect(marks(bob)).toEqual([])
  expect(marks(alice)[0]).not.toHaveProperty('user')
})

test('at most once a second per conversation and user', async () => {
  const { alice, bob, clock } = await talk()
  await fill(alice, 'u/bob/msg', 10)
  await bob.got('me/msg', 10)
  for (let read = 1; read <= 10; read++) await bob.say('u/alice/rcpt', { read })
  await tick(clock, bob, alice)
  await heard(clock, alice, m => m.read === 10)
  expect(marks(alice).filter(m => 'read' in m)).toHaveLength(2)
})

test('others\' marks go to the authors of what is newly covered, and to nobody else', async () => {
  const { p, alice, bob, clock } = await talk()
  const carol = await p.client({ user: 'carol', subscribe: ['me/#'] })
  await alice.rpc('group.create', { group: 'team', members: ['bob', 'carol'] })
  await bob.until(() => bob.on('me/msg').length === 1)
  await tick(clock, alice, bob, carol)
  await alice.say('g/team/msg', { body: 1 })
  await carol.say('g/team/msg', { body: 2 })
  await bob.say('g/team/rcpt', { read: 2 })
  await heard(clock, alice, m => 'read' in m)
  await tick(clock, alice, bob, carol)
  expect(marks(alice).filter(m => 'read' in m)).toEqual([expect.objectContaining({ conv: 'g/team', read: 2, user: 'bob' })])
  expect(marks(carol).filter(m => 'read' in m)).toEqual([])
  await bob.say('g/team/rcpt', { read: 3 })
  await heard(clock, carol, m => 'read' in m)
  await tick(clock, alice, bob, carol)
  expect(marks(alice).filter(m => 'read' in m)).toHaveLength(1)
})

test('in a direct conversation too: the peer is not told when only my own entries are covered', async () => {
  const { p, alice, bob, clock } = await talk()
  const tablet = await p.client({ user: 'alice', device: 'tablet', subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 3)
  await tablet.got('me/msg', 3)
  await alice.say('u/bob/rcpt', { read: 3 })
  await heard(clock, tablet, () => true)
  await tick(clock, alice, tablet, bob)
  expect(marks(bob)).toEqual([])
})

test('only the newest 200 newly covered count', async () => {
  const { p, alice, bob, clock } = await talk()
  const carol = await p.client({ user: 'carol', subscribe: ['me/#'] })
  const dave = await p.client({ user: 'dave', subscribe: ['me/rpc'] })
  await alice.rpc('group.create', { group: 'team', members: ['bob', 'carol', 'dave'] })
  await carol.say('g/team/msg', { body: 2 })
  for (let i = 0; i < 4; i++) await fill(alice, 'g/team/msg', 50)
  await tick(clock, alice, bob, carol)
  await dave.say('g/team/rcpt', { read: 202 })
  await heard(clock, alice, m => 'read' in m)
  await tick(clock, alice, bob, carol)
  expect(marks(carol).filter(m => 'read' in m)).toEqual([])
})

test('in groups over limits.receiptMembers nobody is told, and there are no signals; one\'s own devices are', async () => {
  const { p, alice, bob, clock } = await talk({ limits: { receiptMembers: 2 } })
  const tablet = await p.client({ user: 'bob', device: 'tablet', subscribe: ['me/#'] })
  await alice.rpc('group.create', { group: 'pair', members: ['bob'] })
  await alice.rpc('group.create', { group: 'three', members: ['bob', 'carol'] })
  for (const g of ['three', 'pair']) await alice.say(`g/${g}/msg`, { body: 1 })
  await tick(clock, alice, bob)
  for (const g of ['three', 'pair']) {
    await bob.say(`g/${g}/rcpt`, { read: 2 })
    await bob.say(`g/${g}/sig`, { typing: true })
    clock.advance(1000)
  }
  await heard(clock, alice, m => 'read' in m)
  await tick(clock, alice, bob)
  expect(marks(alice).every(m => (m as { conv: string }).conv === 'g/pair')).toBe(true)
  expect(alice.on('me/sig').map(d => d.json)).toEqual([{ conv: 'g/pair', from: 'bob', typing: true }])
  expect(marks(tablet).map(m => (m as { conv: string }).conv).sort()).toEqual(['g/pair', 'g/three'])
})

test.each([
  [{}], [{ read: -1 }], [{ read: 1.5 }], [{ read: '1' }], [{ read: 1, seq: 1 }], ['{"read":1,"read":2}'], ['[1]'], ['nonsense']
])('%j is no receipt', async payload => {
  const { alice, bob } = await talk()
  await fill(alice, 'u/bob/msg', 2)
  await bob.say('u/alice/rcpt', payload)
  expect((await bob.got('me/ack', 1))[0]!.json).toMatchObject({ topic: 'u/alice/rcpt', error: { code: 'bad-request' } })
})

test('a receipt for a group that one is not in is refused; for a conversation without entries nothing happens', async () => {
  const { alice, bob } = await talk()
  await alice.rpc('group.create', { group: 'team' })
  await bob.say('g/team/rcpt', { read: 1 })
  expect((await bob.got('me/ack', 1))[0]!.json).toMatchObject({ topic: 'g/team/rcpt', error: { code: 'not-member' } })
  await bob.say('u/nobody/rcpt', { read: 1 })
  await bob.settled()
  expect(bob.on('me/ack')).toHaveLength(1)
})
