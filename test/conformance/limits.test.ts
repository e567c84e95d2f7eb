import type { Packet } from 'mqtt-packet'
import { cut } from '../support/bytes.js'
import type { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { ordinaryNode, payloads, sayOnce, subscribe } from '../support/ordinary.js'

/** What an MQTT 5 client says it takes: how much at a time, how large, and what it wants to be told. */
const node = ordinaryNode()

describe('Receive Maximum', () => {
  test.each([1, 2, 10])('no more than %i are unacknowledged; each acknowledgement makes room for one more [MQTT5-3.3.4-9 4.9.0-1 4.9.0-2]', async receiveMaximum => {
    const topic = node.topic()
    const c = await node.client({ version: 5, acks: false, properties: { receiveMaximum } })
    await c.subscribe(topic, 2)
    const publisher = await node.client()
    for (const n of range(1, 30)) publisher.publish(topic, `${n}`, { qos: n % 2 === 0 ? 1 : 2 })
    await publisher.settled()
    await c.got(topic, receiveMaximum)
    await c.settled()
    expect(c.on(topic)).toHaveLength(receiveMaximum)
    for (let i = 0; i < 30 - receiveMaximum; i++) {
      const d = c.on(topic)[i]!
      // PUBACK, PUBCOMP, and a PUBREC that refuses make room; a PUBREC alone does not
      if (d.qos === 1) c.send({ cmd: 'puback', messageId: d.id })
      else if (i % 4 === 0) c.send({ cmd: 'pubrec', messageId: d.id, reasonCode: 0x97 })
      else {
        c.send({ cmd: 'pubrec', messageId: d.id })
        await c.answer('pubrel', d.id)
        await c.settled()
        expect(c.on(topic)).toHaveLength(receiveMaximum + i)
        c.send({ cmd: 'pubcomp', messageId: d.id })
      }
      await c.got(topic, receiveMaximum + i + 1)
      await c.settled()
      expect(c.on(topic)).toHaveLength(receiveMaximum + i + 1)
    }
    expect(payloads(c, topic)).toEqual(range(1, 30).map(n => `${n}`))
  })

  test('it holds on the next connection as that one says, repetitions included [MQTT5-3.3.4-9 4.9.0-1]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    const c = await node.client({ user, version: 5, acks: false })
    await c.subscribe(topic, 1)
    const publisher = await node.client()
    for (const n of range(1, 10)) await publisher.say(topic, `${n}`)
    await c.got(topic, 10)
    c.destroy()
    const again = await node.client({ user, version: 5, acks: false, properties: { receiveMaximum: 3 } })
    await again.got(topic, 3)
    await again.settled()
    expect(payloads(again, topic)).toEqual(['1', '2', '3'])
  })

  test('a full window holds up nothing but PUBLISH above QoS 0 [MQTT5-3.3.4-10 4.9.0-3]', async () => {
    const topic = node.topic()
    const c = await node.client({ version: 5, acks: false, properties: { receiveMaximum: 1 } })
    await c.subscribe(topic, 2)
    const publisher = await node.client()
    for (const n of range(1, 3)) await sayOnce(publisher, topic, `${n}`)
    const [first] = await c.got(topic, 1)
    await c.settled()
    await subscribe(c, [{ topic: `${topic}/more`, qos: 1 }])
    await c.unsubscribe(`${topic}/more`)
    await c.say(`${topic}/own`, 'x')
    await sayOnce(c, `${topic}/own`, 'x')
    c.send({ cmd: 'pubrec', messageId: first!.id })
    await c.answer('pubrel', first!.id)
    expect(c.on(topic)).toHaveLength(1)
  })
})

describe('Maximum Packet Size', () => {
  test('a message that is too large is dropped as if delivered: no room is lost, none comes again [MQTT5-3.1.2-24 3.1.2-25]', async () => {
    const [topic, user] = [node.topic(), node.user()]
    const properties = { maximumPacketSize: 100, receiveMaximum: 1, sessionExpiryInterval: 3600 }
    let c = await node.client({ user, version: 5, properties })
    await c.subscribe(topic, 2)
    const publisher = await node.client()
    const bursts = async (): Promise<void> => {
      for (const qos of [0, 1, 2] as const) {
        if (qos === 2) await sayOnce(publisher, topic, 'x'.repeat(200))
        else { publisher.publish(topic, 'x'.repeat(200), { qos }); await publisher.settled() }
        await publisher.say(topic, `small ${qos}`)
      }
    }
    await bursts()
    await c.got(topic, 3)
    await c.settled()
    await c.end()
    await bursts()
    const before = payloads(c, topic)
    c = await node.client({ user, version: 5, properties })
    await c.got(topic, 3)
    await c.settled()
    expect([before, payloads(c, topic)]).toEqual([['small 0', 'small 1', 'small 2'], ['small 0', 'small 1', 'small 2']])
  })

  test.each([20, 24, 30, 40])('no answer is larger than %i bytes: Reason String and user properties are left out where they do not fit [MQTT5-3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 3.14.2-3 3.14.2-4]', async maximumPacketSize => {
    const c = await node.open(5)
    const chunks: Buffer[] = []
    c.socket.on('data', (b: Buffer) => { chunks.push(b) })
    await c.hello({ user: node.user(), version: 5, keepalive: 60, properties: { maximumPacketSize } })
    await sayAll(c)
    c.raw(Buffer.from([0xc1, 0]))
    await c.untilClosed()
    const packets = cut(Buffer.concat(chunks))
    expect(new Set(packets.map(p => p.head >> 4))).toEqual(new Set([2, 3, 4, 5, 6, 7, 9, 11, 13, 14]))
    for (const { head, size } of packets) expect([head, size <= maximumPacketSize]).toEqual([head, true])
  })
})

test('with Request Problem Information 0 reason strings and user properties stand in PUBLISH, CONNACK and DISCONNECT only [MQTT5-3.1.2-29]', async () => {
  const c = await node.client({ version: 5, properties: { requestProblemInformation: false } })
  await sayAll(c)
  for (const h of c.heard) {
    if (['publish', 'connack', 'disconnect'].includes(h.cmd)) continue
    for (const name of ['reasonString', 'userProperties']) expect([h.cmd, (h as { properties?: object }).properties ?? {}]).not.toMatchObject([h.cmd, { [name]: expect.anything() as unknown }])
  }
})

/** Gives the broker reason to send every kind of answer, refusals among them. */
async function sayAll (c: Client): Promise<void> {
  const t = node.topic().slice(-6)
  await subscribe(c, [{ topic: t, qos: 2 }, { topic: 'u/x/#' }])
  for (const topic of [t, 'closed/x', 'u/bob/msg', 'u/bob/no', 'rpc/no.such']) {
    await c.say(topic, 'x')
    const id = c.publish(topic, 'x', { qos: 2 })
    const rec: Packet & { reasonCode?: number } = await c.answer('pubrec', id)
    if ((rec.reasonCode ?? 0) < 0x80) { c.send({ cmd: 'pubrel', messageId: id }); await c.answer('pubcomp', id) }
  }
  c.send({ cmd: 'pubrel', messageId: 4711 }) // of which nothing is known
  await c.answer('pubcomp', 4711)
  await c.until(() => c.heard.some(h => h.cmd === 'pubrel'), 'PUBREL')
  await c.unsubscribe(t)
  await c.settled()
}
