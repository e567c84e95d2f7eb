import fc from 'fast-check'
import mqtt, { type Packet } from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import { field, packet, short } from '../support/bytes.js'
import { Client, connectPacket } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let p: Parley
let by: Bystanders
beforeEach(async () => { p = await startParley(); by = await Bystanders.join(p) })
afterEach(async () => { await by.unharmed(); await closeAll() })

type Version = 3 | 4 | 5
const bytes = (version: Version, ...packets: object[]): Buffer => Buffer.concat(packets.map(packet => mqtt.generate(packet as Packet, { protocolVersion: version })))
const hello = (version: Version): object => connectPacket({ user: 'mallory', version })
const connect5 = (properties: Buffer, flags = 2, ...payload: (string | Buffer)[]): Buffer => packet(0x10, short(field('MQTT'), 5, flags, 0, 0, properties.length, properties, field('phone'), ...payload))

/** Writes and waits until the broker closes. */
async function ended (version: Version, ...chunks: Buffer[]): Promise<Client> {
  const c = await Client.open(p.port('mqtt'), version)
  for (const b of chunks) c.raw(b)
  await c.untilClosed()
  return c
}

test('a CONNECT with a property given twice, and a DISCONNECT behind it: refused before it can do harm', async () => {
  const int = (id: number): Buffer => Buffer.from([id, 0, 0, 0, 9])
  const twice: [string, Buffer][] = [
    ['Session Expiry Interval', int(0x11)], ['Maximum Packet Size', int(0x27)], ['Receive Maximum', Buffer.from([0x21, 0, 9])], ['Topic Alias Maximum', Buffer.from([0x22, 0, 9])],
    ['Request Problem Information', Buffer.from([0x17, 1])], ['Request Response Information', Buffer.from([0x19, 1])], ['Authentication Method', short(0x15, field('x'))], ['Authentication Data', short(0x16, field('x'))]
  ]
  for (const [name, property] of twice) {
    const c = await ended(5, connect5(Buffer.concat([property, property]), 0x82, field('mallory')), bytes(5, { cmd: 'disconnect', reasonCode: 0 }))
    expect([name, c.heard.map(h => h.cmd === 'connack' && h.reasonCode)]).toEqual([name, []])
  }
  const user = short(0x26, field('a'), field('b'))
  const fine = await Client.open(p.port('mqtt'), 5)
  fine.raw(connect5(Buffer.concat([user, user]), 0x82, field('mallory')))
  await fine.until(() => fine.heard.length > 0, 'CONNACK')
  expect(fine.connack.reasonCode).toBe(0)
})

