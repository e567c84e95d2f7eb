import mqtt from 'mqtt-packet'
import { connectPacket, Client } from '../support/client.js'
import { Bystanders } from '../support/bystanders.js'
import { Door } from '../support/door.js'
import { FakeClock } from '../support/fake-clock.js'
import { range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let door: Door
beforeEach(() => { door = new Door() })
afterEach(async () => { await closeAll(); door.remove() })

const bytes = (version: 3 | 4 | 5, user = 'alice'): Buffer => mqtt.generate(connectPacket({ user, version }), { protocolVersion: version })
async function connections (p: Parley): Promise<number> {
  return Number(/^parley_connections (\d+)$/m.exec(await (await p.http('/metrics')).text())![1])
}

test('ten seconds without CONNECT, or with half a one, end a connection; nine do not', async () => {
  const clock = new FakeClock()
  const p = await startParley({}, clock)
  const by = await Bystanders.join(p)
  const silent = await Client.open(p.port('mqtt'))
  const half = await Client.open(p.port('mqtt'))
  half.raw(bytes(4).subarray(0, 20))
  const drip = await Client.open(p.port('mqtt'))
  const slow = await Client.open(p.port('mqtt'))
  slow.raw(bytes(4).subarray(0, 20))
  await by.unharmed()
  for (let s = 0; s < 9; s++) { drip.raw(bytes(4).subarray(s, s + 1)); clock.advance(1000); await by.unharmed() }
  expect([silent, half, drip, slow].map(c => c.closed)).toEqual([false, false, false, false])
  slow.raw(bytes(4).subarray(20))
  await slow.until(() => slow.heard.length > 0, 'CONNACK')
  clock.advance(1000)
  for (const c of [silent, half, drip]) { await c.untilClosed(); expect(c.heard).toEqual([]) }
  await slow.settled()
  await by.unharmed()
  expect(await connections(p)).toBe(3)
})

test.each([3, 4, 5] as const)('CONNECT, SUBSCRIBE and PUBLISH in one flight, version byte %i', async version => {
  const p = await startParley()
  const c = await Client.open(p.port('mqtt'), version)
  c.raw(Buffer.concat([bytes(version), ...[
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'me/#', qos: 1 }] },
    { cmd: 'publish', topic: 'u/bob/msg', payload: '{"cid":"c","body":1}', qos: 1, messageId: 2 },
    { cmd: 'publish', topic: 'u/alice/msg', payload: 'to myself', qos: 1, messageId: 3 },
    { cmd: 'pingreq' }
  ].map(packet => mqtt.generate(packet as mqtt.Packet, { protocolVersion: version }))]))
  await c.answer('puback', 3)
  expect(c.heard[0]!.cmd).toBe('connack')
  expect((await c.got('me/ack', 2)).map(d => [d.json.cid ?? d.json.conv, d.json.seq])).toEqual([['c', 1], ['u/alice', 1]])
  expect(c.heard.map(h => h.cmd)).toContain('suback')
})

/** CONNECT, and `n` messages behind it. */
function flight (user: string, n: number): Buffer {
  const messages = range(1, n).map(messageId => mqtt.generate({ cmd: 'publish', topic: `u/${user}/msg`, payload: 'hello', qos: 1, messageId, dup: false, retain: false }))
  return Buffer.concat([bytes(4, user), ...messages])
}

test('what follows CONNECT is held while authentication runs, and done after it', async () => {
  const p = await startParley(door.settings)
  let letIn = (): void => {}
  const asked = new Promise<void>(resolve => { door.answer = c => new Promise(answer => { letIn = () => { answer(door.accept(c)) }; resolve() }) })
  const c = await Client.open(p.port('mqtt'))
  c.raw(flight('alice', 60))
  await asked
  expect(c.heard).toEqual([])
  letIn()
  await c.answer('puback', 60)
  expect(c.heard.map(h => h.cmd === 'puback' ? h.messageId : h.cmd)).toEqual(['connack', ...range(1, 60)])
})

test('what follows CONNECT is dropped when authentication fails', async () => {
  const p = await startParley(door.settings)
  let turnAway = (): void => {}
  const asked = new Promise<void>(resolve => { door.answer = () => new Promise(answer => { turnAway = () => { answer({ kind: 'refused', reason: 'credential', why: 'no' }) }; resolve() }) })
  const c = await Client.open(p.port('mqtt'))
  c.raw(flight('alice', 60))
  await asked
  turnAway()
  await c.untilClosed()
  expect(c.heard).toMatchObject([{ cmd: 'connack', returnCode: 4 }])
  door.answer = c => door.accept(c)
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  expect((await alice.rpc('inbox')).result).toMatchObject({ conversations: [] })
})

test('of what follows CONNECT the broker keeps a bounded part: the rest waits in the sender', async () => {
  const p = await startParley(door.settings)
  const by = await Bystanders.join(p)
  let letIn = (): void => {}
  const asked = new Promise<void>(resolve => { door.answer = c => new Promise(answer => { letIn = () => { answer(door.accept(c)) }; resolve() }) })
  const c = await Client.open(p.port('mqtt'))
  c.raw(bytes(4))
  await asked
  const payload = 'x'.repeat(300_000)
  for (const messageId of range(1, 100)) c.send({ cmd: 'publish', topic: 'ordinary', payload, qos: 1, messageId, dup: false, retain: false })
  // the kernel's buffers hold a few MB, the broker 1 MiB: of 30 MB most stands here
  expect(await by.stalled(c.socket)).toBeGreaterThan(15e6)
  letIn()
  await c.answer('puback', 100)
  expect(c.heard.slice(1).map(h => h.messageId)).toEqual(range(1, 100))
})

test('over limits.connectionsPerUser the longest silent connection of the user is closed, and nobody else’s', async () => {
  const clock = new FakeClock()
  const p = await startParley({ limits: { connectionsPerUser: 3 } }, clock)
  const by = await Bystanders.join(p)
  const open = async (device: string) => { clock.advance(10); return await p.client({ user: 'alice', device, version: 5 }) }
  const [a, b, c] = [await open('a'), await open('b'), await open('c')]
  clock.advance(10)
  await a.settled() // b is now the longest silent one
  const d = await open('d')
  await b.untilClosed()
  expect(b.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x97 })
  for (const still of [a, c, d]) await still.settled()
  await by.unharmed()
})
