import type { Client } from '../support/client.js'
import { inBoth, ordinaryNode, payloads, sayOnce, subscribe } from '../support/ordinary.js'

const node = ordinaryNode()

/** Once this resolves a subscriber has been sent what was retained for what it subscribed to before. */
async function sent (c: Client): Promise<void> {
  const end = node.topic()
  await c.subscribe(end, 1)
  await c.say(end, 'x')
  await c.got(end, 1)
  await c.unsubscribe(end)
}

/** What a new subscriber of the filter is sent for it. */
async function retained (version: 4 | 5, filter: string): Promise<[payload: string, qos: number, retain: boolean][]> {
  const c = await node.client({ version })
  await c.subscribe(filter, 2)
  await sent(c)
  return c.on(filter.replace('/#', '')).map(d => [d.packet.payload.toString(), d.qos, d.packet.retain])
}

async function retain (c: Client, topic: string, payload: string, qos: 0 | 1 | 2 = 1): Promise<void> {
  const id = c.publish(topic, payload, { qos, retain: true })
  if (qos === 0) await c.settled()
  if (qos === 1) await c.answer('puback', id)
  if (qos === 2) { await c.answer('pubrec', id); c.send({ cmd: 'pubrel', messageId: id }); await c.answer('pubcomp', id) }
}

inBoth('is stored with its QoS, the last one of each topic, and sent to new subscriptions with RETAIN 1 [MQTT3-3.3.1-5 3.3.1-6 3.3.1-8] [MQTT5-3.3.1-5 3.3.1-9]', async version => {
  const topic = node.topic()
  const c = await node.client({ version })
  for (const qos of [0, 1, 2] as const) {
    await retain(c, topic, 'an older one', 1)
    await retain(c, topic, `${qos}`, qos)
    await retain(c, `${topic}/below`, `below ${qos}`, qos)
    expect(await retained(version, topic)).toEqual([[`${qos}`, qos, true]])
    expect((await retained(version, `${topic}/#`)).sort()).toEqual([[`${qos}`, qos, true], [`below ${qos}`, qos, true]])
  }
})

test('one of QoS 0 replaces what was retained [MQTT3-3.3.1-7]', async () => {
  const topic = node.topic()
  const c = await node.client()
  await retain(c, topic, 'first', 2)
  await retain(c, topic, 'second', 0)
  expect(await retained(4, topic)).toEqual([['second', 0, true]])
})

inBoth('a subscription that stands gets it with RETAIN 0 [MQTT3-3.3.1-9] [MQTT5-3.3.1-12]', async version => {
  const topic = node.topic()
  const c = await node.client({ version })
  await c.subscribe(topic, 1)
  await retain(c, topic, 'live')
  expect((await c.got(topic, 1)).map(d => d.packet.retain)).toEqual([false])
})

inBoth('an empty one is delivered as usual, removes what was retained, and is not retained itself [MQTT3-3.3.1-10 3.3.1-11] [MQTT5-3.3.1-6 3.3.1-7]', async version => {
  const topic = node.topic()
  const c = await node.client({ version })
  for (const qos of [0, 1, 2] as const) {
    await retain(c, topic, 'to be removed')
    await c.subscribe(topic, 1)
    await sent(c)
    const before = c.on(topic).length
    await retain(c, topic, '', qos)
    await c.until(() => c.on(topic).length > before, 'the empty message')
    expect(c.on(topic).slice(before).map(d => [d.packet.payload.length, d.packet.retain])).toEqual([[0, false]])
    expect(await retained(version, topic)).toEqual([])
    await c.unsubscribe(topic)
  }
})

inBoth('a message without RETAIN is not stored, and neither removes nor replaces what is, an empty one neither [MQTT3-3.3.1-12] [MQTT5-3.3.1-8]', async version => {
  const [topic, other] = [node.topic(), node.topic()]
  const c = await node.client({ version })
  await retain(c, topic, 'stays')
  for (const to of [topic, other]) {
    await c.say(to, 'passes')
    await sayOnce(c, to, 'passes')
    await c.say(to, '')
  }
  expect([await retained(version, topic), await retained(version, other)]).toEqual([[['stays', 1, true]], []])
})

test('outlives the session of who published it [MQTT3-3.1.2-7]', async () => {
  const topic = node.topic()
  const user = node.user()
  const c = await node.client({ user, clean: true })
  await retain(c, topic, 'stays')
  await c.end()
  await (await node.client({ user, clean: true })).end()
  expect(await retained(4, topic)).toEqual([['stays', 1, true]])
})

describe('MQTT 5', () => {
  const got = async (c: Client, topic: string, rh: 0 | 1 | 2): Promise<number> => {
    const before = c.on(topic).length
    await subscribe(c, [{ topic, qos: 1, rh }])
    await sent(c)
    return c.on(topic).length - before
  }

  test('Retain Handling: 0 at each SUBSCRIBE, 1 at a new subscription, 2 never [MQTT5-3.3.1-9 3.3.1-10 3.3.1-11]', async () => {
    const topic = node.topic()
    const c = await node.client({ version: 5 })
    await retain(c, topic, 'x')
    expect([await got(c, topic, 0), await got(c, topic, 0), await got(c, topic, 1), await got(c, topic, 2)]).toEqual([1, 1, 0, 0])
    await c.unsubscribe(topic)
    expect([await got(c, topic, 2), await got(c, topic, 1)]).toEqual([0, 0])
    await c.unsubscribe(topic)
    expect([await got(c, topic, 1), await got(c, topic, 1)]).toEqual([1, 0])
  })

  test('Retain As Published: RETAIN as it came, else 0; 1 in what a new subscription is sent [MQTT5-3.3.1-12 3.3.1-13]', async () => {
    const topic = node.topic()
    const publisher = await node.client({ version: 5 })
    const flags = async (rap: boolean): Promise<boolean[]> => {
      const c = await node.client({ version: 5 })
      await subscribe(c, [{ topic, qos: 1, rap }])
      await retain(publisher, topic, 'retained')
      await publisher.say(topic, 'not retained')
      await c.until(() => payloads(c, topic).includes('not retained'), 'both')
      return c.on(topic).map(d => d.packet.retain)
    }
    expect(await flags(true)).toEqual([true, false])
    expect(await flags(false)).toEqual([true, false, false]) // the first: what was retained when it subscribed
  })
})