test.each<[string, Version, Buffer]>([
  ['another packet first', 4, bytes(4, { cmd: 'pingreq' })],
  ['a PUBLISH first', 4, bytes(4, { cmd: 'publish', topic: 'u/bob/msg', payload: 'x', qos: 1, messageId: 1 })],
  ['an AUTH first', 5, bytes(5, { cmd: 'auth', reasonCode: 0, properties: { authenticationMethod: 'x' } })],
  ['another protocol', 4, packet(0x10, short(field('MQTX'), 4, 2, 0, 0, field('x')))],
  ['a protocol name of 64 kB', 4, packet(0x10, short(field('M'.repeat(65_535)), 4, 2, 0, 0, field('x')))],
  ['the reserved flag', 4, packet(0x10, short(field('MQTT'), 4, 0x83, 0, 0, field('x'), field('mallory')))],
  ['a will of QoS 3', 4, packet(0x10, short(field('MQTT'), 4, 0x9e, 0, 0, field('x'), field('will'), field('m'), field('mallory')))],
  ['a NUL in the client id', 4, packet(0x10, short(field('MQTT'), 4, 0x82, 0, 0, field('a\0b'), field('mallory')))],
  ['a NUL in the user name', 4, packet(0x10, short(field('MQTT'), 4, 0x82, 0, 0, field('a'), field('mal\0lory')))],
  ['a client id that is no UTF-8', 4, packet(0x10, short(field('MQTT'), 4, 0x82, 0, 0, field(Buffer.from([0x61, 0xff])), field('mallory')))],
  ['a surrogate in the client id', 4, packet(0x10, short(field('MQTT'), 4, 0x82, 0, 0, field(Buffer.from([0xed, 0xa0, 0x80])), field('mallory')))],
  ['a will topic that is no UTF-8', 4, packet(0x10, short(field('MQTT'), 4, 0x86, 0, 0, field('a'), field(Buffer.from([0xc0])), field('m'), field('mallory')))],
  ['a user property that is no UTF-8', 5, connect5(short(0x26, field(Buffer.from([0xff])), field('b')), 0x82, field('mallory'))],
  ['an unknown property', 5, connect5(Buffer.from([0x7f, 1]), 0x82, field('mallory'))],
  ['properties cut off', 5, packet(0x10, short(field('MQTT'), 5, 2, 0, 0, 100, 0x11, 0))],
  ['a client id cut off', 4, packet(0x10, short(field('MQTT'), 4, 2, 0, 0, 0, 50, 'abc'))],
  ['no client id', 4, packet(0x10, short(field('MQTT'), 4, 2, 0, 0))],
  ['a CONNECT with something behind its end', 4, packet(0x10, short(field('MQTT'), 4, 0x82, 0, 0, field('a'), field('mallory'), 0))],
  ['a property of a PUBLISH', 5, connect5(Buffer.from([0x23, 0, 1]), 0x82, field('mallory'))],
  ['a property of a server', 5, connect5(short(0x12, field('x')), 0x82, field('mallory'))],
  ['a flag of 2', 5, connect5(Buffer.from([0x17, 2]), 0x82, field('mallory'))],
  ['a property of 0 given twice', 5, connect5(Buffer.from([0x11, 0, 0, 0, 0, 0x11, 0, 0, 0, 9]), 0x82, field('mallory'))],
  ['properties that end within one', 5, packet(0x10, short(field('MQTT'), 5, 0x82, 0, 0, 3, 0x11, 0, 0, 0, 9, field('a'), field('mallory')))],
  ['a will without its properties', 5, packet(0x10, short(field('MQTT'), 5, 0x86, 0, 0, 0, field('a'), field('w'), field('m'), field('mallory')))],
  ['a Will Delay that is no will’s', 5, connect5(Buffer.from([0x18, 0, 0, 0, 1]), 0x82, field('mallory'))],
  ['an empty CONNECT', 4, packet(0x10, Buffer.alloc(0))],
  ['flags in the head', 4, Buffer.concat([Buffer.from([0x1f]), bytes(4, hello(4)).subarray(1)])],
  ['a length of five bytes', 4, Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 0x01])],
  ['zeros', 4, Buffer.alloc(1000)],
  ['ones', 4, Buffer.alloc(1000, 0xff)]
])('%s: closed without CONNACK', async (_name, version, first) => {
  expect((await ended(version, first)).heard).toEqual([])
})

