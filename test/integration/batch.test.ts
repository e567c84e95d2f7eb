import { inflateRawSync } from 'node:zlib'
import type { Client } from '../support/client.js'
import { ack, fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

interface Item { conv: string, seq: number, body: unknown }
const inflated = (c: Client): Buffer[] => c.on('me/batch').map(d => inflateRawSync(d.packet.payload as Buffer))
const batches = (c: Client): Item[][] => inflated(c).map(b => JSON.parse(b.toString()) as Item[])
const inBatches = (c: Client): number[] => batches(c).flat().map(e => e.seq)

test('catch-up comes on me/batch to who subscribes it by name, live entries on me/msg; one PUBACK acknowledges a batch', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 60)
  const bob = await p.client({ user: 'bob', acks: false })
  await bob.subscribe('me/#')
  await bob.settled()
  expect(bob.on('me/batch')).toEqual([]) // me/# does not hold it
  await bob.end()
  const two = await p.client({ user: 'bob', device: 'two', acks: false })
  await two.subscribe('me/batch')
  await two.subscribe('me/#')
  await two.until(() => inBatches(two).length === 60)
  expect(inBatches(two)).toEqual(range(1, 60))
  expect(two.on('me/batch')[0]!.qos).toBe(1)
  expect(batches(two)[0]![0]).toEqual({ conv: 'u/alice', seq: 1, ts: expect.any(Number) as number, body: 1 })
  ack(two, ...two.on('me/batch').map(d => d.id))
  await alice.say('u/bob/msg', { body: 'live' })
  await two.got('me/msg', 1)
  expect(seqs(two)).toEqual([61])
  ack(two, two.on('me/msg')[0]!.id)
  await two.settled()
  await p.restart()
  const again = await p.client({ user: 'bob', device: 'two' })
  await again.settled()
  expect(again.on('me')).toEqual([])
})

test('a batch holds at most 64 KiB of JSON; a larger entry stands alone', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 12, i => 'x'.repeat(i === 6 ? 65_500 : 15_000))
  const bob = await p.client({ user: 'bob', subscribe: ['me/batch'] })
  await bob.until(() => inBatches(bob).length === 12)
  expect(inBatches(bob)).toEqual(range(1, 12))
  for (const [i, bytes] of inflated(bob).entries()) if (batches(bob)[i]!.length > 1) expect(bytes.length).toBeLessThanOrEqual(65_536)
  expect(batches(bob).find(b => b.some(e => e.seq === 6))).toHaveLength(1)
})

test('a batch fits the Maximum Packet Size; an entry that never does is a gap', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const noise = (n: number): string => Array.from({ length: n }, () => String.fromCharCode(33 + Math.floor(Math.random() * 90))).join('')
  await fill(alice, 'u/bob/msg', 10, i => noise(i === 5 ? 3000 : 300))
  const bob = await p.client({ user: 'bob', version: 5, properties: { maximumPacketSize: 1000, sessionExpiryInterval: 100 } })
  await bob.subscribe('me/gap')
  await bob.subscribe('me/batch')
  await bob.until(() => inBatches(bob).length === 9)
  expect(inBatches(bob)).toEqual(range(1, 10).filter(i => i !== 5))
  expect(bob.on('me/gap').map(d => d.json)).toEqual([{ conv: 'u/alice', from: 5, to: 5, head: 10 }])
  for (const h of bob.heard) if (h.cmd === 'publish') expect(h.length! + 3).toBeLessThanOrEqual(1000)
})

test('the device\'s own entries are covered and not in it', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', subscribe: ['me/batch'] })
  await bob.unsubscribe('me/batch')
  for (let i = 0; i < 3; i++) {
    await fill(bob, 'u/alice/msg', 2)
    await fill(alice, 'u/bob/msg', 1)
  }
  await fill(bob, 'u/alice/msg', 2)
  await bob.subscribe('me/batch')
  await bob.until(() => inBatches(bob).length === 3)
  expect(inBatches(bob)).toEqual([3, 6, 9])
  await bob.settled()
  await bob.end()
  const again = await p.client({ user: 'bob' })
  await again.settled()
  expect(again.on('me')).toEqual([])
  expect(batches(bob).every(b => b.length > 0)).toBe(true)
})

test('an unacknowledged batch goes again with its packet id and DUP', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 20)
  const bob = await p.client({ user: 'bob', acks: false, subscribe: ['me/batch'] })
  const [first] = await bob.got('me/batch', 1)
  await bob.end()
  await fill(alice, 'u/bob/msg', 5)
  const again = await p.client({ user: 'bob' })
  await again.until(() => inBatches(again).length === 25)
  const [resent] = again.on('me/batch')
  expect([resent!.id, resent!.dup, resent!.packet.payload]).toEqual([first!.id, true, first!.packet.payload])
  expect(inBatches(again)).toEqual(range(1, 25))
})

test('me/batch alone gets everything, live entries too', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', subscribe: ['me/batch'] })
  for (let i = 0; i < 5; i++) await alice.say('u/bob/msg', { body: i })
  await bob.until(() => inBatches(bob).length === 5)
  expect(inBatches(bob)).toEqual(range(1, 5))
  expect(bob.on('me/msg')).toEqual([])
})
