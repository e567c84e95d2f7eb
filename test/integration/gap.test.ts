import { FakeClock } from '../support/fake-clock.js'
import { ack, fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

test('at replay the newest of each conversation come, within the limit; what is left out is announced before', async () => {
  const p = await startParley({ limits: { replay: 3 } })
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 10)
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await bob.got('me/msg', 3)
  expect(bob.on('me').map(d => [d.topic, d.json.seq ?? d.json])).toEqual([
    ['me/gap', { conv: 'u/alice', from: 1, to: 7, head: 10 }], ['me/msg', 8], ['me/msg', 9], ['me/msg', 10]
  ])
  expect(bob.on('me/gap')[0]!.qos).toBe(1)
  // a connected device that lags gets everything
  bob.acks = false
  await fill(alice, 'u/bob/msg', 40)
  for (let i = 3; i < 43; i++) ack(bob, (await bob.got('me/msg', i + 1))[i]!.id)
  await bob.settled()
  expect(seqs(bob)).toEqual(range(8, 50))
})

test('over all conversations the latest active ones come first and take what there is', async () => {
  const clock = new FakeClock()
  const p = await startParley({ limits: { replay: 3, replayTotal: 5 } }, clock)
  for (const [user, n] of [['u1', 4], ['u2', 4], ['u3', 4], ['u1', 1]] as const) {
    await fill(await p.client({ user }), 'u/bob/msg', n)
    clock.advance(5)
  }
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await bob.got('me/msg', 5)
  await bob.got('me/gap', 3)
  await bob.settled()
  const convs = [...new Set(bob.on('me').filter(d => d.json.conv !== undefined).map(d => d.json.conv))]
  expect(convs).toEqual(['u/u1', 'u/u3', 'u/u2'])
  expect(seqs(bob, 'u/u1')).toEqual([3, 4, 5])
  expect(seqs(bob, 'u/u3')).toEqual([3, 4])
  expect(bob.on('me/gap').map(d => d.json)).toEqual([
    { conv: 'u/u1', from: 1, to: 2, head: 5 }, { conv: 'u/u3', from: 1, to: 2, head: 4 }, { conv: 'u/u2', from: 1, to: 4, head: 4 }
  ])
})

test('an acknowledged gap moves the cursor; one that is not comes again', async () => {
  const p = await startParley({ limits: { replay: 2 } })
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 5)
  const first = await p.client({ user: 'bob', acks: false, subscribe: ['me/#'] })
  await first.got('me/msg', 2)
  ack(first, ...first.on('me/msg').map(d => d.id))
  await first.settled()
  await p.restart() // no window is kept: only the cursor tells
  const second = await p.client({ user: 'bob' })
  await second.got('me/msg', 2)
  expect(second.on('me/gap').map(d => d.json)).toEqual([{ conv: 'u/alice', from: 1, to: 3, head: 5 }])
  await second.settled()
  await second.end()
  const third = await p.client({ user: 'bob' })
  await third.settled()
  expect(third.on('me')).toEqual([])
})

test('a device that holds msg but not gap is not told: what is left out counts as acknowledged at once', async () => {
  const p = await startParley({ limits: { replay: 2 } })
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 5)
  const bob = await p.client({ user: 'bob', acks: false, subscribe: ['me/msg'] })
  await bob.got('me/msg', 2)
  await bob.end()
  await p.restart()
  const again = await p.client({ user: 'bob', subscribe: ['me/gap'] })
  await again.got('me/msg', 2)
  await again.settled()
  expect(again.on('me/gap')).toEqual([])
  expect(seqs(again)).toEqual([4, 5])
})

test('a device that holds msg but not gap gets nothing in place of an entry too large, and its cursor goes on', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', version: 5, properties: { maximumPacketSize: 300, sessionExpiryInterval: 100 }, subscribe: ['me/msg'] })
  await fill(alice, 'u/bob/msg', 3, i => i === 2 ? 'x'.repeat(400) : i)
  await bob.got('me/msg', 2)
  await bob.settled()
  await bob.end()
  const again = await p.client({ user: 'bob', version: 5, subscribe: ['me/#'] })
  await again.settled()
  expect(again.on('me')).toEqual([])
})

