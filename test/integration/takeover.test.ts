import { FakeClock } from '../support/fake-clock.js'
import { ack, fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

test.each([4, 5] as const)('a newer connection takes over: replaced is the last PUBLISH of the old one (MQTT %i)', async version => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const old = await p.client({ user: 'bob', version, acks: false, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 3)
  await old.got('me/msg', 3)
  const bob = await p.client({ user: 'bob', version })
  expect(bob.connack.sessionPresent).toBe(true)
  await old.untilClosed()
  const publishes = old.heard.filter(h => h.cmd === 'publish')
  expect(publishes.at(-1)).toMatchObject({ topic: 'me/evt', qos: 0 })
  expect(old.on('me/evt').map(d => d.json)).toEqual([{ type: 'replaced' }])
  expect(old.heard.at(-1)).toMatchObject(version === 5 ? { cmd: 'disconnect', reasonCode: 0x8e } : { cmd: 'publish' })
  await bob.got('me/msg', 3)
  expect(bob.on('me/msg').map(d => [d.json.seq, d.id, d.dup])).toEqual(old.on('me/msg').map(d => [d.json.seq, d.id, true]))
})

test('a black hole of a socket is taken over at once, and what went into it comes again', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const old = await p.client({ user: 'bob', subscribe: ['me/#'] })
  old.socket.pause()
  await fill(alice, 'u/bob/msg', 5)
  const bob = await p.client({ user: 'bob' })
  await bob.got('me/msg', 5)
  await alice.say('u/bob/msg', { body: 6 })
  await bob.got('me/msg', 6)
  expect(seqs(bob)).toEqual(range(1, 6))
})

test('the late end of the old connection does not touch the new one', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  let bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  for (let i = 1; i <= 5; i++) {
    const next = await p.client({ user: 'bob' })
    bob.destroy()
    bob = next
    await alice.say('u/bob/msg', { body: i })
    await bob.until(() => seqs(bob).includes(i))
  }
  await bob.settled()
  expect(bob.closed).toBe(false)
})

test('many connections of one device at once: one is left, and it gets everything', async () => {
  const clock = new FakeClock()
  const p = await startParley({}, clock)
  const alice = await p.client({ user: 'alice' })
  await (await p.client({ user: 'bob', subscribe: ['me/#'] })).end()
  const all = await Promise.all(range(1, 5).map(async () => await p.client({ user: 'bob' })))
  await fill(alice, 'u/bob/msg', 5)
  const last = all.find(c => !c.closed)!
  await last.until(() => seqs(last).length === 5)
  for (const c of all) if (c !== last) await c.untilClosed()
  await last.settled()
  expect(seqs(last)).toEqual(range(1, 5))
})

test('from the sixth takeover within a minute on CONNACK waits', async () => {
  const clock = new FakeClock()
  const p = await startParley({}, clock)
  await p.client({ user: 'bob' })
  for (let i = 0; i < 5; i++) await p.client({ user: 'bob' })
  let late = false
  const sixth = p.client({ user: 'bob' }).then(c => { late = true; return c })
  const other = await p.client({ user: 'bob', device: 'other' })
  await other.settled()
  expect(late).toBe(false)
  clock.advance(10_000)
  await (await sixth).settled()
})

test('over limits.connectionsPerUser the longest silent connection is closed with 0x97', async () => {
  const clock = new FakeClock()
  const p = await startParley({ limits: { connectionsPerUser: 2 } }, clock)
  const a = await p.client({ user: 'bob', device: 'a', version: 5 })
  const b = await p.client({ user: 'bob', device: 'b', version: 5 })
  clock.advance(1000)
  await a.settled()
  const c = await p.client({ user: 'bob', device: 'c', version: 5 })
  await b.untilClosed()
  expect(b.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x97 })
  await a.settled()
  await c.settled()
  await p.client({ user: 'alice', device: 'd' })
  await a.settled()
})

test('acknowledgements that arrive before the takeover count', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const old = await p.client({ user: 'bob', acks: false, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 4)
  await old.got('me/msg', 4)
  ack(old, ...old.on('me/msg').slice(0, 3).map(d => d.id))
  await old.settled()
  const bob = await p.client({ user: 'bob' })
  await bob.got('me/msg', 1)
  await bob.settled()
  expect(seqs(bob)).toEqual([4])
})
