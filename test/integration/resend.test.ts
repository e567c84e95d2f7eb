import type { Client, ClientOptions } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { ack, fill, range, seqs } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

afterEach(closeAll)

const bobOf = async (p: Parley, more: Partial<ClientOptions> = {}): Promise<Client> => {
  const bob = await p.client({ user: 'bob', acks: false, ...more })
  if (!bob.connack.sessionPresent) await bob.subscribe('me/#')
  return bob
}
const sent = (c: Client): [number, number, boolean][] => c.on('me/msg').map(d => [d.json.seq as number, d.id, d.dup])

test('the unacknowledged window goes again first, same packet ids, DUP 1; then what is new', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const first = await bobOf(p)
  await fill(alice, 'u/bob/msg', 4)
  await first.got('me/msg', 4)
  const before = sent(first)
  ack(first, before[1]![1], before[3]![1]) // 2 and 4, out of order
  await first.settled()
  first.destroy()
  await fill(alice, 'u/bob/msg', 3)
  const bob = await bobOf(p)
  await bob.got('me/msg', 5)
  await bob.settled()
  const now = sent(bob)
  expect(now.slice(0, 2)).toEqual([[1, before[0]![1], true], [3, before[2]![1], true]])
  expect(now.slice(2).map(([seq, , dup]) => [seq, dup])).toEqual([[5, false], [6, false], [7, false]])
  expect(new Set(now.map(n => n[1])).size).toBe(5)
  bob.acks = true
  ack(bob, ...now.map(n => n[1]))
  await bob.settled()
  await bob.end()
  const last = await bobOf(p)
  await last.settled()
  expect(sent(last)).toEqual([])
})

test('it goes again before the replay limit counts, in several conversations, in the order in which it was sent', async () => {
  const p = await startParley({ limits: { replay: 2 } })
  const alice = await p.client({ user: 'alice' })
  const carol = await p.client({ user: 'carol' })
  const first = await bobOf(p)
  for (let i = 0; i < 3; i++) { await alice.say('u/bob/msg', { body: i }); await carol.say('u/bob/msg', { body: i }) }
  await first.got('me/msg', 6)
  const before = sent(first)
  await first.end()
  await fill(alice, 'u/bob/msg', 5)
  const bob = await bobOf(p)
  await bob.got('me/msg', 8)
  await bob.settled()
  expect(sent(bob).slice(0, 6)).toEqual(before.map(([seq, id]) => [seq, id, true]))
  expect(bob.on('me/gap').map(d => d.json)).toEqual([{ conv: 'u/alice', from: 4, to: 6, head: 8 }])
  expect(sent(bob).slice(6).map(s => s[0])).toEqual([7, 8])
})

test('a smaller Receive Maximum at the new connection lets it go again a part at a time', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const first = await bobOf(p, { version: 5 })
  await fill(alice, 'u/bob/msg', 6)
  const before = sent(first).length === 6 ? sent(first) : (await first.got('me/msg', 6), sent(first))
  await first.end()
  const bob = await bobOf(p, { version: 5, properties: { receiveMaximum: 3, sessionExpiryInterval: 100 } })
  // the answers that the window keeps room for never make more than three
  for (let i = 0; i < 3; i++) await bob.say('rpc/server.info', { id: `q${i}` })
  await bob.settled()
  expect(sent(bob).map(s => s[0])).toEqual([1, 2])
  for (let i = 0; i < 3; i++) {
    expect(bob.on('me/rpc')).toHaveLength(i + 1)
    ack(bob, bob.on('me/rpc')[i]!.id)
    await bob.settled()
  }
  for (let i = 0; i < 6; i++) ack(bob, (await bob.got('me/msg', i + 1))[i]!.id)
  expect(sent(bob)).toEqual(before.map(([seq, id]) => [seq, id, true]))
})

test('an entry too large for the new connection is announced in its place', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const first = await bobOf(p, { version: 5 })
  await fill(alice, 'u/bob/msg', 3, i => i === 2 ? 'x'.repeat(500) : i)
  await first.got('me/msg', 3)
  const before = sent(first)
  await first.end()
  const bob = await bobOf(p, { version: 5, properties: { maximumPacketSize: 300, sessionExpiryInterval: 100 } })
  await bob.got('me/msg', 2)
  expect((await bob.got('me/gap', 1)).map(d => [d.json, d.id])).toEqual([[{ conv: 'u/alice', from: 2, to: 2, head: 3 }, before[1]![1]]])
  expect(sent(bob).map(s => s[0])).toEqual([1, 3])
})

