import { newServers } from '../servers/shared.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let drop: () => Promise<void>
let a: Parley
let b: Parley
beforeEach(async () => {
  const servers = await newServers()
  drop = servers.drop
  ;[a, b] = [await startParley(servers.settings), await startParley(servers.settings)]
})
afterEach(async () => {
  await closeAll()
  await drop()
})

const seqs = (c: Awaited<ReturnType<Parley['client']>>): unknown[] => c.on('me/msg').map(d => d.json.seq)

test('a message goes from a phone on one node to a phone on another, and from there to all devices of its sender', async () => {
  const bob = await b.client({ user: 'bob', subscribe: ['me/#'] })
  const alice = await a.client({ user: 'alice', subscribe: ['me/#'] })
  const tablet = await b.client({ user: 'alice', device: 'tablet', subscribe: ['me/#'] })
  await alice.say('u/bob/msg', { cid: 'c1', body: 'hello' })
  expect((await alice.got('me/ack', 1))[0]!.json).toMatchObject({ cid: 'c1', seq: 1 })
  expect((await bob.got('me/msg', 1))[0]!.json).toEqual({ conv: 'u/alice', seq: 1, ts: expect.any(Number) as number, body: 'hello' })
  expect((await tablet.got('me/msg', 1))[0]!.json).toMatchObject({ conv: 'u/bob', seq: 1, cid: 'c1', dev: 'phone' })
  await bob.say('u/alice/rcpt', { read: 1 })
  expect((await alice.got('me/rcpt', 1))[0]!.json).toMatchObject({ conv: 'u/bob', read: 1 })
  alice.publish('u/bob/sig', { typing: true }, { qos: 0 })
  expect((await bob.got('me/sig', 1))[0]!.json).toEqual({ conv: 'u/alice', typing: true })
})

test('a group that is made on one node is heard on another, and who leaves it there hears no more', async () => {
  const alice = await a.client({ user: 'alice', subscribe: ['me/#'] })
  const bob = await b.client({ user: 'bob', subscribe: ['me/#'] })
  expect((await alice.rpc('group.create', { group: 'team', members: ['bob'] })).error).toBeUndefined()
  await bob.got('me/msg', 1)
  for (let i = 0; i < 20; i++) await alice.say('g/team/msg', { body: i })
  await bob.got('me/msg', 21)
  expect(seqs(bob)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1))
  await bob.say('g/team/msg', { body: 'mine' })
  await alice.got('me/msg', 2)
  expect((await bob.rpc('group.leave', { group: 'team' })).error).toBeUndefined()
  await alice.say('g/team/msg', { body: 'after' })
  await bob.settled()
  expect(bob.on('me/msg').map(d => d.json.body)).not.toContain('after')
})

test('both nodes write to one conversation at once: no gap, no double, each reader in order', async () => {
  const alice = await a.client({ user: 'alice', subscribe: ['me/#'] })
  const bob = await b.client({ user: 'bob', subscribe: ['me/#'] })
  const reader = await b.client({ user: 'alice', device: 'reader', subscribe: ['me/#'] })
  for (let i = 0; i < 100; i++) {
    alice.publish('u/bob/msg', { body: i })
    bob.publish('u/alice/msg', { body: i })
  }
  await reader.got('me/msg', 200)
  expect(seqs(reader)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
  await bob.got('me/msg', 100)
  expect(bob.on('me/msg').map(d => d.json.body)).toEqual(Array.from({ length: 100 }, (_, i) => i))
})
