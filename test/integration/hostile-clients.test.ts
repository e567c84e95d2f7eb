import type { Socket } from 'node:net'
import mqtt, { type Packet } from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import { FakeClock } from '../support/fake-clock.js'
import { fill, range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let p: Parley
let by: Bystanders
beforeEach(async () => { p = await startParley(); by = await Bystanders.join(p) })
afterEach(async () => { await by.unharmed(); await closeAll() })

/** Far more than the kernel's buffers of both ends hold. */
const MANY_BYTES = 30e6
/** More than the kernel takes from a sender whose receiver does not read: what stands beyond it stands in the sender. */
const KERNEL_BYTES = 15e6

const many = (n: number, packet: (i: number) => object): Buffer => Buffer.concat(range(1, n).map(i => mqtt.generate(packet(i) as Packet)))

test.each<[string, Buffer]>([
  ['PINGREQ', many(1000, () => ({ cmd: 'pingreq' }))],
  ['SUBSCRIBE', many(1000, i => ({ cmd: 'subscribe', messageId: i, subscriptions: [{ topic: i % 2 === 0 ? 'me/#' : 'u/bob/#', qos: i % 2 }] }))],
  ['PUBLISH that is refused', many(1000, i => ({ cmd: 'publish', topic: 'u/bob/ack', payload: 'x', qos: 1, messageId: i }))],
  ['rpc', many(1000, i => ({ cmd: 'publish', topic: 'rpc/server.info', payload: '{"id":"x"}', qos: 1, messageId: i }))]
])('who floods %s and does not read is not read either', async (_name, bytes) => {
  const c = await p.client({ user: 'mallory', subscribe: ['me/#'] })
  c.socket.pause()
  for (let sent = 0; sent < MANY_BYTES; sent += bytes.length) c.raw(bytes)
  expect(await by.stalled(c.socket)).toBeGreaterThan(MANY_BYTES - KERNEL_BYTES)
  expect(c.closed).toBe(false)
  await by.unharmed()
})

test('who floods and does read gets an answer to each, in order, and the others theirs', async () => {
  const c = await p.client({ user: 'mallory' })
  const n = 20_000
  c.raw(many(n, i => ({ cmd: 'publish', topic: 'ordinary', payload: 'x', qos: 1, messageId: i })))
  await by.unharmed()
  await c.answer('puback', n)
  expect(c.heard.filter(h => h.cmd === 'puback').map(h => h.messageId)).toEqual(range(1, n))
})

test('a client that never reads is sent its window and no more, and gets the rest when it reads', async () => {
  const frozen = await p.client({ user: 'bob', subscribe: ['me/msg'] })
  const zero = await p.client({ user: 'bob', device: 'zero' })
  await zero.subscribe('me/msg', 0)
  for (const c of [frozen, zero]) c.socket.pause()
  const alice = await p.client({ user: 'alice' })
  const well = await p.client({ user: 'bob', device: 'well', subscribe: ['me/msg'] })
  const n = 350
  const size = 60_000
  const ids = range(1, n).map(() => alice.publish('u/bob/msg', 'x'.repeat(size)))
  await alice.answer('puback', ids.at(-1)!)
  await well.got('me/msg', n)
  const sent = Number(/^parley_deliveries_total (\d+)$/m.exec(await (await p.http('/metrics')).text())![1])
  const window = 32 - 8
  // at QoS 0 the window moves on with what the kernel takes
  expect(sent - n).toBeLessThanOrEqual(window + window + KERNEL_BYTES / size)
  frozen.socket.resume()
  zero.socket.resume()
  await frozen.got('me/msg', n)
  await zero.got('me/msg', n)
})

test('who says that no more comes, and does not read, is cut off: what waits for it does not keep its socket', async () => {
  const clock = new FakeClock()
  const q = await startParley({}, clock)
  const frozen = await q.client({ user: 'bob' })
  await frozen.subscribe('me/msg', 0)
  frozen.socket.pause()
  const alice = await q.client({ user: 'alice' })
  const size = 60_000
  await fill(alice, 'u/bob/msg', 2 * KERNEL_BYTES / size, () => 'x'.repeat(size))
  const connections = async (): Promise<string | undefined> => /^parley_connections (\d+)$/m.exec(await (await q.http('/metrics')).text())?.[1]
  expect(await connections()).toBe('2')
  frozen.socket.end()
  while (await connections() !== '1') { clock.advance(500); await alice.settled() }
})

test('keep-alive ends who neither reads nor writes', async () => {
  const clock = new FakeClock()
  const q = await startParley({}, clock)
  const c = await q.client({ user: 'mallory', keepalive: 10, subscribe: ['me/#'] })
  c.socket.pause()
  const alice = await q.client({ user: 'alice' })
  for (const i of range(1, 40)) await alice.say('u/mallory/msg', `${i}`)
  clock.advance(16_000)
  c.socket.resume()
  await c.untilClosed()
})

test('sockets that come and go, in every phase, leave nothing behind', async () => {
  const gauge = async (name: string): Promise<number> => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await (await p.http('/metrics')).text())![1])
  const before = await gauge('parley_connections')
  for (const round of range(1, 30)) {
    const c = await p.client({ user: `u${round}`, subscribe: ['me/#'] })
    c.publish('u/bob/msg', 'x')
    c.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'me/msg', qos: 0 }] })
    if (round % 3 === 0) c.destroy()
    else if (round % 3 === 1) (c.socket as Socket).resetAndDestroy()
    else await c.end()
  }
  while (await gauge('parley_connections') > before) await by.turn()
  expect([await gauge('parley_connections'), await gauge('parley_sessions'), await gauge('parley_in_flight')]).toEqual([before, 2, 0])
})
