import type { IPublishPacket } from 'mqtt-packet'
import { cut, field, packet, short, sized } from '../support/bytes.js'
import type { Client } from '../support/client.js'
import { ordinaryNode, payloads } from '../support/ordinary.js'

/** MQTT 5 properties that a broker passes on. */
const node = ordinaryNode()

type Properties = NonNullable<IPublishPacket['properties']>

/** Everything that a message may carry to its receivers, user properties in an order that no object keeps. */
const PASSED_ON = short(
  0x01, 1, // Payload Format Indicator
  0x03, field('text/plain; charset=utf-8'),
  0x08, field('answers/here'),
  0x09, field(Buffer.from([0, 255, 0xc0, 0x80])), // Correlation Data: any bytes
  ...['b', '2', 'a', 'b', '1', '', 'a', 'b'].flatMap((name, i) => [0x26, field(name), field(`${i}\ufeff`)])
)
const publish = (topic: string, properties: Buffer, payload = 'x'): Buffer => packet(0x32, short(field(topic), 0, 9, sized(properties), payload))

/** The user properties that stand in properties, in their order; and all else. */
function read (properties: Buffer): { user: [string, string][], rest: Record<string, string> } {
  const user: [string, string][] = []
  const rest: Record<string, string> = {}
  for (let at = 0; at < properties.length;) {
    const id = properties[at++]!
    const text = (): Buffer => { const n = properties.readUInt16BE(at); const b = properties.subarray(at + 2, at + 2 + n); at += 2 + n; return b }
    if (id === 0x26) user.push([text().toString(), text().toString()])
    else if (id === 0x01) rest[id] = String(properties[at++])
    else if (id === 0x02) { rest[id] = String(properties.readUInt32BE(at)); at += 4 } else rest[id] = text().toString('hex')
  }
  return { user, rest }
}

/** The properties of each PUBLISH that comes from now on. */
function propertiesHeard (c: Client): () => Buffer[] {
  const chunks: Buffer[] = []
  c.socket.on('data', (b: Buffer) => { chunks.push(b) })
  return () => cut(Buffer.concat(chunks)).filter(p => p.head >> 4 === 3).map(({ head, body }) => {
    let at = 2 + body.readUInt16BE(0) + ((head & 6) === 0 ? 0 : 2)
    let length = 0
    for (let byte = 128, n = 0; byte > 127; n++) { byte = body[at++]!; length += (byte & 127) * 128 ** n }
    return body.subarray(at, at + length)
  })
}

test('Payload Format Indicator, Response Topic, Correlation Data, Content Type and user properties are passed on unaltered and in their order: at once, retained, and kept for later [MQTT5-3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20]', async () => {
  const [topic, user] = [node.topic(), node.user()]
  const away = await node.client({ user, version: 5 })
  await away.subscribe(topic, 1)
  await away.end()
  const here = await node.client({ version: 5 })
  await here.subscribe(topic, 1)
  const heard = [propertiesHeard(here)]
  const publisher = await node.client({ version: 5 })
  const bytes = publish(topic, PASSED_ON)
  bytes[0] = 0x33 // RETAIN
  publisher.raw(bytes)
  await here.got(topic, 1)
  const late = await node.open(5)
  heard.push(propertiesHeard(late))
  await late.hello({ user: node.user(), version: 5, subscribe: [topic] })
  await late.got(topic, 1)
  const back = await node.open(5)
  heard.push(propertiesHeard(back))
  await back.hello({ user, version: 5 })
  await back.got(topic, 1)
  for (const of of heard) expect(read(of()[0]!)).toEqual(read(PASSED_ON))
})

test('properties of a will are published as they came, user properties in their order [MQTT5-3.1.3-10 3.3.2-17 3.3.2-18]', async () => {
  const topic = node.topic()
  const watcher = await node.client({ version: 5 })
  await watcher.subscribe(topic, 1)
  const heard = propertiesHeard(watcher)
  const c = await node.open(5)
  const properties = short(0x18, 0, 0, 0, 0, PASSED_ON) // a will delay of 0, which is nobody else's
  c.raw(packet(0x10, short(field('MQTT'), 5, 0x8e, 0, 60, 0, field('phone'), sized(properties), field(topic), field('gone'), field(node.user()))))
  await c.until(() => c.heard.length > 0, 'CONNACK')
  c.destroy()
  await watcher.got(topic, 1)
  expect(read(heard()[0]!)).toEqual(read(PASSED_ON))
})

test('a message that has none has none [MQTT5-2.2.2-1]', async () => {
  const topic = node.topic()
  const c = await node.client({ version: 5 })
  await c.subscribe(topic, 1)
  const heard = propertiesHeard(c)
  await (await node.client({ version: 5 })).say(topic, 'x')
  await (await node.client({ version: 4 })).say(topic, 'x')
  await c.got(topic, 2)
  expect(heard().map(p => p.length)).toEqual([0, 0])
})

