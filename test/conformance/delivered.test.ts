import type { IPublishPacket } from 'mqtt-packet'
import { cut } from '../support/bytes.js'
import type { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { inBoth, ordinaryNode, payloads, sayOnce } from '../support/ordinary.js'

/** What subscribers are sent, and when it is sent again. */
const node = ordinaryNode()

const publishes = (c: Client): IPublishPacket[] => c.heard.filter((h): h is IPublishPacket => h.cmd === 'publish')
const short = (c: Client): [payload: string, id: number | undefined, dup: boolean][] => publishes(c).map(h => [h.payload.toString(), h.messageId, h.dup])
const rels = (c: Client): (number | undefined)[] => c.heard.filter(h => h.cmd === 'pubrel').map(h => h.messageId)

/** All bytes from now on. */
function listen (c: Client): () => Buffer {
  const chunks: Buffer[] = []
  c.socket.on('data', (b: Buffer) => { chunks.push(b) })
  return () => Buffer.concat(chunks)
}

inBoth('QoS 0: no packet identifier, DUP 0, and in MQTT 5 a property length of zero [MQTT3-2.3.1-5 3.3.1-2 4.3.1-1] [MQTT5-2.2.1-2 2.2.2-1 3.3.1-2 4.3.1-1]', async version => {
  const topic = node.topic()
  const c = await node.client({ version })
  await c.subscribe(topic, 0)
  const bytes = listen(c)
  await (await node.client()).say(topic, 'x')
  await c.got(topic, 1)
  const [p] = cut(bytes())
  expect([p!.head, p!.body.subarray(2).toString('latin1')]).toEqual([0x30, `${topic}${version === 5 ? '\0' : ''}x`])
})

inBoth('the flags of everything that is sent are those of the standard [MQTT3-2.2.2-1] [MQTT5-2.1.3-1]', async version => {
  const topic = node.topic()
  const c = await node.open(version)
  const bytes = listen(c)
  await c.hello({ user: node.user(), version })
  await c.subscribe(topic, 2)
  await c.say(topic, 'one')
  await sayOnce(c, topic, 'two')
  await c.got(topic, 2)
  await c.until(() => rels(c).length === 1, 'PUBREL')
  await c.unsubscribe(topic)
  await c.settled()
  const heads = new Map(cut(bytes()).map(p => [p.head >> 4, p.head & 15]))
  expect([...heads.keys()].sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 9, 11, 13])
  for (const [type, flags] of heads) if (type !== 3) expect([type, flags]).toEqual([type, type === 6 ? 2 : 0])
})

test('remaining lengths take as few bytes as they can [MQTT5-1.5.5-1]', async () => {
  const topic = node.topic()
  const c = await node.client({ version: 5 })
  await c.subscribe(topic, 0)
  const bytes = listen(c)
  const sizes = [1, 127, 128, 16_383, 16_384, 100_000]
  const around = 2 + topic.length + 1
  for (const size of sizes) await c.say(topic, Buffer.alloc(Math.max(0, size - around)))
  await c.got(topic, sizes.length)
  const got = cut(bytes()).filter(p => p.head === 0x30)
  expect(got.map(p => [p.body.length, p.lengthBytes])).toEqual([[around, 1], [127, 1], [128, 2], [16_383, 2], [16_384, 3], [100_000, 3]])
})

inBoth('DUP is not passed on, identifiers are not zero and none is used twice while it is in flight [MQTT-3.3.1-3] [MQTT3-2.3.1-4 4.3.2-1] [MQTT5-2.2.1-4 4.3.2-1 4.3.2-2 4.3.3-1 4.3.3-2]', async version => {
  const topic = node.topic()
  const c = await node.client({ version, acks: false })
  await c.subscribe(topic, 2)
  const publisher = await node.client()
  for (const n of range(1, 6)) publisher.publish(topic, `${n}`, { qos: n % 2 === 0 ? 1 : 2, dup: true })
  await c.got(topic, 6)
  expect(short(c).every(([,, dup]) => !dup)).toBe(true)
  const ids = short(c).map(([, id]) => id!)
  expect([ids.every(id => id > 0), new Set(ids).size]).toEqual([true, 6])
})

