import type { IConnackPacket } from 'mqtt-packet'
import { cut, field, packet, short, sized } from '../support/bytes.js'
import { type Client, connectPacket } from '../support/client.js'
import { flight, inBoth, ordinaryNode, payloads, subscribe } from '../support/ordinary.js'

const node = ordinaryNode()

const code = (c: Client): number | undefined => c.version === 5 ? c.connack.reasonCode : c.connack.returnCode
/** A CONNECT of any protocol name, level and client identifier. */
const connectOf = (name: string, level: number, v: 4 | 5, clientId: string, flags = 0x82, properties = short()): Buffer =>
  packet(0x10, short(field(name), level, flags, 0, 60, ...v === 5 ? [sized(properties)] : [], field(clientId), field('alice')))

/** What the broker says to those bytes before it closes. */
async function refusal (v: 4 | 5, bytes: Buffer): Promise<Client> {
  const c = await node.open(v)
  c.raw(bytes)
  await c.untilClosed()
  return c
}

inBoth('CONNACK comes first, once, with success and no reserved flag, and what stood behind CONNECT is answered after it [MQTT3-3.1.4-4 3.2.0-1] [MQTT5-3.1.4-5 3.2.0-1 3.2.0-2 3.2.2-1]', async version => {
  const [user, topic] = [node.user(), node.topic()]
  const before = await node.client({ user, version })
  await before.subscribe(topic, 1)
  await before.end()
  await (await node.client()).say(topic, 'waits')
  const c = await node.open(version)
  const chunks: Buffer[] = []
  c.socket.on('data', (b: Buffer) => { chunks.push(b) })
  flight(c, { user, version }, { cmd: 'pingreq' }, { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: `${topic}/x`, qos: 0 }] }, { cmd: 'publish', topic, payload: 'own', qos: 1, messageId: 2, dup: false, retain: false })
  await c.answer('puback', 2)
  await c.answer('suback', 1)
  await c.until(() => payloads(c, topic).length === 2, 'what waited, and the own message')
  const packets = cut(Buffer.concat(chunks))
  expect(packets[0]).toMatchObject({ head: 0x20 })
  expect([...packets[0]!.body.subarray(0, 2)]).toEqual([1, 0])
  expect(packets.filter(p => p.head === 0x20)).toHaveLength(1)
})

test('a protocol level that is not spoken is answered with CONNACK 1, then closed [MQTT3-3.1.2-2]', async () => {
  for (const [name, level] of [['MQTT', 3], ['MQTT', 0], ['MQIsdp', 4]] as const) {
    expect((await refusal(4, connectOf(name, level, 4, 'x'))).heard).toMatchObject([{ cmd: 'connack', returnCode: 1, sessionPresent: false }])
  }
})

test('a protocol version that is not spoken is answered with CONNACK 0x84, then closed [MQTT5-3.1.2-2]', async () => {
  for (const level of [6, 127]) expect((await refusal(5, connectOf('MQTT', level, 5, 'x'))).heard).toMatchObject([{ cmd: 'connack', reasonCode: 0x84 }])
})

inBoth('a session goes on, is made, or is new, as the client asks, and CONNACK says which [MQTT3-3.1.2-4 3.1.2-6 3.1.4-3 3.2.2-1 3.2.2-2 3.2.2-3] [MQTT5-3.1.2-4 3.1.2-5 3.1.2-6 3.1.4-4 3.2.2-2 3.2.2-3]', async version => {
  const [user, topic] = [node.user(), node.topic()]
  const publisher = await node.client()
  const come = async (clean: boolean): Promise<Client> => {
    const c = await node.client({ user, version, clean })
    expect(code(c)).toBe(0)
    return c
  }
  const made = await come(false)
  expect(made.connack.sessionPresent).toBe(false)
  await made.subscribe(topic, 1)
  await made.end()

  const resumed = await come(false)
  expect(resumed.connack.sessionPresent).toBe(true)
  await publisher.say(topic, 'by the subscription of the session')
  await resumed.got(topic, 1)
  await resumed.end()

  await publisher.say(topic, 'for the session that ends')
  const fresh = await come(true)
  expect(fresh.connack.sessionPresent).toBe(false)
  await publisher.say(topic, 'for nobody')
  await fresh.settled()
  expect(payloads(fresh, topic)).toEqual([])
  await fresh.subscribe(topic, 1)
  await fresh.end()

  const after = await come(false)
  expect(after.connack.sessionPresent).toBe(false)
  await publisher.say(topic, 'for nobody')
  await after.settled()
  expect(payloads(after, topic)).toEqual([])
})

