import type { Client } from '../support/client.js'
import { ack, fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

test.each([[32, 24], [8, 6], [5, 4], [3, 2], [2, 1], [1, 1]])('of a window of %i entries take %i', async (inFlight, most) => {
  const p = await startParley({ limits: { inFlight } })
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', acks: false, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 40)
  await bob.settled()
  expect(seqs(bob)).toEqual(range(1, most))
  for (let i = 1; i <= 40; i++) ack(bob, (await bob.got('me/msg', i))[i - 1]!.id)
  await bob.settled()
  expect(seqs(bob)).toEqual(range(1, 40))
})

test('the client\'s Receive Maximum counts when it is smaller; the last quarter stays for answers', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', version: 5, acks: false, properties: { receiveMaximum: 4, sessionExpiryInterval: 100 }, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 10)
  await bob.rpc('server.info')
  for (let i = 0; i < 3; i++) bob.publish('rpc/server.info', { id: `w${i}` })
  await bob.settled()
  expect(seqs(bob)).toEqual([1, 2, 3])
  expect(bob.on('me/rpc')).toHaveLength(1)
  ack(bob, bob.on('me/rpc')[0]!.id)
  await bob.got('me/rpc', 2)
  await bob.settled()
  expect(bob.on('me/rpc')).toHaveLength(2)
  expect(seqs(bob)).toEqual([1, 2, 3])
})

test('with Receive Maximum 1 entries have the window, and answers go at QoS 0', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', version: 5, acks: false, properties: { receiveMaximum: 1, sessionExpiryInterval: 100 }, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 3)
  await bob.got('me/msg', 1)
  expect((await bob.rpc('server.info')).result).toBeDefined()
  expect(bob.on('me/rpc')[0]!.qos).toBe(0)
  expect(seqs(bob)).toEqual([1])
  ack(bob, bob.on('me/msg')[0]!.id)
  await bob.got('me/msg', 2)
  expect(seqs(bob)).toEqual([1, 2])
})

test('answers in flight count too: there are never more packets in flight than the Receive Maximum', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', version: 5, acks: false, properties: { receiveMaximum: 3, sessionExpiryInterval: 100 }, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 5)
  for (let i = 0; i < 3; i++) await bob.say('rpc/server.info', { id: `q${i}` })
  ack(bob, ...(await bob.got('me/msg', 2)).map(d => d.id))
  await bob.got('me/rpc', 3) // each took the place of an entry
  await bob.settled()
  expect(seqs(bob)).toEqual([1, 2])
  ack(bob, bob.on('me/rpc')[0]!.id)
  await bob.got('me/msg', 3)
  await bob.settled()
  expect(seqs(bob)).toEqual([1, 2, 3])
})

/** A device whose window is full: of four, three entries and one answer. */
async function full (p: Awaited<ReturnType<typeof startParley>>): Promise<{ alice: Client, bob: Client }> {
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', acks: false, subscribe: ['me/#'] })
  await fill(bob, 'u/alice/msg', 3)
  await fill(alice, 'u/bob/msg', 3)
  await bob.got('me/msg', 3)
  await bob.rpc('server.info')
  return { alice, bob }
}

const open = (c: Client): void => { c.acks = true; ack(c, ...c.heard.flatMap(h => h.cmd === 'publish' && h.qos === 1 ? [h.messageId!] : [])) }

test('while the window is full eight answers wait; a further request is answered rate-limited at QoS 0', async () => {
  const p = await startParley({ limits: { inFlight: 4 } })
  const { bob } = await full(p)
  for (let i = 1; i <= 12; i++) await bob.say('rpc/server.info', { id: `q${i}` })
  await bob.settled()
  const now = bob.on('me/rpc').slice(1)
  expect(now.map(d => [d.json.id, d.qos, (d.json.error as { code: string }).code])).toEqual(range(9, 12).map(i => [`q${i}`, 0, 'rate-limited']))
  open(bob)
  await bob.got('me/rpc', 13)
  expect(bob.on('me/rpc').slice(5).map(d => d.json.id)).toEqual(range(1, 8).map(i => `q${i}`))
})

test('with room in the window, requests that come at once are all answered', async () => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  for (const i of range(1, 30)) bob.publish('rpc/inbox', { id: `q${i}` })
  await bob.got('me/rpc', 30)
  expect(bob.on('me/rpc').filter(d => d.json.result === undefined).map(d => d.json)).toEqual([])
})

test('while the window is full marks are merged per conversation and come when it opens', async () => {
  const p = await startParley({ limits: { inFlight: 4 } })
  const { alice, bob } = await full(p)
  const watch = await p.client({ user: 'bob', device: 'watch', subscribe: ['me/rcpt'] })
  for (const read of [1, 2, 3]) {
    await alice.say('u/bob/rcpt', { read })
    await watch.until(() => watch.on('me/rcpt').some(d => d.json.read === read))
  }
  await bob.settled()
  expect(bob.on('me/rcpt')).toEqual([])
  open(bob)
  await bob.until(() => bob.on('me/rcpt').some(d => d.json.read === 3))
  expect(bob.on('me/rcpt').filter(d => d.json.read !== undefined)).toHaveLength(1)
})

test.each([[100, false], [101, true], [150, true]])('while the window is full %i events wait; past a hundred there is one resync', async (n, resync) => {
  const p = await startParley({ limits: { inFlight: 4 } })
  const { alice, bob } = await full(p)
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  for (let i = 1; i < n; i++) await alice.rpc('group.update', { group: 'team', title: `t${i}` })
  await bob.settled()
  expect(bob.on('me/evt')).toEqual([])
  open(bob)
  if (resync) {
    await bob.got('me/evt', 1)
    await bob.settled()
    expect(bob.on('me/evt').map(d => d.json)).toEqual([{ type: 'resync' }])
    await alice.rpc('group.update', { group: 'team', title: 'last' })
    await bob.got('me/evt', 2)
  } else {
    await bob.got('me/evt', 100)
    expect(bob.on('me/evt').map(d => d.json.type)).toEqual(['conv-added', ...range(2, 100).map(() => 'conv-changed')])
  }
})

test('a PUBACK for an id that is not in flight is ignored', async () => {
  const p = await startParley({ limits: { inFlight: 2 } })
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', acks: false, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 3)
  const [one] = await bob.got('me/msg', 1)
  ack(bob, ...range(1, 300).filter(i => i !== one!.id), 65_535)
  await bob.settled()
  expect(seqs(bob)).toEqual([1])
  ack(bob, one!.id, one!.id, one!.id)
  await bob.got('me/msg', 2)
  await bob.settled()
  expect(seqs(bob)).toEqual([1, 2])
})

test('a device that never acknowledges entries still gets acks, answers and signals', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', acks: false, subscribe: ['me/#'] })
  await fill(alice, 'u/bob/msg', 40)
  await bob.got('me/msg', 24)
  await bob.say('u/alice/msg', { cid: 'c', body: 1 })
  expect((await bob.got('me/ack', 1))[0]!.json).toMatchObject({ cid: 'c', seq: 41 })
  expect((await bob.rpc('inbox')).result).toBeDefined()
  alice.publish('u/bob/sig', { typing: true }, { qos: 0 })
  expect((await bob.got('me/sig', 1))[0]!.json).toEqual({ conv: 'u/alice', typing: true })
})
