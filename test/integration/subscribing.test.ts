import { fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

const GRANTED = ['me/#', 'me/+', 'u/bob/#', 'u/bob/+', 'me/msg', 'u/bob/gap', 'me/batch']
const REFUSED = [
  'me', 'me/', 'me/other', 'me/msg/#', 'me/rpc/x', 'me/#/x', 'u/bob', 'u/alice/#', 'u/+/msg', 'u/#', 'u/+/#', 'g/team/msg', 'g/#', 'rpc/#', 'state', 'p/#', 'parley/#',
  '$share/x/me/#', '$share/x/u/alice/#', '$share/x/u/bob/msg'
].filter(f => f !== 'me/#/x') // that one is malformed

test.each([[4, 0x80], [5, 0x87]])('MQTT %i: filters of the own inbox are granted, at QoS 1 at most; any other of ours is refused', async (version, refused) => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', version: version as 4 | 5 })
  for (const f of GRANTED) expect([f, await bob.subscribe(f, 2)]).toEqual([f, 1])
  expect(await bob.subscribe('me/msg', 0)).toBe(0)
  for (const f of REFUSED) expect([f, await bob.subscribe(f)]).toEqual([f, refused])
})

test('nothing comes on a branch that is not subscribed', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/evt'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/msg'] })
  await alice.say('u/bob/msg', { cid: 'c', body: 1 })
  await bob.got('me/msg', 1)
  await bob.say('u/alice/msg', { body: 2 })
  bob.publish('u/alice/rcpt', { read: 1 }, { qos: 0 })
  alice.publish('u/bob/sig', { typing: true }, { qos: 0 })
  await bob.say('rpc/server.info', { id: 'x' })
  await bob.settled()
  await alice.settled()
  expect(alice.heard.filter(h => h.cmd === 'publish')).toEqual([])
  expect(bob.heard.filter(h => h.cmd === 'publish').map(h => h.topic)).toEqual(['me/msg'])
})

test('a device that holds both spellings gets everything once, on the short one; the highest QoS counts', async () => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob' })
  await bob.subscribe('u/bob/#', 1)
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  await alice.say('u/bob/msg', { body: 1 })
  await bob.until(() => bob.on('u/bob/msg').length === 1)
  await bob.subscribe('me/msg', 0)
  await alice.say('u/bob/msg', { body: 2 })
  await bob.got('me/msg', 1)
  await bob.settled()
  expect(bob.on('u/bob/msg').map(d => [d.json.seq, d.qos])).toEqual([[1, 1]])
  expect(bob.on('me/msg').map(d => [d.json.seq, d.qos])).toEqual([[2, 1]])
})

test('an answer on a longer Response Topic needs a filter that ends in #', async () => {
  const p = await startParley()
  const plus = await p.client({ user: 'bob', device: 'plus', version: 5, subscribe: ['me/+'] })
  const hash = await p.client({ user: 'bob', device: 'hash', version: 5, subscribe: ['me/#'] })
  const properties = { responseTopic: 'me/rpc/a/b', correlationData: Buffer.from('k') }
  for (const c of [plus, hash]) await c.say('rpc/server.info', { id: 'x' }, { properties })
  await hash.until(() => hash.on('me/rpc').length === 1)
  expect(hash.on('me/rpc')[0]).toMatchObject({ topic: 'me/rpc/a/b', packet: { properties: { correlationData: Buffer.from('k') } } })
  await plus.rpc('server.info')
  expect(plus.on('me/rpc').map(d => d.topic)).toEqual(['me/rpc'])
})

test('a SUBSCRIBE repeated replays nothing; after UNSUBSCRIBE a new one goes on where the connection stood', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 5)
  await bob.got('me/msg', 5)
  await bob.subscribe('me/#')
  await bob.subscribe('me/msg')
  await bob.unsubscribe('me/#')
  await bob.unsubscribe('me/msg')
  await fill(alice, 'u/bob/msg', 30)
  await bob.settled()
  expect(seqs(bob)).toEqual(range(1, 5))
  await bob.subscribe('me/#')
  await bob.got('me/msg', 35)
  await bob.settled()
  expect(seqs(bob)).toEqual(range(1, 35))
})

test('replay waits for the first SUBSCRIBE that grants entries, and sees conversations that began meanwhile', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/evt'] })
  await alice.say('u/bob/msg', { body: 1 })
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  await alice.say('g/team/msg', { body: 2 })
  await bob.got('me/evt', 1)
  expect(seqs(bob)).toEqual([])
  await bob.subscribe('me/msg')
  await bob.got('me/msg', 3)
  await alice.say('g/team/msg', { body: 3 })
  await bob.got('me/msg', 4)
  await bob.settled()
  expect(seqs(bob, 'u/alice')).toEqual([1])
  expect(seqs(bob, 'g/team')).toEqual([1, 2, 3])
})

test('SUBACK comes before the first delivery that it causes', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 3)
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await bob.got('me/msg', 3)
  expect(bob.heard.findIndex(h => h.cmd === 'suback')).toBeLessThan(bob.heard.findIndex(h => h.cmd === 'publish'))
})
