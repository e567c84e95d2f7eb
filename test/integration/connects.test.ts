import type { ClientOptions } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { fill, range, seqs } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

afterEach(closeAll)

const resumed = (c: { connack: { sessionPresent: boolean } }): boolean => c.connack.sessionPresent

/** Bob's phone gets 1 and 2, is away for 3 and 4, comes back as `how`; then 5 is sent. */
async function story (p: Parley, before: ClientOptions, how: ClientOptions) {
  const alice = await p.client({ user: 'alice' })
  const first = await p.client({ ...before, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 2)
  await first.got('me/msg', 2)
  await first.end()
  await fill(alice, 'u/bob/msg', 2)
  const bob = await p.client(how)
  const present = resumed(bob)
  if (!present) await bob.subscribe('me/#')
  await bob.settled()
  await alice.say('u/bob/msg', { body: 5 })
  await bob.until(() => seqs(bob).includes(5))
  return { bob, present, alice }
}

const persistent5 = { user: 'bob', version: 5 as const }
const forgetful5 = { user: 'bob', version: 5 as const, properties: { sessionExpiryInterval: 0 } }

test.each([3, 4] as const)('3.1 and 3.1.1 clean session 0: subscriptions are kept, all after the cursors comes (level %i)', async version => {
  const p = await startParley()
  const { bob, present } = await story(p, { user: 'bob', version }, { user: 'bob', version })
  expect(present || version === 3).toBe(true)
  expect(seqs(bob)).toEqual([3, 4, 5])
})

test('5.0 Clean Start 0 with an expiry: the same', async () => {
  const { bob, present } = await story(await startParley(), persistent5, persistent5)
  expect(present).toBe(true)
  expect(seqs(bob)).toEqual([3, 4, 5])
})

test('5.0 Clean Start 0 without an expiry: subscriptions are forgotten, all after the cursors comes once it subscribes', async () => {
  const { bob, present } = await story(await startParley(), forgetful5, forgetful5)
  expect(present).toBe(false)
  expect(seqs(bob)).toEqual([3, 4, 5])
})

test.each([
  ['3.1.1 clean session 1', { user: 'bob', clean: true }],
  ['5.0 Clean Start 1, expiry 0', { ...persistent5, clean: true }],
  ['5.0 Clean Start 1, expiry > 0', { ...persistent5, clean: true, properties: { sessionExpiryInterval: 600 } }]
])('%s of a device that is known: only what is new; the next persistent one has no hole', async (_name, clean) => {
  const p = await startParley()
  const { bob, present, alice } = await story(p, persistent5, clean as ClientOptions)
  expect(present).toBe(false)
  expect(seqs(bob)).toEqual([5])
  await bob.end()
  await alice.say('u/bob/msg', { body: 6 })
  const next = await p.client(persistent5)
  if (!resumed(next)) await next.subscribe('me/#')
  await next.until(() => seqs(next).includes(6))
  await next.settled()
  expect(seqs(next)).toEqual(range(3, 6))
})

test('what a clean connection left unacknowledged goes again with its packet ids, and what lay before it too', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const first = await p.client({ ...persistent5, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 2)
  await first.got('me/msg', 2)
  await first.end()
  await fill(alice, 'u/bob/msg', 2)
  const clean = await p.client({ ...persistent5, clean: true, acks: false, properties: { sessionExpiryInterval: 600 }, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 2)
  const [five, six] = await clean.got('me/msg', 2)
  await clean.end()
  await alice.say('u/bob/msg', { body: 7 })
  const next = await p.client(persistent5)
  await next.until(() => seqs(next).includes(7))
  await next.settled()
  expect(next.on('me/msg').filter(d => d.dup).map(d => [d.json.seq, d.id])).toEqual([[5, five!.id], [6, six!.id]])
  expect(next.on('me/msg').filter(d => !d.dup).map(d => d.json.seq)).toEqual([3, 4, 7])
  await next.end()
  const last = await p.client(persistent5)
  await last.settled()
  expect(seqs(last)).toEqual([])
})

test('a clean start forgets the window: its packet ids are of a session that is over', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const first = await p.client({ ...persistent5, acks: false, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 2)
  await first.got('me/msg', 2)
  await first.end()
  await (await p.client({ ...persistent5, clean: true })).end()
  const next = await p.client({ ...persistent5, subscribe: ['me/#'] })
  await next.got('me/msg', 2)
  expect(next.on('me/msg').map(d => [d.json.seq, d.dup])).toEqual([[1, false], [2, false]])
})

test('a connection whose session ends with it makes no device until device.set', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const clean = { user: 'bob', device: 'web', clean: true }
  await (await p.client(clean)).end()
  await fill(alice, 'u/bob/msg', 2)
  // it stands where a new device does, not where the clean connection was
  const other = await p.client({ user: 'bob', device: 'web' })
  expect(resumed(other)).toBe(false)
  await other.subscribe('me/#')
  await other.got('me/msg', 2)
  await other.end()
  await p.client({ user: 'bob', device: 'web' }) // is let in when the cursors of the connection before are stored

  const tab = await p.client({ user: 'bob', device: 'tab', clean: true, subscribe: ['me/#'] })
  expect((await tab.rpc('device.set', {})).result).toEqual({})
  await alice.say('u/bob/msg', { body: 3 })
  await tab.got('me/msg', 1)
  await tab.end()
  await alice.say('u/bob/msg', { body: 4 })
  const back = await p.client({ user: 'bob', device: 'tab', subscribe: ['me/#'] })
  await back.until(() => seqs(back).includes(4))
  expect(seqs(back)).toEqual([4])
})

test('a device made by device.set stands where new devices do: what the clean connection was not given comes with the next', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 2)
  const tab = await p.client({ user: 'bob', device: 'tab', clean: true, subscribe: ['me/#'] })
  await tab.rpc('device.set', {})
  await fill(alice, 'u/bob/msg', 2)
  await tab.got('me/msg', 2)
  expect(seqs(tab)).toEqual([3, 4])
  await tab.end()
  const back = await p.client({ user: 'bob', device: 'tab', subscribe: ['me/#'] })
  await back.got('me/msg', 4)
  expect(seqs(back)).toEqual(range(1, 4))
})