inBoth('what is unacknowledged is sent again on the next connection only: the same identifiers and order, DUP 1 [MQTT-3.3.1-1 4.4.0-1 4.6.0-1] [MQTT3-4.3.2-1 4.3.3-1 4.6.0-6 2.3.1-4] [MQTT5-4.3.2-3 4.3.3-3]', async version => {
  const [topic, user] = [node.topic(), node.user()]
  let c = await node.client({ user, version, acks: false })
  await c.subscribe(topic, 2)
  const publisher = await node.client()
  for (const n of range(1, 6)) publisher.publish(topic, `${n}`, { qos: n % 2 === 0 ? 1 : 2 })
  await c.got(topic, 6)
  node.clock.advance(600_000) // time alone brings nothing again
  await c.settled()
  expect(publishes(c)).toHaveLength(6)
  const sent = short(c)
  for (let i = 0; i < 2; i++) {
    c.destroy()
    c = await node.client({ user, version, acks: false })
    await c.got(topic, 6)
    await c.settled()
    expect(short(c)).toEqual(sent.map(([payload, id]) => [payload, id, true]))
  }
})

inBoth('QoS 1: after PUBACK it is done [MQTT3-4.3.2-1] [MQTT5-4.3.2-3]', async version => {
  const [topic, user] = [node.topic(), node.user()]
  const c = await node.client({ user, version })
  await c.subscribe(topic, 1)
  await c.say(topic, 'x')
  await c.got(topic, 1)
  await c.settled()
  c.destroy()
  const again = await node.client({ user, version })
  await again.settled()
  expect(publishes(again)).toEqual([])
})

inBoth('QoS 2: PUBREC is answered with PUBREL, which is sent again until PUBCOMP; the PUBLISH is not [MQTT3-2.3.1-6 4.3.3-1 4.4.0-1] [MQTT5-2.2.1-5 3.6.2-1 4.3.3-4 4.3.3-5 4.3.3-6 4.4.0-1]', async version => {
  const [topic, user] = [node.topic(), node.user()]
  let c = await node.client({ user, version, acks: false })
  await c.subscribe(topic, 2)
  await sayOnce(await node.client(), topic, 'x')
  const { id } = (await c.got(topic, 1))[0]!
  c.send({ cmd: 'pubrec', messageId: id })
  await c.answer('pubrel', id)
  for (let i = 0; i < 2; i++) {
    c.destroy()
    c = await node.client({ user, version, acks: false })
    await c.answer('pubrel', id)
    await c.settled()
    expect([rels(c), publishes(c)]).toEqual([[id], []])
  }
  expect((c.heard.find(h => h.cmd === 'pubrel') as { reasonCode?: number }).reasonCode ?? 0).toBe(0)
  c.send({ cmd: 'pubcomp', messageId: id })
  await c.settled()
  c.destroy()
  c = await node.client({ user, version, acks: false })
  await c.settled()
  expect([rels(c), publishes(c)]).toEqual([[], []])
})

inBoth('PUBREL comes in the order of the PUBREC [MQTT-4.6.0-4] [MQTT3-4.6.0-6]', async version => {
  const topic = node.topic()
  const c = await node.client({ version, acks: false })
  await c.subscribe(topic, 2)
  const publisher = await node.client()
  for (const n of range(1, 5)) publisher.publish(topic, `${n}`, { qos: 2 })
  const ids = (await c.got(topic, 5)).map(d => d.id)
  const order = [2, 0, 4, 1, 3].map(i => ids[i])
  c.socket.cork()
  for (const messageId of order) c.send({ cmd: 'pubrec', messageId })
  c.socket.uncork()
  await c.until(() => rels(c).length === 5, 'five PUBREL')
  expect(rels(c)).toEqual(order)
})

inBoth('what one client publishes to a topic comes in its order, at each QoS, also after repetitions [MQTT-4.6.0-5 4.6.0-6]', async version => {
  const [topic, user] = [node.topic(), node.user()]
  let c = await node.client({ user, version })
  await c.subscribe(`${topic}/#`, 2)
  const publisher = await node.client({ version })
  const expected = range(1, 90).map(n => `${n}`) // fewer than Receive Maximum
  for (const qos of [0, 1, 2] as const) {
    const at = `${topic}/${qos}`
    for (const n of expected) publisher.publish(at, n, { qos, id: Number(n) })
    await c.got(at, 90)
    expect(payloads(c, at)).toEqual(expected)
    for (const n of expected) if (qos === 2) publisher.send({ cmd: 'pubrel', messageId: Number(n) })
    await publisher.settled()
  }
  c.acks = false
  const at = `${topic}/again`
  for (const n of expected) publisher.publish(at, n, { qos: 1 })
  await c.got(at, 20)
  c.destroy()
  c = await node.client({ user, version })
  await c.got(at, 90)
  expect(payloads(c, at)).toEqual(expected)
})

