import { FakeClock } from '../support/fake-clock.js'
import { ack, fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

test('over limits.publishPerSecond, after a burst of ten times as much, a publish is late, not lost; PINGREQ and PUBACK are served', async () => {
  const clock = new FakeClock()
  const p = await startParley({ limits: { publishPerSecond: 5 } }, clock)
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const alice = await p.client({ user: 'alice', acks: false, subscribe: ['me/#'] })
  await fill(bob, 'u/alice/msg', 30) // alice's window is full
  await alice.got('me/msg', 24)
  for (const i of range(1, 80)) alice.publish('u/bob/msg', { body: i })
  await bob.got('me/msg', 50)
  await alice.settled()
  await bob.settled()
  expect(bob.on('me/msg').map(d => d.json.body)).toEqual(range(1, 50))
  ack(alice, ...alice.on('me/msg').map(d => d.id))
  await alice.got('me/msg', 30)
  clock.advance(1000)
  await bob.got('me/msg', 55)
  await alice.settled()
  await bob.settled()
  expect(seqs(bob)).toHaveLength(55)
  for (let i = 0; i < 5; i++) clock.advance(1000)
  await bob.got('me/msg', 80)
  expect(bob.on('me/msg').map(d => d.json.body)).toEqual(range(1, 80))
  expect(alice.heard.filter(h => h.cmd === 'puback')).toHaveLength(80)
})

test('past a hundred held it is not read, and its keepalive waits; all is stored in order', async () => {
  const clock = new FakeClock()
  const p = await startParley({ limits: { publishPerSecond: 10 } }, clock)
  const bob = await p.client({ user: 'bob', subscribe: ['me/msg'] })
  const alice = await p.client({ user: 'alice', keepalive: 5 })
  for (const i of range(1, 500)) alice.publish('u/bob/msg', { body: i })
  alice.send({ cmd: 'pingreq' })
  await bob.got('me/msg', 100)
  for (let s = 0; seqs(bob).length < 500 && s < 300; s++) {
    await bob.settled()
    if (s < 28) expect(alice.heard.some(h => h.cmd === 'pingresp')).toBe(false) // 28 s of silence at a keepalive of 5
    else alice.send({ cmd: 'pingreq' }) // it is read again, and its clock runs
    clock.advance(1000)
  }
  await bob.got('me/msg', 500)
  expect(bob.on('me/msg').map(d => d.json.body)).toEqual(range(1, 500))
  await alice.until(() => alice.heard.some(h => h.cmd === 'pingresp'))
  expect(alice.closed).toBe(false)
})

test('a queue of offline messages flushed at once is stored whole and in order', async () => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', subscribe: ['me/msg'] })
  const alice = await p.client({ user: 'alice' })
  alice.socket.cork()
  const ids = range(1, 3000).map(i => alice.publish('u/bob/msg', { body: i }, { id: i }))
  alice.socket.uncork()
  await bob.got('me/msg', 3000)
  await alice.answer('puback', ids.at(-1)!)
  expect(bob.on('me/msg').map(d => d.json.body)).toEqual(range(1, 3000))
})

test('over 1 MiB held is not read either', async () => {
  const clock = new FakeClock()
  const p = await startParley({ limits: { publishPerSecond: 1 } }, clock)
  const bob = await p.client({ user: 'bob', subscribe: ['me/msg'] })
  const alice = await p.client({ user: 'alice' })
  const text = 'x'.repeat(60_000)
  for (const i of range(1, 60)) alice.publish('u/bob/msg', { body: [i, text] })
  alice.send({ cmd: 'pingreq' })
  await bob.got('me/msg', 10)
  await bob.settled()
  expect(alice.heard.some(h => h.cmd === 'pingresp')).toBe(false) // 50 more would be 3 MB
  for (let s = 0; seqs(bob).length < 60 && s < 300; s++) { clock.advance(1000); await bob.settled() }
  await bob.got('me/msg', 60)
  expect(bob.on('me/msg').map(d => (d.json.body as [number])[0])).toEqual(range(1, 60))
})
