import type { IConnectPacket } from 'mqtt-packet'
import type { Client } from '../support/client.js'
import { inBoth, ordinaryNode, payloads } from '../support/ordinary.js'

const node = ordinaryNode()

type Will = NonNullable<IConnectPacket['will']>
const will = (topic: string, more: Partial<Will> = {}): Will => ({ topic, payload: Buffer.from('gone'), qos: 1, retain: false, ...more })

/** Who hears wills; and says the word after which nothing older comes. */
async function watcher (topic: string): Promise<Client> {
  const c = await node.client()
  await c.subscribe(topic, 2)
  return c
}

/** All that was published to the topic up to now. */
async function heard (c: Client, topic: string): Promise<string[]> {
  await c.settled()
  await c.say(topic, 'until now')
  await c.until(() => payloads(c, topic).includes('until now'), 'the own word')
  return payloads(c, topic).filter(s => s !== 'until now')
}

const ends: [string, (c: Client) => Promise<void>][] = [
  ['the socket is reset', async c => { c.destroy() }],
  ['the socket ends', async c => { c.socket.end(); await c.untilClosed() }],
  ['a protocol error', async c => { c.raw(Buffer.from([0xc1, 0])); await c.untilClosed() }],
  ['the keep-alive is over', async c => { node.clock.advance(20_000); await c.untilClosed() }]
]
describe.each(ends)('a will is stored, and published when the connection ends without DISCONNECT [MQTT3-3.1.2-8] [MQTT5-3.1.2-7 3.1.2-8]: %s', (_how, end) => {
  inBoth('with its QoS, not retained [MQTT3-3.1.2-16] [MQTT5-3.1.2-14]', async version => {
    for (const qos of [0, 1, 2] as const) {
      const topic = node.topic()
      const w = await watcher(topic)
      const c = await node.client({ version, clean: true, keepalive: 10, will: will(topic, { qos }) })
      expect(await heard(w, topic)).toEqual([])
      await end(c)
      await w.until(() => payloads(w, topic).includes('gone'), 'the will')
      const [d] = w.on(topic).filter(d => d.packet.payload.toString() === 'gone')
      expect([d!.qos, d!.packet.retain]).toEqual([qos, false])
      const late = await node.client()
      await late.subscribe(topic, 1)
      await late.settled()
      expect(payloads(late, topic)).toEqual([])
    }
  })
})

inBoth('a will to be retained is [MQTT3-3.1.2-17] [MQTT5-3.1.2-15]', async version => {
  const topic = node.topic()
  const w = await watcher(topic)
  const c = await node.client({ version, clean: true, will: will(topic, { retain: true }) })
  c.destroy()
  await w.got(topic, 1)
  const late = await node.client()
  await late.subscribe(topic, 2)
  expect((await late.got(topic, 1)).map(d => [d.packet.payload.toString(), d.packet.retain, d.qos])).toEqual([['gone', true, 1]])
})

inBoth('DISCONNECT removes it unpublished, also when the session goes on [MQTT3-3.1.2-10 3.14.4-3] [MQTT5-3.1.2-8 3.1.2-10 3.14.4-3]', async version => {
  const [user, topic] = [node.user(), node.topic()]
  const w = await watcher(topic)
  for (const clean of [true, false]) await (await node.client({ user, version, clean, will: will(topic) })).end()
  const c = await node.client({ user, version })
  c.destroy() // a connection without a will
  expect(await heard(w, topic)).toEqual([])
})

inBoth('without a will nothing is published, although an earlier connection had one [MQTT3-3.1.2-10 3.1.2-12] [MQTT5-3.1.2-10]', async version => {
  const [user, topic] = [node.user(), node.topic()]
  const w = await watcher(topic)
  const c = await node.client({ user, version, will: will(topic) })
  c.destroy()
  await w.got(topic, 1)
  const again = await node.client({ user, version })
  again.socket.end()
  await again.untilClosed()
  expect(await heard(w, topic)).toEqual(['gone'])
})

inBoth('a will is due when a new connection takes the client identifier, unless MQTT 5 delays it [MQTT3-3.1.2-8] [MQTT5-3.1.2-8]', async version => {
  const [user, topic] = [node.user(), node.topic()]
  const w = await watcher(topic)
  await node.client({ user, version, will: will(topic) })
  await node.client({ user, version })
  await w.got(topic, 1)
  expect(await heard(w, topic)).toEqual(['gone'])
})

describe('MQTT 5', () => {
  const delayed = (topic: string, seconds: number): Will => will(topic, { properties: { willDelayInterval: seconds } })

  test('a DISCONNECT with another reason than 0 leaves the will due [MQTT5-3.1.2-8]', async () => {
    const topic = node.topic()
    const w = await watcher(topic)
    const c = await node.client({ version: 5, will: will(topic) })
    c.send({ cmd: 'disconnect', reasonCode: 4 })
    await c.untilClosed()
    await w.got(topic, 1)
  })

  test('a will waits for its delay [MQTT5-3.1.2-8]', async () => {
    const topic = node.topic()
    const w = await watcher(topic)
    const c = await node.client({ version: 5, will: delayed(topic, 10) })
    c.socket.end()
    await c.untilClosed()
    node.clock.advance(9000)
    expect(await heard(w, topic)).toEqual([])
    node.clock.advance(2000)
    await w.until(() => payloads(w, topic).includes('gone'), 'the will')
    expect(w.on(topic).at(-1)!.packet.properties ?? {}).not.toHaveProperty('willDelayInterval')
  })

  test('or for the end of the session, if that comes first [MQTT5-3.1.2-8]', async () => {
    const topic = node.topic()
    const w = await watcher(topic)
    const short = await node.client({ version: 5, will: delayed(topic, 3600), properties: { sessionExpiryInterval: 5 } })
    short.socket.end()
    await short.untilClosed()
    expect(await heard(w, topic)).toEqual([])
    node.clock.advance(6000)
    await w.until(() => payloads(w, topic).includes('gone'), 'the will')
    const none = await node.client({ version: 5, will: delayed(topic, 3600), properties: { sessionExpiryInterval: 0 } })
    none.destroy()
    await w.until(() => payloads(w, topic).filter(s => s === 'gone').length === 2, 'the second will')
  })

  test('a session that goes on before the delay is over does not send it, then or later [MQTT5-3.1.3-9 3.1.2-8]', async () => {
    const [user, topic] = [node.user(), node.topic()]
    const w = await watcher(topic)
    const c = await node.client({ user, version: 5, will: delayed(topic, 10) })
    c.socket.end()
    await c.untilClosed()
    node.clock.advance(9000)
    await node.client({ user, version: 5 })
    node.clock.advance(60_000)
    expect(await heard(w, topic)).toEqual([])
  })

  test('a Clean Start ends the session and so the delay: the will is sent [MQTT5-3.1.2-8]', async () => {
    const [user, topic] = [node.user(), node.topic()]
    const w = await watcher(topic)
    const c = await node.client({ user, version: 5, will: delayed(topic, 3600) })
    c.socket.end()
    await c.untilClosed()
    await node.client({ user, version: 5, clean: true })
    await w.until(() => payloads(w, topic).includes('gone'), 'the will')
  })
})