test.each(['live', 'catch-up'])('entries larger than the client\'s Maximum Packet Size are announced at any time (%s)', async when => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const connect = async () => await p.client({ user: 'bob', version: 5, properties: { maximumPacketSize: 300, sessionExpiryInterval: 100 }, subscribe: ['me/#'] })
  const send = async () => await fill(alice, 'u/bob/msg', 5, i => i === 2 || i === 3 ? 'x'.repeat(400) : i)
  let bob
  if (when === 'live') { bob = await connect(); await send() } else { await send(); bob = await connect() }
  await bob.got('me/msg', 3)
  await bob.settled()
  expect(bob.on('me').map(d => d.json.seq ?? [d.json.from, d.json.to])).toEqual([1, [2, 2], [3, 3], 4, 5])
  await bob.end()
  const again = await p.client({ user: 'bob', version: 5 })
  await again.settled()
  expect(again.on('me')).toEqual([])
})

test('Maximum Packet Size counts to the byte', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const first = await p.client({ user: 'bob', version: 5, subscribe: ['me/#'] })
  await alice.say('u/bob/msg', { body: 'x'.repeat(200) })
  const [d] = await first.got('me/msg', 1)
  const size = d!.packet.length! + 3 // the fixed header: type and two bytes of length
  const exact = await p.client({ user: 'bob', device: 'exact', version: 5, properties: { maximumPacketSize: size, sessionExpiryInterval: 100 }, subscribe: ['me/#'] })
  const less = await p.client({ user: 'bob', device: 'less', version: 5, properties: { maximumPacketSize: size - 1, sessionExpiryInterval: 100 }, subscribe: ['me/#'] })
  await alice.say('u/bob/msg', { body: 'x'.repeat(200) })
  await exact.got('me/msg', 1)
  await less.got('me/gap', 1)
  expect(seqs(less)).toEqual([])
  expect(exact.on('me/gap')).toEqual([])
})

test('device.set maxPacketBytes does the same for any client, from then on', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await alice.say('u/bob/msg', { body: 'x'.repeat(400) })
  await bob.got('me/msg', 1)
  await bob.rpc('device.set', { maxPacketBytes: 256 })
  await alice.say('u/bob/msg', { body: 'x'.repeat(400) })
  await bob.got('me/gap', 1)
  await bob.end()
  await alice.say('u/bob/msg', { body: 'x'.repeat(400) })
  const again = await p.client({ user: 'bob' })
  await again.got('me/gap', 1)
  expect(again.on('me/gap').map(d => d.json)).toEqual([{ conv: 'u/alice', from: 3, to: 3, head: 3 }])
  // what fits is answered, with a short id or the longest; an error that does not keeps its code
  expect(await again.rpc('device.set', { maxPacketBytes: 256 })).toMatchObject({ result: {} })
  const id = 'i'.repeat(128)
  again.publish('rpc/device.list', { id })
  again.publish('rpc/device.set', { id, ['maxPacketBytes'.repeat(200)]: 1 })
  await again.until(() => again.on('me/rpc').filter(d => d.json.id === id).length === 2)
  expect(again.on('me/rpc').slice(-2).map(d => [(d.json.error as { code: string }).code, d.packet.length! <= 254]).sort()).toEqual([['bad-request', true], ['too-large', true]])
  for (const maxPacketBytes of [1, 255]) expect(await again.rpc('device.set', { maxPacketBytes })).toMatchObject({ error: { code: 'bad-request', message: 'maxPacketBytes: 0 for any, or at least 256' } })
  await again.rpc('device.set', { maxPacketBytes: 0 })
  await alice.say('u/bob/msg', { body: 'x'.repeat(400) })
  await again.got('me/msg', 1)
})

test('nothing at all is written past the Maximum Packet Size', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', version: 5, properties: { maximumPacketSize: 100, sessionExpiryInterval: 100 }, subscribe: ['me/#'] })
  alice.publish('u/bob/sig', { text: 'x'.repeat(200) }, { qos: 0 })
  alice.publish('u/bob/sig', { a: 1 }, { qos: 0 })
  await bob.got('me/sig', 1)
  await bob.say(`u/${'y'.repeat(128)}/nonsense`, { body: 1 })
  await bob.say('rpc/server.info', { id: 'q' })
  await bob.say('rpc/nonsense', { id: 'r' })
  await bob.settled()
  for (const h of bob.heard) if (h.cmd === 'publish') expect(2 + h.length!).toBeLessThanOrEqual(100)
  expect(bob.on('me/sig').map(d => d.json)).toEqual([{ conv: 'u/alice', a: 1 }])
})