const topicOf = (topic: Buffer): Buffer => packet(0x32, short(field(topic), 0, 9, 'x'))
test.each<[string, Version, Buffer]>([
  ['a second CONNECT', 5, bytes(5, hello(5))],
  ['a NUL in a topic', 4, topicOf(Buffer.from('u/bob/msg/a\0b'))],
  ['a NUL in an ordinary topic', 4, topicOf(Buffer.from('a\0b'))],
  ['a topic that is no UTF-8', 4, topicOf(Buffer.from([0x75, 0x2f, 0xff, 0x2f, 0x6d]))],
  ['a topic longer than its packet', 4, packet(0x32, Buffer.from([0xff, 0xff, 0x75]))],
  ['packet id 0', 4, packet(0x32, short(field('u/bob/msg'), 0, 0, 'x'))],
  ['no packet id', 4, packet(0x32, field('u/bob/msg'))],
  ['QoS 3', 4, packet(0x36, short(field('u/bob/msg'), 0, 9, 'x'))],
  ['QoS 3 too large', 4, packet(0x36, short(field('u/bob/msg'), 0, 9, Buffer.alloc(400_000)))],
  ['no UTF-8 and too large', 4, packet(0x32, short(field(Buffer.from([0x75, 0x2f, 0xff])), 0, 9, Buffer.alloc(400_000)))],
  ['topic alias 0', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 3, 0x23, 0, 0, 'x'))],
  ['a topic alias above the maximum', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 3, 0x23, 0, 17, 'x'))],
  ['a topic alias that stands for nothing', 5, packet(0x32, short(field(''), 0, 9, 3, 0x23, 0, 1, 'x'))],
  ['a content type that is cut off', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 9, 0x03, 0, 9, 'x'))],
  ['a content type given twice', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 8, 0x03, field('x'), 0x03, field('y'), 'x'))],
  ['a content type that is no UTF-8', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 4, 0x03, field(Buffer.from([0xff])), 'x'))],
  ['a user property with a NUL', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 7, 0x26, field('a'), field('\0'), 'x'))],
  ['a topic alias given twice, first as 0', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 6, 0x23, 0, 0, 0x23, 0, 1, 'x'))],
  ['a Subscription Identifier in a PUBLISH', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 2, 0x0b, 1, 'x'))],
  ['properties longer than their PUBLISH', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 100, 0x01, 0))],
  ['a PUBLISH that ends before its properties', 5, packet(0x32, short(field('u/bob/msg'), 0, 9))],
  ['a length of properties without end', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 0xff, 0xff, 0xff, 0xff, 1))],
  ['a Payload Format Indicator of 2', 5, packet(0x32, short(field('u/bob/msg'), 0, 9, 2, 0x01, 2, 'x'))],
  ['a property of a CONNECT in a SUBSCRIBE', 5, packet(0x82, short(0, 9, 3, 0x21, 0, 9, field('me/#'), 1))],
  ['a SUBSCRIBE that ends before its options', 4, packet(0x82, short(0, 9, field('me/#')))],
  ['UNSUBSCRIBE with a NUL', 4, packet(0xa2, short(0, 9, field('me/\0')))],
  ['UNSUBSCRIBE with id 0', 5, packet(0xa2, short(0, 0, 0, field('me/#')))],
  ['UNSUBSCRIBE without its flags', 4, packet(0xa0, short(0, 9, field('me/#')))],
  ['SUBSCRIBE of nothing', 4, packet(0x82, Buffer.from([0, 9]))],
  ['SUBSCRIBE without its flags', 4, packet(0x80, short(0, 9, field('me/#'), 1))],
  ['SUBSCRIBE at QoS 3', 4, packet(0x82, short(0, 9, field('me/#'), 3))],
  ['SUBSCRIBE with reserved bits', 5, packet(0x82, short(0, 9, 0, field('me/#'), 0xc1))],
  ['SUBSCRIBE with id 0', 4, packet(0x82, short(0, 0, field('me/#'), 1))],
  ['SUBSCRIBE with a NUL', 4, packet(0x82, short(0, 9, field('me/\0'), 1))],
  ['two Subscription Identifiers', 5, packet(0x82, short(0, 9, 4, 0x0b, 1, 0x0b, 2, field('me/#'), 1))],
  ['Subscription Identifier 0', 5, packet(0x82, short(0, 9, 2, 0x0b, 0, field('me/#'), 1))],
  ['UNSUBSCRIBE of nothing', 4, packet(0xa2, Buffer.from([0, 9]))],
  ['CONNACK', 4, packet(0x20, Buffer.from([0, 0]))],
  ['SUBACK', 4, packet(0x90, Buffer.from([0, 9, 0]))],
  ['UNSUBACK', 4, packet(0xb0, Buffer.from([0, 9]))],
  ['PINGRESP', 4, packet(0xd0, Buffer.alloc(0))],
  ['AUTH', 5, bytes(5, { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'x' } })],
  ['type 0', 4, Buffer.from([0, 0])],
  ['type 15 in 3.1.1', 4, Buffer.from([0xf0, 0])],
  ['PINGREQ with flags', 4, Buffer.from([0xc1, 0])],
  ['PUBREL without its flags', 4, Buffer.from([0x60, 2, 0, 9])],
  ['PINGREQ with a body', 4, Buffer.from([0xc0, 1, 0])],
  ['PUBREL of id 0', 4, Buffer.from([0x62, 2, 0, 0])],
  ['PUBREL with something behind its end', 4, Buffer.from([0x62, 3, 0, 9, 0])],
  ['PUBACK of one byte', 4, Buffer.from([0x40, 1, 0])],
  ['PUBACK of id 0', 5, Buffer.from([0x40, 4, 0, 0, 0, 0])],
  ['PUBACK with something behind its end', 4, Buffer.from([0x40, 4, 0, 9, 0, 0])],
  ['PUBACK with a reason that is none', 5, Buffer.from([0x40, 3, 0, 9, 0x7f])],
  ['PUBACK with a property of a PUBLISH', 5, Buffer.from([0x40, 6, 0, 9, 0, 2, 0x01, 1])],
  ['PUBREC with flags', 4, Buffer.from([0x52, 2, 0, 9])],
  ['PUBCOMP with a NUL in its Reason String', 5, packet(0x70, short(0, 9, 0, 4, 0x1f, field('\0')))],
  ['DISCONNECT with a body', 4, Buffer.from([0xe0, 1, 0])],
  ['DISCONNECT with a reason that is none', 5, Buffer.from([0xe0, 1, 0x7f])],
  ['DISCONNECT with a server’s property', 5, packet(0xe0, short(0, 4, 0x1c, field('x')))],
  ['a length of five bytes', 4, Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])],
  ['DISCONNECT with Session Expiry twice', 5, packet(0xe0, Buffer.from([0, 10, 0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]))]
])('%s ends the connection, in every state', async (_name, version, what) => {
  for (const [state, before] of Object.entries(STATES)) {
    const c = await Client.open(p.port('mqtt'), version)
    const [held, sent] = before(version)
    c.raw(held)
    if (sent !== null) await c.until(() => c.heard.some(h => h.cmd === sent), sent)
    const heard = c.heard.length
    c.raw(what)
    await c.untilClosed()
    expect([state, c.heard[0]?.cmd]).toEqual([state, 'connack'])
    expect([state, c.heard.slice(Math.max(1, heard)).filter(h => h.cmd !== 'disconnect' && h.cmd !== 'suback')]).toEqual([state, []])
  }
})

