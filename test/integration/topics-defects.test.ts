/** What went wrong in other brokers, and in the packages that ours could have been made of; each once over a real socket. */
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import type { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)
const ALL = { acl: [{ allow: ['publish', 'subscribe'], topic: '#' }] }
const together = (...packets: Packet[]): Buffer => Buffer.concat(packets.map(p => mqtt.generate(p)))
const publish = (topic: string, payload: string, more: Partial<IPublishPacket> = {}): Packet => ({ cmd: 'publish', topic, payload, qos: 1, dup: false, retain: false, messageId: 1, ...more }) as Packet
const all = (c: Client): string[] => (c.heard.filter(h => h.cmd === 'publish') as IPublishPacket[]).map(p => String(p.payload))

test('topics called like members of every object, or with characters of other languages of patterns', async () => {
  const p = await startParley(ALL)
  const by = await Bystanders.join(p)
  const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf', '1', '0', 'r/[a]/+', 'r/b\\c/+', 'room/*', 'a?']
  for (const clean of [true, false]) {
    const c = await p.client({ user: 'c', device: `${clean}`, clean })
    c.send({ cmd: 'subscribe', messageId: 7, subscriptions: names.map(topic => ({ topic, qos: 1 as const })) })
    expect(await c.answer('suback', 7)).toMatchObject({ granted: names.map(() => 1) })
    for (const name of names) await c.say(name.replace('+', 'x'), name)
    for (const name of names) expect((await c.got(name.replace('+', 'x'), 1)).map(d => [String(d.packet.payload), d.qos])).toEqual([[name, 1]])
    c.send({ cmd: 'unsubscribe', messageId: 8, unsubscriptions: names })
    await c.answer('unsuback', 8)
    await c.say('constructor', 'nobody')
    await c.settled()
    expect(all(c)).toHaveLength(names.length)
  }
  await by.unharmed()
})

test('QoS 1 and QoS 0, retained and plain, in one segment: both arrive', async () => {
  const p = await startParley(ALL)
  const pub = await p.client({ user: 'pub', clean: true })
  const c = await p.client({ user: 'c', clean: true, subscribe: ['#'] })
  for (let i = 0; i < 50; i++) {
    pub.raw(together(publish('a', `${i}a`), publish('a', `${i}b`, { qos: 0 }), publish('b', `${i}c`, { qos: 0, retain: true }), publish('b', `${i}d`, { qos: 0 })))
    await c.until(() => all(c).length === 4 * (i + 1))
  }
  for (const topic of ['a', 'b']) for (const qos of [0, 1]) { // in order, for each topic and QoS [MQTT-4.6.0-6]
    const of = c.on(topic).filter(d => d.qos === qos).map(d => String(d.packet.payload))
    expect(of).toEqual([...of].sort((x, y) => Number.parseInt(x) - Number.parseInt(y) || (x < y ? -1 : 1)))
  }
})

test('a publish and DISCONNECT in one segment: it is published', async () => {
  const p = await startParley(ALL)
  const c = await p.client({ user: 'c', clean: true, subscribe: ['a'] })
  for (const qos of [0, 1] as const) {
    const pub = await p.client({ user: 'pub', clean: true })
    pub.raw(together(publish('a', `${qos}`, { qos, messageId: qos === 0 ? undefined : 1, retain: true }), { cmd: 'disconnect' } as Packet))
    await c.until(() => all(c).includes(`${qos}`))
  }
})

test('a session that goes on without asking for an expiry keeps its queue for this connection', async () => {
  const p = await startParley(ALL)
  await (await p.client({ user: 'me', version: 5, properties: { sessionExpiryInterval: 1000 }, subscribe: ['q'] })).end()
  const pub = await p.client({ user: 'pub', clean: true })
  for (const i of range(1, 3)) await pub.say('q', `${i}`)
  const c = await p.client({ user: 'me', version: 5, properties: { sessionExpiryInterval: undefined } })
  expect(c.connack.sessionPresent).toBe(true)
  await c.got('q', 3)
  await c.end()
  expect((await p.client({ user: 'me', version: 5 })).connack.sessionPresent).toBe(false)
})

test('what is queued before and after a restart comes in that order', async () => {
  const p = await startParley(ALL)
  await (await p.client({ user: 'me', subscribe: ['q'] })).end()
  for (const from of [1, 31]) {
    const pub = await p.client({ user: 'pub', clean: true })
    for (const i of range(from, from + 29)) await pub.say('q', `${i}`)
    await p.restart()
  }
  const c = await p.client({ user: 'me' })
  await c.got('q', 60)
  expect(all(c)).toEqual(range(1, 60).map(String))
})

test('each receiver has its own packet id, QoS and identifiers, and gets the message once', async () => {
  const p = await startParley(ALL)
  const a = await p.client({ user: 'a', version: 5, device: 'a' })
  a.send({ cmd: 'subscribe', messageId: 7, subscriptions: [{ topic: 'q', qos: 1 }], properties: { subscriptionIdentifier: 777 } })
  await a.answer('suback', 7)
  const b = await p.client({ user: 'b', version: 5, device: 'b' })
  await b.subscribe('q', 1)
  const away = await p.client({ user: 'c', version: 5, device: 'c' })
  await away.subscribe('q', 2)
  await away.end()
  const pub = await p.client({ user: 'pub', clean: true })
  await pub.answer('pubrec', pub.publish('q', 'x', { qos: 2, id: 10 }))
  await a.got('q', 1)
  await b.got('q', 1)
  const c = await p.client({ user: 'c', version: 5, device: 'c' })
  const [got] = await c.got('q', 1)
  expect([got!.qos, got!.packet.properties?.subscriptionIdentifier]).toEqual([2, undefined])
  expect((await a.got('q', 1)).map(d => [d.qos, d.packet.properties?.subscriptionIdentifier])).toEqual([[1, 777]])
  c.send({ cmd: 'pubrec', messageId: got!.id })
  await c.answer('pubrel', got!.id)
  c.send({ cmd: 'pubcomp', messageId: got!.id })
  await c.settled()
  expect(all(c)).toEqual(['x'])
})

test('filters that overlap: one copy, also from the queue; one of them may be given back', async () => {
  const p = await startParley(ALL)
  const me = { user: 'me' }
  const first = await p.client(me)
  await first.subscribe('a/#', 1)
  await first.subscribe('a/b', 0)
  await first.subscribe('a/+', 1)
  const pub = await p.client({ user: 'pub', clean: true })
  await pub.say('a/b', '1')
  await first.got('a', 1)
  await first.end()
  await pub.say('a/b', '2')
  const second = await p.client(me)
  await second.got('a', 1)
  await second.unsubscribe('a/#')
  await pub.say('a/b', '3')
  await second.got('a', 2)
  await second.unsubscribe('a/+')
  await pub.say('a/b', '4')
  await second.got('a', 3)
  await second.settled()
  expect([all(first), all(second), second.on('a').map(d => d.qos)]).toEqual([['1'], ['2', '3', '4'], [1, 1, 0]])
})

test('a session that comes back again and again while much is published gets all of it, and no error', async () => {
  const p = await startParley({ ...ALL, limits: { queuedMessages: 0 } })
  const me = { user: 'me' }
  await (await p.client({ ...me, subscribe: ['q'] })).end()
  const pub = await p.client({ user: 'pub', clean: true })
  const seen = new Set<string>()
  let sent = 0
  const more = async (): Promise<void> => { for (const id of range(1, 40).map(() => pub.publish('q', `${++sent}`)).slice(-1)) await pub.answer('puback', id) }
  for (let round = 0; round < 20; round++) {
    const publishing = more()
    const c = await p.client(me)
    await c.got('q', 1)
    await publishing
    c.socket.end() // without DISCONNECT
    await c.untilClosed()
    for (const s of all(c)) seen.add(s)
  }
  const c = await p.client(me)
  await c.until(() => { for (const s of all(c)) seen.add(s); return seen.size === sent })
  expect(p.lines.filter(l => l.level === 'error' || l.level === 'warn')).toEqual([])
})

test('retained at QoS 2 to a persistent session at QoS 2; what was retained and acknowledged does not come again', async () => {
  const p = await startParley(ALL)
  const pub = await p.client({ user: 'pub', clean: true })
  await pub.answer('pubrec', pub.publish('r', 'kept', { qos: 2, retain: true }))
  const c = await p.client({ user: 'me', version: 5 })
  await c.subscribe('r', 2)
  const [got] = await c.got('r', 1)
  expect([got!.qos, got!.packet.retain]).toEqual([2, true])
  c.send({ cmd: 'pubrec', messageId: got!.id })
  await c.answer('pubrel', got!.id)
  c.send({ cmd: 'pubcomp', messageId: got!.id })
  c.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'r1', qos: 1, rap: true }] })
  await c.answer('suback', 9)
  await pub.say('r1', 'live', { retain: true })
  await c.got('r1', 1)
  await c.settled()
  await c.end()
  const back = await p.client({ user: 'me', version: 5 })
  await back.settled()
  expect(all(back)).toEqual([])
})

test('who begins QoS 2 exchanges and ends none is stopped at Receive Maximum in MQTT 5', async () => {
  const p = await startParley(ALL)
  const c = await p.client({ user: 'c', version: 5, clean: true })
  for (const id of range(1, 101)) c.publish('a', 'x', { qos: 2, id })
  await c.untilClosed()
  expect(c.heard.filter(h => h.cmd === 'pubrec')).toHaveLength(100)
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x93 })
})

test.each<[string, number, number[]]>([['Session Expiry Interval', 0x81, [0x11, 0, 0, 0, 1]], ['Will Delay Interval', 0x81, [0x18, 0, 0, 0, 1]], ['Subscription Identifier', 0x82, [0x0b, 1]], ['Content Type twice', 0x82, [3, 0, 1, 97, 3, 0, 1, 97]]])('a PUBLISH with %s ends its connection, and reaches nobody', async (_name, reasonCode, properties) => {
  const p = await startParley(ALL)
  const watcher = await p.client({ user: 'w', version: 5, clean: true, subscribe: ['#'] })
  const c = await p.client({ user: 'c', version: 5, clean: true })
  c.raw(Buffer.from([0x31, 3 + 1 + properties.length, 0, 1, 97, properties.length, ...properties]))
  await c.untilClosed()
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode })
  await watcher.settled()
  expect(all(watcher)).toEqual([])
})