inBoth('a refusal: session present is 0, the connection is closed, and nothing behind CONNECT is processed [MQTT3-3.2.2-4 3.2.2-5 3.1.4-5] [MQTT5-3.1.4-2 3.1.4-6 3.2.2-6 3.2.2-7 3.2.2-8 3.14.0-1 4.13.2-1]', async version => {
  const topic = node.topic()
  const watcher = await node.client()
  await watcher.subscribe(topic, 1)
  const c = await node.open(version)
  flight(c, { user: 'no user', version }, { cmd: 'publish', topic, payload: 'from a stranger', qos: 1, messageId: 1, dup: false, retain: true }, { cmd: 'pingreq' })
  await c.untilClosed()
  expect(c.heard).toMatchObject([version === 5 ? { cmd: 'connack', reasonCode: 0x86, sessionPresent: false } : { cmd: 'connack', returnCode: 4, sessionPresent: false }])
  await watcher.say(topic, 'own')
  await watcher.got(topic, 1)
  expect(payloads(watcher, topic)).toEqual(['own'])
})

inBoth('client identifiers of 1 to 23 letters and digits are allowed [MQTT-3.1.3-5]', async version => {
  for (const device of ['0', 'z', '0123456789abcdefghijklm', 'nopqrstuvwxyzABCDEFGHIJ', 'KLMNOPQRSTUVWXYZ']) expect(code(await node.client({ version, device }))).toBe(0)
})

inBoth('a client identifier names one session: another has another [MQTT-3.1.3-2]', async version => {
  const [user, topic] = [node.user(), node.topic()]
  await (await node.client({ user, version, device: 'a' })).subscribe(topic, 1)
  const [a, b] = [await node.client({ user, version, device: 'a' }), await node.client({ user, version, device: 'b' })]
  expect([a.connack.sessionPresent, b.connack.sessionPresent]).toEqual([true, false])
  await b.say(topic, 'for a')
  await a.got(topic, 1)
  await b.settled()
  expect(b.on(topic)).toEqual([])
})

test('MQTT 3.1.1: an empty client identifier is replaced by a unique one, with clean session 1 only [MQTT3-3.1.3-6 3.1.3-8]', async () => {
  const topic = node.topic()
  const nameless = async (): Promise<Client> => {
    const c = await node.open(4)
    c.raw(connectOf('MQTT', 4, 4, ''))
    await c.until(() => c.heard.length > 0, 'CONNACK')
    return c
  }
  const both = [await nameless(), await nameless()]
  for (const c of both) await c.subscribe(topic, 1)
  await both[0]!.say(topic, 'hello')
  for (const c of both) await c.got(topic, 1) // one did not take over the other
  expect((await refusal(4, connectOf('MQTT', 4, 4, '', 0x80))).heard).toMatchObject([{ cmd: 'connack', returnCode: 2, sessionPresent: false }])
})

test('MQTT 5: an empty client identifier is replaced by a new one, told in CONNACK, which is the client’s from then on [MQTT5-3.1.3-6 3.1.3-7 3.2.2-16]', async () => {
  const ids: string[] = []
  for (let i = 0; i < 3; i++) {
    const c = await node.open(5)
    c.raw(connectOf('MQTT', 5, 5, '', i === 0 ? 0x82 : 0x80, short(0x11, 0, 0, 0, 60))) // lasts for a minute
    await c.until(() => c.heard.length > 0, 'CONNACK')
    ids.push((c.connack as IConnackPacket & { properties: { assignedClientIdentifier: string } }).properties.assignedClientIdentifier)
  }
  expect(new Set(ids.filter(id => id.length > 0)).size).toBe(3)
  const back = await node.client({ user: 'alice', version: 5, device: ids[0]! })
  expect(back.connack.sessionPresent).toBe(true)
  expect(back.connack.properties).not.toHaveProperty('assignedClientIdentifier')
})

inBoth('a client identifier that is rejected: CONNACK says so, and the connection is closed [MQTT3-3.1.3-9] [MQTT5-3.1.3-8]', async version => {
  const c = await refusal(version, connectOf('MQTT', version, version, 'a\tb'))
  expect(c.heard).toMatchObject([version === 5 ? { cmd: 'connack', reasonCode: 0x85 } : { cmd: 'connack', returnCode: 2 }])
})

inBoth('the newer connection of a client identifier ends the older one, which MQTT 5 tells why [MQTT3-3.1.4-2] [MQTT5-3.1.4-3]', async version => {
  const user = node.user()
  const older = await node.client({ user, version })
  const newer = await node.client({ user, version })
  await older.untilClosed()
  if (version === 5) expect(older.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8e })
  await newer.settled()
})

inBoth('PINGREQ is answered with PINGRESP, one by one [MQTT-3.12.4-1]', async version => {
  const c = await node.client({ version })
  for (let i = 0; i < 5; i++) c.send({ cmd: 'pingreq' })
  await c.until(() => c.heard.length === 6, 'five answers')
  expect(c.heard.slice(1).map(h => h.cmd)).toEqual(Array(5).fill('pingresp'))
})