/** What stands before the bytes, and the answer that is waited for; null: they come in the same flight. */
const STATES: Record<string, (v: Version) => [Buffer, string | null]> = {
  'with the CONNECT in one flight': v => [bytes(v, hello(v)), null],
  'after CONNACK': v => [bytes(v, hello(v)), 'connack'],
  'with a will': v => [bytes(v, { ...hello(v), will: { topic: 'ordinary/will', payload: Buffer.from('x'), qos: 1, retain: false } }), 'connack'],
  'after SUBACK': v => [bytes(v, hello(v), { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'me/#', qos: 1 }] }), 'suback'],
  'between SUBSCRIBE and SUBACK': v => [bytes(v, hello(v), { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'me/#', qos: 1 }] }), null],
  'between PUBREC and PUBREL': v => [bytes(v, hello(v), { cmd: 'publish', topic: 'u/mallory/msg', payload: 'x', qos: 2, messageId: 9 }), 'pubrec']
}

test.each<[string, number, Buffer]>([
  ['a string that is no UTF-8', 0x81, packet(0x82, short(0, 9, 0, field(Buffer.from([0xff])), 1))],
  ['a packet that is cut off', 0x81, packet(0x82, short(0, 9, 0, 0))],
  ['a property twice', 0x82, packet(0x82, short(0, 9, 4, 0x0b, 1, 0x0b, 2, field('me/#'), 1))],
  ['a property that has no place there', 0x81, packet(0x82, short(0, 9, 3, 0x21, 0, 9, field('me/#'), 1))],
  ['QoS 3', 0x81, packet(0x36, short(field('u/bob/msg'), 0, 9, 0, 'x'))],
  ['packet id 0', 0x82, packet(0x82, short(0, 0, 0, field('me/#'), 1))],
  ['no filter', 0x82, packet(0x82, short(0, 9, 0))],
  ['a filter that is none', 0x8f, packet(0x82, short(0, 9, 0, field('a/#/b'), 1))],
  ['a wildcard in an ordinary topic', 0x90, packet(0x32, short(field('a/+'), 0, 9, 0, 'x'))],
  ['an empty topic', 0x82, packet(0x32, short(field(''), 0, 9, 0, 'x'))],
  ['topic alias 0', 0x94, packet(0x32, short(field('u/bob/msg'), 0, 9, 3, 0x23, 0, 0, 'x'))],
  ['a topic alias over the maximum', 0x94, packet(0x32, short(field('u/bob/msg'), 0, 9, 3, 0x23, 0, 17, 'x'))],
  ['the largest topic alias', 0x94, packet(0x32, short(field('u/bob/msg'), 0, 9, 3, 0x23, 255, 255, 'x'))],
  ['a topic alias that stands for nothing', 0x82, packet(0x32, short(field(''), 0, 9, 3, 0x23, 0, 1, 'x'))],
  ['a second CONNECT', 0x82, bytes(5, hello(5))],
  ['a packet of servers', 0x82, packet(0xd0, Buffer.alloc(0))],
  ['268 MB announced', 0x95, Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x75])],
  ['268 MB announced as a SUBSCRIBE', 0x95, Buffer.from([0x82, 0xff, 0xff, 0xff, 0x7f])]
])('MQTT 5 is told what was wrong: %s', async (_name, reasonCode, what) => {
  const c = await ended(5, bytes(5, hello(5)), what)
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode })
})

