import { closeAll, startParley } from '../support/parley.js'
import { seqs } from '../support/inbox.js'

afterEach(closeAll)

test('a signal reaches who is there, is never stored, and comes at QoS 0 whatever was subscribed', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  alice.publish('u/bob/sig', '{"typing":1e400, "x":{"y":[1]}}', { qos: 0 })
  const [d] = await bob.got('me/sig', 1)
  expect(d!.qos).toBe(0)
  expect((d!.packet.payload as Buffer).toString()).toBe('{"conv":"u/alice","typing":1e400, "x":{"y":[1]}}')
  await bob.end()
  await alice.say('u/bob/sig', {})
  const again = await p.client({ user: 'bob' })
  await again.settled()
  expect(again.on('me')).toEqual([])
  expect(alice.on('me/ack')).toEqual([])
})

test('in groups it says from whom, and reaches the sender\'s other devices, not the sending one', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const tablet = await p.client({ user: 'alice', device: 'tablet', subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  alice.publish('g/team/sig', { typing: true }, { qos: 0 })
  for (const c of [bob, tablet]) expect((await c.got('me/sig', 1))[0]!.json).toEqual({ conv: 'g/team', from: 'alice', typing: true })
  await alice.settled()
  expect(alice.on('me/sig')).toEqual([])
})

test.each([
  ['u/bob/sig', 'x'.repeat(1025), 'too-large'], ['u/bob/sig', '[]', 'bad-request'], ['u/bob/sig', '{"conv":1}', 'bad-request'], ['u/bob/sig', '{"from":1}', 'bad-request'],
  ['u/bob/sig', '{"a":1,"a":2}', 'bad-request'], ['u/bob/sig', Buffer.from([0x7b, 0xff, 0x7d]), 'bad-request'], ['g/none/sig', '{}', 'not-found'], ['g/team/sig', '{}', 'not-member']
])('a signal on %s that may not be is refused on me/ack (%#)', async (topic, payload, code) => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await bob.rpc('group.create', { group: 'team' })
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  await alice.say(topic, payload)
  expect((await alice.got('me/ack', 1))[0]!.json).toMatchObject({ topic, error: { code } })
  await bob.settled()
  expect(bob.on('me/sig')).toEqual([])
})

test('a device in the background gets none; a resent state counts for nothing', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const phone = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const web = await p.client({ user: 'bob', device: 'web', clean: true, subscribe: ['me/#'] })
  for (const c of [phone, web]) await c.say('state', { active: false })
  await alice.say('u/bob/sig', { n: 1 })
  await alice.say('u/bob/msg', { body: 1 })
  for (const c of [phone, web]) { await c.got('me/msg', 1); expect(c.on('me/sig')).toEqual([]) }
  for (const c of [phone, web]) { await c.say('state', { active: true }); await c.say('state', { active: false }, { dup: true }) }
  await alice.say('u/bob/sig', { n: 2 })
  for (const c of [phone, web]) expect((await c.got('me/sig', 1)).map(d => d.json.n)).toEqual([2])
  await phone.say('state', { active: false })
  await phone.end()
  const again = await p.client({ user: 'bob' }) // a connection begins active
  await alice.say('u/bob/sig', { n: 3 })
  await again.got('me/sig', 1)
})

test('a device that lags gets none, and they cost no memory', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  bob.socket.pause()
  const before = process.memoryUsage().arrayBuffers
  const text = 'x'.repeat(1000)
  for (let i = 0; i < 30; i++) {
    for (let n = 0; n < 1000; n++) alice.publish('u/bob/sig', { n, text }, { qos: 0 })
    await alice.settled()
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20) // 30 MB were sent
  await alice.say('u/bob/msg', { body: 'after' })
  bob.socket.resume()
  await bob.got('me/msg', 1)
  expect(seqs(bob)).toEqual([1])
  expect(bob.on('me/sig').length).toBeLessThan(30_000)
})
