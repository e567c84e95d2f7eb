import type { Client } from '../support/client.js'
import { ack, fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

const events = (c: Client): unknown[] => c.on('me/evt').map(d => [d.json.type, d.json.conv])

async function three (settings = {}) {
  const p = await startParley(settings)
  const [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map(async user => await p.client({ user, subscribe: ['me/#'] })))
  return { p, alice: alice!, bob: bob!, carol: carol! }
}

test('live sessions follow membership at once: who joins gets the entry by which it joined and all after it', async () => {
  const { p, alice, bob, carol } = await three()
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  await alice.say('g/team/msg', { body: 1 })
  await alice.rpc('group.add', { group: 'team', users: ['carol'] })
  await alice.say('g/team/msg', { body: 2 })
  await carol.got('me/msg', 2)
  await bob.got('me/msg', 4)
  expect(seqs(carol)).toEqual([3, 4])
  expect(carol.on('me/msg')[0]!.json).toMatchObject({ conv: 'g/team', from: 'alice', type: 'system' })
  expect(seqs(bob)).toEqual([1, 2, 3, 4])
  expect(events(carol)).toEqual([['conv-added', 'g/team']])
  await carol.say('g/team/msg', { body: 3 })
  await bob.got('me/msg', 5)
  const again = await p.client({ user: 'carol', device: 'other', subscribe: ['me/#'] })
  await again.settled()
  expect(seqs(again).every(s => s >= 3)).toBe(true)
})

test('a removed member gets what stands up to and including the removal, nothing past it', async () => {
  const { p, alice, bob, carol } = await three()
  await alice.rpc('group.create', { group: 'team', members: ['bob', 'carol'] })
  await bob.got('me/msg', 1)
  await bob.end()
  await fill(alice, 'g/team/msg', 3)
  await alice.rpc('group.remove', { group: 'team', users: ['bob', 'carol'] }) // by entry 5
  await fill(alice, 'g/team/msg', 3)
  await carol.got('me/msg', 5)
  await carol.settled()
  expect(seqs(carol)).toEqual(range(1, 5))
  expect(events(carol)).toEqual([['conv-added', 'g/team'], ['conv-removed', 'g/team']])
  const back = await p.client({ user: 'bob' })
  await back.got('me/msg', 4)
  await back.settled()
  expect(seqs(back)).toEqual(range(2, 5))
  const fresh = await p.client({ user: 'bob', device: 'new', subscribe: ['me/#'] })
  await fresh.settled()
  expect(seqs(fresh).every(s => s <= 5)).toBe(true)
  await carol.say('g/team/msg', { cid: 'x', body: 1 })
  expect((await carol.got('me/ack', 1))[0]!.json).toMatchObject({ cid: 'x', error: { code: 'not-member' } })
  expect((await carol.rpc('history', { conv: 'g/team', after: 0 })).result).toMatchObject({ to: 5, head: 5 })
})

test('a removed member whose window is full gets the rest of what stood up to the removal', async () => {
  const { alice, bob } = await three({ limits: { inFlight: 4 } })
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  bob.acks = false
  await fill(alice, 'g/team/msg', 8)
  await alice.rpc('group.remove', { group: 'team', users: ['bob'] }) // entry 10
  await fill(alice, 'g/team/msg', 4)
  await bob.settled()
  bob.acks = true
  ack(bob, ...bob.heard.flatMap(h => h.cmd === 'publish' && h.qos === 1 ? [h.messageId!] : []))
  await bob.until(() => seqs(bob).includes(10))
  await bob.settled()
  expect(seqs(bob)).toEqual(range(1, 10))
})

test.each([[true], [false]])('who is removed and comes back gets nothing from between (window open: %s)', async open => {
  const { p, alice, bob } = await three({ limits: { inFlight: 4 } })
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  await bob.got('me/msg', 1)
  bob.acks = open
  await fill(alice, 'g/team/msg', 5) // 2 to 6
  await alice.rpc('group.remove', { group: 'team', users: ['bob'] }) // 7
  await fill(alice, 'g/team/msg', 3) // 8 to 10, not for bob
  await alice.rpc('group.add', { group: 'team', users: ['bob'] }) // 11
  await fill(alice, 'g/team/msg', 2)
  bob.acks = true
  await bob.settled()
  ack(bob, ...bob.heard.flatMap(h => h.cmd === 'publish' && h.qos === 1 ? [h.messageId!] : []))
  await bob.until(() => seqs(bob).includes(13))
  await bob.settled()
  const due = [...range(1, 7), ...range(11, 13)]
  expect(seqs(bob)).toEqual(due)
  await bob.end()
  await alice.say('g/team/msg', { body: 'next' })
  const again = await p.client({ user: 'bob' })
  await again.got('me/msg', 1)
  expect(seqs(again)).toEqual([14]) // its cursor went over what was not due
})

test('groups change for sessions that are there, of all devices; conv-changed tells of the group itself', async () => {
  const { p, alice, bob } = await three()
  const tablet = await p.client({ user: 'bob', device: 'tablet', subscribe: ['me/#'] })
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  await alice.rpc('group.update', { group: 'team', title: 'T' })
  for (const c of [bob, tablet]) {
    await c.got('me/evt', 2)
    expect(events(c)).toEqual([['conv-added', 'g/team'], ['conv-changed', 'g/team']])
  }
  await alice.rpc('group.leave', { group: 'team' }) // bob owns it now: no news of being added
  await bob.got('me/evt', 3)
  expect(events(bob)[2]).toEqual(['conv-changed', 'g/team'])
  expect(events(alice).at(-1)).toEqual(['conv-removed', 'g/team'])
  await bob.rpc('group.delete', { group: 'team' })
  await tablet.got('me/evt', 4)
  expect(events(tablet)[3]).toEqual(['conv-removed', 'g/team'])
})

test('events come on me/evt at QoS 1', async () => {
  const { alice, bob } = await three()
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  expect((await bob.got('me/evt', 1))[0]!.qos).toBe(1)
})

test('a will on one of our topics is left out, and the client is told when it listens', async () => {
  const p = await startParley()
  const will = { topic: 'u/alice/msg', payload: Buffer.from('bye'), qos: 1 as const, retain: false }
  const bob = await p.client({ user: 'bob', will, subscribe: ['me/msg'] })
  await bob.subscribe('me/#')
  await bob.got('me/evt', 1)
  await bob.subscribe('me/evt')
  await bob.settled()
  expect(bob.on('me/evt').map(d => d.json)).toEqual([{ type: 'will-ignored' }])
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  bob.destroy()
  await alice.settled()
  expect(alice.on('me/msg')).toEqual([])
})