test.each<Version>([3, 4, 5])('a packet that is announced and never comes costs its connection alone (version byte %i)', async version => {
  const clock = new FakeClock()
  const q = await startParley({}, clock)
  const other = await Bystanders.join(q)
  const announced = Buffer.concat([Buffer.from([0x32, 0xff, 0xff, 0x0f]), field('u/bob/msg')]) // 256 kB, of which nothing more comes
  const strangers = await Promise.all(range(1, 50).map(async () => await Client.open(q.port('mqtt'), version)))
  for (const c of strangers) c.raw(Buffer.concat([Buffer.from([0x10, 0xff, 0xff, 0x0f]), field('MQTT')]))
  const known = await Promise.all(range(1, 50).map(async i => await q.client({ user: 'mallory', device: `d${i}`, version, keepalive: 60 })))
  for (const c of known) c.raw(announced)
  await other.unharmed()
  clock.advance(11_000) // no CONNECT within 10 s
  for (const c of strangers) await c.untilClosed()
  expect(known.map(c => c.closed)).toEqual(known.map(() => false))
  clock.advance(91_000)
  for (const c of known) await c.untilClosed()
  await other.unharmed()
})

/** A whole session, as a library might write it. */
const session = (version: Version): Buffer => Buffer.concat([
  bytes(version, { ...hello(version), properties: version === 5 ? { sessionExpiryInterval: 60, receiveMaximum: 9, userProperties: { a: 'b' } } : undefined }), afterConnect(version)
])
const afterConnect = (version: Version): Buffer => bytes(version,
  { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'me/#', qos: 1 }, { topic: 'a/+', qos: 2 }] },
  { cmd: 'publish', topic: 'u/mallory/msg/c', payload: 'one', qos: 1, messageId: 2 },
  { cmd: 'publish', topic: 'u/mallory/msg/d', payload: '{"body":"two"}', qos: 2, messageId: 3, properties: version === 5 ? { contentType: 'application/json', userProperties: { ttl: '60' } } : undefined },
  { cmd: 'pubrel', messageId: 3 },
  { cmd: 'publish', topic: 'u/mallory/sig', payload: '{}', qos: 0 },
  { cmd: 'pingreq' },
  { cmd: 'unsubscribe', messageId: 4, unsubscriptions: ['me/#'] })