describe('MQTT 5', () => {
  test('a session lasts as long as its connection, and then for its Session Expiry Interval [MQTT5-3.1.2-23 4.1.0-1 4.1.0-2]', async () => {
    const [user, topic] = [node.user(), node.topic()]
    const come = async (): Promise<Client> => await node.client({ user, version: 5, properties: { sessionExpiryInterval: 10 } })
    const publisher = await node.client()
    let c = await come()
    await c.subscribe(topic, 1)
    node.clock.advance(60_000)
    await publisher.say(topic, '1')
    await c.got(topic, 1)
    await c.end()
    node.clock.advance(9000)
    await publisher.say(topic, '2')
    c = await come()
    expect(c.connack.sessionPresent).toBe(true)
    await c.got(topic, 1)
    await c.end()
    await publisher.say(topic, '3')
    node.clock.advance(11_000)
    c = await come()
    expect(c.connack.sessionPresent).toBe(false)
    await publisher.say(topic, '4')
    await c.settled()
    expect(payloads(c, topic)).toEqual([])
  })

  test('a session without Session Expiry Interval ends with its connection [MQTT5-4.1.0-2]', async () => {
    const [user, topic] = [node.user(), node.topic()]
    for (const properties of [{ sessionExpiryInterval: 0 }, { sessionExpiryInterval: undefined }]) {
      const c = await node.client({ user, version: 5, properties })
      expect(c.connack.sessionPresent).toBe(false)
      await c.subscribe(topic, 1)
      await c.end()
    }
    const last = await node.client({ user, version: 5 })
    expect(last.connack.sessionPresent).toBe(false)
    await last.say(topic, 'for nobody')
    await last.settled()
    expect(payloads(last, topic)).toEqual([])
  })

  test('without a Server Keep Alive the client’s own holds [MQTT5-3.2.2-22]', async () => {
    const c = await node.client({ version: 5, keepalive: 10 })
    expect(c.connack.properties).not.toHaveProperty('serverKeepAlive')
    node.clock.advance(14_000)
    await c.settled()
    node.clock.advance(16_000)
    await c.untilClosed()
    expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8d })
  })

  test('Response Information is told to those alone who ask for it [MQTT5-3.1.2-28]', async () => {
    for (const properties of [{}, { requestResponseInformation: false }]) {
      expect((await node.client({ version: 5, properties })).connack.properties).not.toHaveProperty('responseInformation')
    }
  })

  test.each([[1], [4], [5], [8], [12], [16], [20], [30], [60]])('nothing is larger than a Maximum Packet Size of %i, CONNACK neither: it has no Reason String and no user properties [MQTT5-3.1.2-24 3.2.2-19 3.2.2-20]', async maximumPacketSize => {
    for (const user of [node.user(), 'no user']) {
      const c = await node.open(5)
      const chunks: Buffer[] = []
      c.socket.on('data', (b: Buffer) => { chunks.push(b) })
      c.send(connectPacket({ user, version: 5, properties: { maximumPacketSize } }))
      await c.until(() => c.heard.length > 0, 'CONNACK').catch((e: unknown) => { if (!c.closed) throw e }) // it may not fit
      c.destroy()
      for (const { size } of cut(Buffer.concat(chunks))) expect(size).toBeLessThanOrEqual(maximumPacketSize)
      for (const h of c.heard) for (const name of ['reasonString', 'userProperties']) expect((h as { properties?: object }).properties ?? {}).not.toHaveProperty(name)
    }
  })

  test('enhanced authentication is refused: CONNACK 0x8C, then closed, whatever stands behind CONNECT [MQTT5-4.12.0-1 4.12.0-4 3.1.4-6]', async () => {
    const c = await node.open(5)
    flight(c, { user: node.user(), version: 5, properties: { authenticationMethod: 'SCRAM-SHA-1', authenticationData: Buffer.from('n,,') } },
      { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'SCRAM-SHA-1' } }, { cmd: 'pingreq' })
    await c.untilClosed()
    expect(c.heard).toMatchObject([{ cmd: 'connack', reasonCode: 0x8c, sessionPresent: false }])
  })

  test('without an Authentication Method there is none in CONNACK, and no AUTH [MQTT5-4.12.0-6]', async () => {
    const c = await node.client({ version: 5 })
    await subscribe(c, [{ topic: node.topic() }])
    expect(c.connack.properties).not.toHaveProperty('authenticationMethod')
    expect(c.heard.map(h => h.cmd)).toEqual(['connack', 'suback'])
  })
})

describe('MQTT 3.1.1', () => {
  test('a kept session outlives its connection, without an end [MQTT3-4.1.0-1 4.1.0-2]', async () => {
    const [user, topic] = [node.user(), node.topic()]
    const c = await node.client({ user })
    await c.subscribe(topic, 1)
    await c.end()
    node.clock.advance(86_400_000)
    await (await node.client()).say(topic, 'waits')
    const back = await node.client({ user })
    expect(back.connack.sessionPresent).toBe(true)
    await back.got(topic, 1)
  })

  test('a session with clean session 1 lasts as long as its connection [MQTT3-4.1.0-2]', async () => {
    const topic = node.topic()
    const c = await node.client({ clean: true })
    await c.subscribe(topic, 1)
    node.clock.advance(86_400_000)
    await c.say(topic, 'still there')
    await c.got(topic, 1)
  })
})
