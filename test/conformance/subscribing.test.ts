import type { IUnsubackPacket } from 'mqtt-packet'
import type { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { inBoth, ordinaryNode, payloads, sayOnce, subscribe } from '../support/ordinary.js'

const node = ordinaryNode()

const REFUSED = { 4: 0x80, 5: 0x87 }

async function unsubscribe (c: Client, ...unsubscriptions: string[]): Promise<IUnsubackPacket> {
  const messageId = c.id()
  c.send({ cmd: 'unsubscribe', messageId, unsubscriptions })
  return await c.answer('unsuback', messageId) as IUnsubackPacket
}

inBoth('SUBSCRIBE is answered with SUBACK: its identifier, a code for each filter in their order, the QoS granted or a refusal [MQTT-3.8.4-1 3.8.4-2 3.8.4-5 3.9.3-1 3.9.3-2] [MQTT3-2.3.1-7] [MQTT5-2.2.1-6 3.8.4-6 3.8.4-7]', async version => {
  const topic = node.topic()
  const c = await node.client({ version })
  const filters = [`${topic}/2`, 'u/somebody-else/#', `${topic}/0`, '__proto__', `${topic}/+/1`, 'me/nothing', '9', `${topic}/2`]
  const ack = await subscribe(c, filters.map((f, i) => ({ topic: f, qos: ([2, 1, 0, 1, 1, 2, 0, 1] as const)[i]! })))
  expect(ack.granted).toEqual([2, REFUSED[version], 0, 1, 1, REFUSED[version], 0, 1])
})

inBoth('several filters in one SUBSCRIBE are as several SUBSCRIBEs: the refused one takes nothing from the others [MQTT3-3.8.4-4] [MQTT5-3.8.4-5]', async version => {
  const topic = node.topic()
  const publisher = await node.client()
  publisher.publish(`${topic}/b`, 'retained', { retain: true })
  await publisher.settled()
  const c = await node.client({ version })
  await subscribe(c, [{ topic: `${topic}/a`, qos: 1 }, { topic: 'u/somebody-else/#', qos: 1 }, { topic: `${topic}/b`, qos: 2 }])
  await publisher.say(`${topic}/a`, 'a')
  await sayOnce(publisher, `${topic}/b`, 'b')
  await c.got(topic, 3)
  expect(c.on(topic).map(d => [d.packet.payload.toString(), d.qos])).toEqual([['retained', 1], ['a', 1], ['b', 2]])
})

inBoth('the same filter again replaces the subscription: another QoS, retained messages again, and nothing is lost or doubled [MQTT-3.8.4-3] [MQTT5-3.8.4-4]', async version => {
  const topic = node.topic()
  const publisher = await node.client()
  await publisher.say(topic, 'retained', { retain: true })
  const c = await node.client({ version })
  await c.subscribe(topic, 2)
  await c.got(topic, 1)
  await c.subscribe(topic, 0)
  await c.got(topic, 2)
  await publisher.say(topic, 'once')
  await c.got(topic, 3)
  expect(c.on(topic).map(d => [d.packet.payload.toString(), d.qos, d.packet.retain])).toEqual([['retained', 1, true], ['retained', 0, true], ['once', 0, false]])
  const flow = range(1, 200).map(n => `${n}`)
  for (const n of flow) {
    publisher.publish(topic, n)
    if (Number(n) % 20 === 0) await c.subscribe(topic, 1)
  }
  await c.until(() => payloads(c, topic).includes('200'), 'the last message')
  await c.settled()
  expect(payloads(c, topic).filter(s => s !== 'retained').slice(1)).toEqual(flow)
})

inBoth('UNSUBSCRIBE is answered with UNSUBACK and its identifier, also where no subscription ended [MQTT-3.10.4-4 3.10.4-5] [MQTT3-2.3.1-7] [MQTT5-2.2.1-6]', async version => {
  const c = await node.client({ version })
  for (const filter of ['not/subscribed', 'u/somebody-else/#', '__proto__', '#']) await unsubscribe(c, filter)
  expect(c.heard.slice(1).map(h => [h.cmd, h.messageId])).toEqual([1, 2, 3, 4].map(id => ['unsuback', id]))
})

inBoth('UNSUBSCRIBE ends the subscription of just that filter, character by character, and nothing new comes by it [MQTT-3.10.4-1 3.10.4-2]', async version => {
  const topic = node.topic()
  const publisher = await node.client()
  const c = await node.client({ version })
  await subscribe(c, [`${topic}/a`, `${topic}/+/b`, `${topic}/c/#`].map(t => ({ topic: t, qos: 1 })))
  await unsubscribe(c, `${topic}/A`, `${topic}/#`, `${topic}/x/b`, `${topic}/a/`, `${topic}/c`)
  for (const t of ['a', 'x/b', 'c/1']) await publisher.say(`${topic}/${t}`, t)
  await c.got(topic, 3)
  await unsubscribe(c, `${topic}/+/b`)
  for (const t of ['x/b', 'a']) await publisher.say(`${topic}/${t}`, t)
  await c.got(topic, 4)
  expect(payloads(c, topic)).toEqual(['a', 'x/b', 'c/1', 'a'])
})

inBoth('several filters in one UNSUBSCRIBE are as several UNSUBSCRIBEs with one UNSUBACK [MQTT-3.10.4-6]', async version => {
  const topic = node.topic()
  const publisher = await node.client()
  const c = await node.client({ version })
  await subscribe(c, ['a', 'b', 'c'].map(t => ({ topic: `${topic}/${t}`, qos: 1 })))
  await unsubscribe(c, `${topic}/a`, `${topic}/none`, `${topic}/b`, `${topic}/a`)
  for (const t of ['a', 'b', 'c']) await publisher.say(`${topic}/${t}`, t)
  await c.got(topic, 1)
  await c.settled()
  expect(payloads(c, topic)).toEqual(['c'])
  expect(c.heard.filter(h => h.cmd === 'unsuback')).toHaveLength(1)
})

inBoth('what was begun before UNSUBSCRIBE is completed, on the next connection too [MQTT-3.10.4-3]', async version => {
  const [topic, user] = [node.topic(), node.user()]
  const c = await node.client({ user, version, acks: false })
  await c.subscribe(topic, 2)
  const publisher = await node.client()
  await publisher.say(topic, '1')
  await sayOnce(publisher, topic, '2')
  const [one, two] = await c.got(topic, 2)
  await unsubscribe(c, topic)
  c.send({ cmd: 'pubrec', messageId: two!.id })
  await c.answer('pubrel', two!.id)
  c.destroy()
  const again = await node.client({ user, version, acks: false })
  await again.answer('pubrel', two!.id)
  expect((await again.got(topic, 1)).map(d => [d.id, d.dup])).toEqual([[one!.id, true]])
  again.send({ cmd: 'puback', messageId: one!.id })
  again.send({ cmd: 'pubcomp', messageId: two!.id })
  await again.settled()
})

describe('MQTT 5', () => {
  test('UNSUBACK holds a code for each filter in their order [MQTT5-3.11.3-1 3.11.3-2]', async () => {
    const topic = node.topic()
    const c = await node.client({ version: 5 })
    await subscribe(c, [{ topic: `${topic}/a` }, { topic: `${topic}/b` }])
    expect((await unsubscribe(c, `${topic}/b`, `${topic}/none`, `${topic}/a`, `${topic}/a`)).granted).toEqual([0, 0x11, 0, 0x11])
  })

  test('No Local: not what the client published itself, but what others did [MQTT5-3.8.3-3]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    const c = await node.client({ user, version: 5 })
    await subscribe(c, [{ topic, qos: 1, nl: true }])
    await c.say(topic, 'own')
    await (await node.client({ user, version: 5, device: 'other' })).say(topic, 'of another device')
    await c.got(topic, 1)
    await c.settled()
    expect(payloads(c, topic)).toEqual(['of another device'])
  })

  test('Subscription Identifiers: a single copy holds those of all subscriptions that match, of none where there are none [MQTT5-3.3.4-3 3.3.4-4]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    const c = await node.client({ user, version: 5 })
    await subscribe(c, [{ topic: `${topic}/+`, qos: 1 }], { subscriptionIdentifier: 1 })
    await subscribe(c, [{ topic: `${topic}/#`, qos: 0 }], { subscriptionIdentifier: 268_435_455 })
    await subscribe(c, [{ topic: `${topic}/a`, qos: 1 }])
    await subscribe(c, [{ topic: `${topic}/a/#`, qos: 1 }], { subscriptionIdentifier: 200 })
    await subscribe(c, [{ topic: `${topic}/b`, qos: 1 }], { subscriptionIdentifier: 9 })
    await subscribe(c, [{ topic: `${topic}/b`, qos: 1 }]) // replaced: it has none now
    const publisher = await node.client()
    const ids = async (to: string): Promise<number[]> => {
      await publisher.say(`${topic}/${to}`, to)
      await c.until(() => c.on(`${topic}/${to}`).length === 1, to)
      return [c.on(`${topic}/${to}`)[0]!.packet.properties?.subscriptionIdentifier ?? []].flat().sort((a, b) => a - b)
    }
    expect([await ids('a'), await ids('b'), await ids('x/y')]).toEqual([[1, 200, 268_435_455], [1, 268_435_455], [268_435_455]])
    await c.settled()
    expect(c.on(topic)).toHaveLength(3)
    await c.end()
    await publisher.say(`${topic}/a`, 'kept')
    const again = await node.client({ user, version: 5 })
    const [kept] = await again.got(`${topic}/a`, 1)
    expect([kept!.packet.properties?.subscriptionIdentifier ?? []].flat().sort((a, b) => a - b)).toEqual([1, 200, 268_435_455])
  })
})