test.each<Version>([3, 4, 5])('a session that is cut off after each of its bytes (version byte %i)', async version => {
  const all = session(version)
  for (const n of range(0, all.length)) {
    const c = await Client.open(p.port('mqtt'), version)
    c.raw(all.subarray(0, n))
    if (n % 2 === 0) c.socket.end()
    else c.destroy()
    if (n % 20 === 0) await by.unharmed()
  }
})

test.each<Version>([3, 4, 5])('a session that comes in two pieces, cut at each of its bytes, is the same session (version byte %i)', async version => {
  const all = session(version)
  const answers = ['connack', 'pingresp', 'puback', 'pubcomp', 'pubrec', 'suback', 'unsuback']
  for (const n of range(1, all.length - 1)) {
    const c = await Client.open(p.port('mqtt'), version)
    c.raw(all.subarray(0, n))
    await by.turn() // the first piece was read
    c.raw(all.subarray(n))
    await c.answer('unsuback', 4)
    await c.until(() => answers.every(cmd => c.heard.some(h => h.cmd === cmd)), `all answers when cut at ${n}`)
    expect(c.heard.filter(h => h.cmd !== 'publish').map(h => h.cmd).sort()).toEqual(answers)
    c.destroy()
  }
})

describe('random bytes', () => {
  const noise = fc.uint8Array({ minLength: 1, maxLength: 300 }).map(a => Buffer.from(a))
  /** Packets of a right length and any content: these reach the decoders. */
  const framed = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 100 })).map(([head, body]) => packet(head, Buffer.from(body)))
  const version = fc.constantFrom<Version>(3, 4, 5)
  /** What follows CONNECT in a good session, with some bytes changed. */
  const spoilt = fc.tuple(version, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 })).map(([v, changes]) => {
    const b = Buffer.from(afterConnect(v))
    for (const [at, byte] of changes) b[at % b.length] = byte
    return { v, b }
  })

  async function survives (c: Client, chunks: Buffer[]): Promise<void> {
    for (const b of chunks) c.raw(b)
    await by.turn()
    c.socket.end()
    await c.untilClosed()
  }
  const ready = async (v: Version): Promise<Client> => {
    const c = await Client.open(p.port('mqtt'), v)
    await c.hello({ user: 'mallory', version: v, acks: false })
    return c
  }

  test('instead of a CONNECT', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.oneof(noise, framed), { minLength: 1, maxLength: 3 }), async chunks => { await survives(await Client.open(p.port('mqtt')), chunks) }), { numRuns: 300 })
  })

  test('as the body of a CONNECT', async () => {
    await fc.assert(fc.asyncProperty(version, noise, async (v, body) => {
      await survives(await Client.open(p.port('mqtt')), [packet(0x10, Buffer.concat([field(v === 3 ? 'MQIsdp' : 'MQTT'), Buffer.from([v]), body]))])
    }), { numRuns: 300 })
  })

  test('after CONNACK', async () => {
    await fc.assert(fc.asyncProperty(version, fc.array(fc.oneof(noise, framed), { minLength: 1, maxLength: 5 }), async (v, chunks) => { await survives(await ready(v), chunks) }), { numRuns: 300 })
  })

  test('in a good session', async () => {
    await fc.assert(fc.asyncProperty(spoilt, async ({ v, b }) => { await survives(await ready(v), [b]) }), { numRuns: 400 })
  })
})