test('a device that comes back at once gets nothing twice: what it acknowledged before DISCONNECT is stored first', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  let bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  for (const i of range(1, 30)) {
    await alice.say('u/bob/msg', { body: i })
    expect((await bob.got('me/msg', 1)).map(d => d.json.seq)).toEqual([i])
    bob.send({ cmd: 'disconnect' })
    bob = await p.client({ user: 'bob' })
    expect(bob.connack.sessionPresent).toBe(true)
  }
  await alice.say('u/bob/msg', { body: 31 })
  await bob.got('me/msg', 1)
  expect(seqs(bob)).toEqual([31])
})

test('a session with no subscription is present all the same, and one past its expiry is not', async () => {
  const clock = new FakeClock()
  const p = await startParley({}, clock)
  await (await p.client(persistent5)).end()
  const again = await p.client({ ...persistent5, subscribe: ['me/#'] })
  expect(resumed(again)).toBe(true)
  await again.end()
  clock.advance(3_601_000)
  expect(resumed(await p.client(persistent5))).toBe(false)
})

test('subscriptions and cursors outlive a restart of the node', async () => {
  const p = await startParley()
  let alice = await p.client({ user: 'alice' })
  const first = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 3)
  await first.got('me/msg', 3)
  await first.settled()
  await p.restart()
  alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 2)
  const bob = await p.client({ user: 'bob' })
  expect(resumed(bob)).toBe(true)
  await bob.got('me/msg', 2)
  await bob.settled()
  expect(seqs(bob)).toEqual([4, 5])
})