describe('Message Expiry Interval', () => {
  const expiring = (seconds: number): { properties: Properties } => ({ properties: { messageExpiryInterval: seconds } })
  const left = (c: Client, topic: string): (number | undefined)[] => c.on(topic).map(d => d.packet.properties?.messageExpiryInterval)

  test('what is passed on is what is left of it, for the present, the absent and the retained [MQTT5-3.3.2-6]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    await (await node.client({ user, version: 5, subscribe: [topic] })).end()
    const here = await node.client({ version: 5, subscribe: [topic] })
    await (await node.client({ version: 5 })).say(topic, 'x', { retain: true, ...expiring(100) })
    await here.got(topic, 1)
    node.clock.advance(30_000)
    const back = await node.client({ user, version: 5 })
    await back.got(topic, 1)
    const late = await node.client({ version: 5, subscribe: [topic] })
    await late.got(topic, 1)
    expect([left(here, topic), left(back, topic), left(late, topic)]).toEqual([[100], [70], [70]])
  })

  test('what expired before its delivery began is deleted: waiting for an absent client, behind a full window, retained [MQTT5-3.3.2-5]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    await (await node.client({ user, version: 5, subscribe: [topic] })).end()
    const full = await node.client({ version: 5, acks: false, subscribe: [topic], properties: { receiveMaximum: 1 } })
    const publisher = await node.client({ version: 5 })
    await publisher.say(topic, 'stays')
    await publisher.say(topic, 'goes', { retain: true, ...expiring(10) })
    await publisher.say(topic, 'stays, too')
    const [first] = await full.got(topic, 1)
    node.clock.advance(11_000)
    full.acks = true
    full.send({ cmd: 'puback', messageId: first!.id })
    const back = await node.client({ user, version: 5 })
    for (const c of [full, back]) {
      await c.until(() => payloads(c, topic).includes('stays, too'), 'what stays')
      expect(payloads(c, topic)).toEqual(['stays', 'stays, too'])
    }
    const late = await node.client({ version: 5, subscribe: [topic] })
    await late.settled()
    expect(late.on(topic)).toEqual([])
  })
})

describe('Topic Alias', () => {
  const alias = (n: number): { properties: Properties } => ({ properties: { topicAlias: n } })

  test('all up to the maximum that CONNACK tells are taken, and may be given another topic [MQTT5-3.3.2-12]', async () => {
    const topic = node.topic()
    const s = await node.client({ subscribe: [`${topic}/#`] })
    const c = await node.client({ version: 5 })
    const most = c.connack.properties?.topicAliasMaximum ?? 0
    expect(most).toBeGreaterThan(0)
    for (let n = 1; n <= most; n++) await c.say(`${topic}/${n}`, 'named', alias(n))
    for (let n = most; n >= 1; n--) await c.say('', 'by alias', alias(n))
    await c.say(`${topic}/other`, 'named', alias(1))
    await c.say('', 'by alias', alias(1))
    await s.until(() => s.on(`${topic}/other`).length === 2, 'the last two')
    for (let n = 1; n <= most; n++) expect(payloads(s, `${topic}/${n}`)).toEqual(['named', 'by alias'])
    expect(s.on(topic).every(d => d.packet.properties === undefined)).toBe(true)
  })

  test('aliases end with the connection, in both directions [MQTT5-3.3.2-7]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    const come = async (): Promise<Client> => await node.client({ user, version: 5, properties: { topicAliasMaximum: 10 } })
    let c = await come()
    await c.subscribe(topic, 1)
    for (let i = 0; i < 3; i++) await c.say(topic, 'x', i === 0 ? alias(1) : {})
    await c.until(() => c.heard.filter(h => h.cmd === 'publish').length === 3, 'three')
    await c.end()
    c = await come()
    await c.say(topic, 'x')
    await c.until(() => c.heard.some(h => h.cmd === 'publish'), 'a delivery')
    expect(c.heard.find(h => h.cmd === 'publish')).toMatchObject({ topic }) // named anew
    c.publish('', 'x', alias(1))
    await c.untilClosed()
    expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
  })

  test('none is sent above the client’s maximum, and none where it is 0 or absent; each means the topic last named with it [MQTT5-3.1.2-26 3.1.2-27 3.3.2-8 3.3.2-11]', async () => {
    const topic = node.topic()
    const publisher = await node.client({ version: 5 })
    for (const [maximum, properties] of [[0, {}], [0, { topicAliasMaximum: 0 }], [2, { topicAliasMaximum: 2 }], [65_535, { topicAliasMaximum: 65_535 }]] as const) {
      const c = await node.client({ version: 5, properties, subscribe: [`${topic}/#`] })
      const expected: string[] = []
      for (let round = 0; round < 2; round++) {
        for (const t of ['a', 'b', 'c', 'd', 'a', 'a']) {
          expected.push(`${topic}/${t}`)
          await publisher.say(`${topic}/${t}`, t)
        }
      }
      await c.until(() => c.heard.filter(h => h.cmd === 'publish').length === expected.length, 'all')
      const names = new Map<number, string>()
      const meant = c.heard.flatMap(h => {
        if (h.cmd !== 'publish') return []
        const n = h.properties?.topicAlias
        if (n === undefined) return [h.topic]
        expect([n > 0, n <= maximum]).toEqual([true, true])
        if (h.topic !== '') names.set(n, h.topic)
        return [names.get(n)]
      })
      expect(meant).toEqual(expected)
      await c.end()
    }
  })
})