inBoth('a message is for every session with a matching subscription: at once, or when its client comes back [MQTT-4.5.0-1] [MQTT3-3.1.2-5]', async version => {
  const topic = node.topic()
  const users = range(1, 4).map(() => node.user())
  for (const user of users) {
    const c = await node.client({ user, version })
    await c.subscribe(`${topic}/+`, 2)
    await c.end()
  }
  const here = await node.client({ version })
  await here.subscribe(`${topic}/#`, 2)
  const publisher = await node.client()
  await publisher.say(`${topic}/1`, 'one')
  await sayOnce(publisher, `${topic}/2`, 'two')
  await here.got(topic, 2)
  for (const user of users) {
    const c = await node.client({ user, version })
    expect((await c.got(topic, 2)).map(d => [d.packet.payload.toString(), d.qos, d.dup])).toEqual([['one', 1, false], ['two', 2, false]])
  }
})

inBoth('of the QoS published and the QoS granted the lower one counts [MQTT3-3.8.4-6] [MQTT5-3.8.4-8]', async version => {
  const topic = node.topic()
  const publisher = await node.client()
  for (const granted of [0, 1, 2] as const) {
    const c = await node.client({ version })
    expect(await c.subscribe(topic, granted)).toBe(granted)
    publisher.publish(topic, '0', { qos: 0 })
    await publisher.say(topic, '1')
    await sayOnce(publisher, topic, '2')
    await c.got(topic, 3)
    expect(c.on(topic).map(d => d.qos)).toEqual([0, 1, 2].map(published => Math.min(published, granted)))
    await c.end()
  }
})

inBoth('where filters overlap the highest granted QoS counts, in a single copy [MQTT3-3.3.5-1] [MQTT5-3.3.4-2]', async version => {
  const topic = node.topic()
  const [user, publisher] = [node.user(), await node.client()]
  let c = await node.client({ user, version })
  for (const [filter, qos] of [[`${topic}/#`, 0], [`${topic}/+`, 2], [`${topic}/a`, 1]] as const) await c.subscribe(filter, qos)
  await sayOnce(publisher, `${topic}/a`, 'here')
  await c.got(topic, 1)
  await c.settled()
  await c.end()
  await sayOnce(publisher, `${topic}/a`, 'away')
  const live = c.on(topic)
  c = await node.client({ user, version })
  await c.got(topic, 1)
  await c.settled()
  expect([...live, ...c.on(topic)].map(d => [d.packet.payload.toString(), d.qos])).toEqual([['here', 2], ['away', 2]])
})

describe('MQTT 5', () => {
  test('a PUBACK or PUBREC that refuses acknowledges as any other [MQTT5-4.4.0-2]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    const c = await node.client({ user, version: 5, acks: false })
    await c.subscribe(topic, 2)
    const publisher = await node.client()
    await publisher.say(topic, '1')
    await sayOnce(publisher, topic, '2')
    const [one, two] = await c.got(topic, 2)
    c.send({ cmd: 'puback', messageId: one!.id, reasonCode: 0x83 })
    c.send({ cmd: 'pubrec', messageId: two!.id, reasonCode: 0x97 })
    await c.settled()
    c.destroy()
    const again = await node.client({ user, version: 5 })
    await again.settled()
    expect([rels(c), rels(again), publishes(again)]).toEqual([[], [], []])
  })

  test('a message that was sent once does not expire [MQTT5-4.3.3-7]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    const c = await node.client({ user, version: 5, acks: false })
    await c.subscribe(topic, 2)
    const publisher = await node.client({ version: 5 })
    publisher.publish(topic, 'x', { qos: 2, properties: { messageExpiryInterval: 5 } })
    const { id } = (await c.got(topic, 1))[0]!
    c.destroy()
    node.clock.advance(60_000)
    const again = await node.client({ user, version: 5, acks: false })
    await again.got(topic, 1)
    expect(short(again)).toEqual([['x', id, true]])
  })
})