test('after a restart of the node the same entries come with other ids and DUP 0', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const first = await bobOf(p)
  await fill(alice, 'u/bob/msg', 3)
  await first.got('me/msg', 3)
  await p.restart()
  const bob = await bobOf(p)
  await bob.got('me/msg', 3)
  expect(sent(bob).map(([seq, , dup]) => [seq, dup])).toEqual([[1, false], [2, false], [3, false]])
})

test('a gap that was not acknowledged goes again too', async () => {
  const p = await startParley({ limits: { replay: 1 } })
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 5)
  const first = await bobOf(p)
  const [gap] = await first.got('me/gap', 1)
  await first.got('me/msg', 1)
  await first.end()
  const bob = await bobOf(p)
  await bob.got('me/msg', 1)
  expect(bob.on('me/gap').map(d => [d.json, d.id, d.dup])).toEqual([[gap!.json, gap!.id, true]])
})

type End = (c: Client, p: Parley, clock: FakeClock) => Promise<unknown>
const disconnects: End = async c => { await c.end() }
const closes: End = async c => { c.destroy(); await c.untilClosed() }
const isTakenOver: End = async (c, p, clock) => {
  clock.advance(60_000) // else the broker slows the devices down
  await p.client({ user: 'bob', acks: false })
  await c.untilClosed()
}
const keepsSilent: End = async (c, _p, clock) => { clock.advance(20_000); await c.untilClosed() }

/** Bob gets two entries and acknowledges none, `n` times; gives what the connection after the last is sent before an ack. */
async function afterLosses (n: number, end: End, filters = ['me/#'], keepalive = 0): Promise<Client> {
  const clock = new FakeClock()
  const p = await startParley({}, clock)
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 2)
  const bob = async (): Promise<Client> => {
    const c = await p.client({ user: 'bob', acks: false, keepalive })
    if (!c.connack.sessionPresent) for (const f of filters) await c.subscribe(f)
    await c.until(() => c.on('me/msg').length + c.on('me/gap').length > 0)
    await c.settled()
    return c
  }
  for (let i = 0; i < n; i++) await end(await bob(), p, clock)
  return await bob()
}

test.each([['DISCONNECT', disconnects], ['a closed socket', closes]])('%s counts a loss: from the second on the oldest entry is sent alone, after the fifth it is a gap', async (_name, end) => {
  expect(seqs(await afterLosses(1, end))).toEqual([1, 2])
  const alone = await afterLosses(2, end)
  expect(seqs(alone)).toEqual([1])
  ack(alone, alone.on('me/msg')[0]!.id)
  await alone.got('me/msg', 2)
  expect(seqs(await afterLosses(4, end))).toEqual([1])
  const gap = await afterLosses(5, end)
  expect(seqs(gap)).toEqual([])
  expect(gap.on('me/gap').map(d => d.json)).toEqual([{ conv: 'u/alice', from: 1, to: 1, head: 2 }])
  ack(gap, gap.on('me/gap')[0]!.id)
  await gap.got('me/msg', 1)
  expect(seqs(gap)).toEqual([2])
})

test.each([['a takeover', isTakenOver, 0], ['the keepalive', keepsSilent, 10]])('%s counts none', async (_name, end, keepalive) => {
  expect(seqs(await afterLosses(6, end, undefined, keepalive))).toEqual([1, 2])
})

test('a device that does not hold gap goes on past it', async () => {
  const bob = await afterLosses(5, disconnects, ['me/msg', 'me/ack'])
  expect(bob.on('me/gap')).toEqual([])
  expect(seqs(bob)).toEqual([2])
})

test('duplicates are of the connection before, never of this one: everything once per connection', async () => {
  const p = await startParley({ limits: { inFlight: 8 } })
  const alice = await p.client({ user: 'alice' })
  const first = await bobOf(p)
  await fill(alice, 'u/bob/msg', 20)
  await first.got('me/msg', 6)
  first.destroy()
  const bob = await bobOf(p)
  bob.acks = true
  await bob.settled()
  ack(bob, ...bob.on('me/msg').map(d => d.id))
  await bob.until(() => seqs(bob).includes(20))
  expect(seqs(bob)).toEqual(range(1, 20))
})
