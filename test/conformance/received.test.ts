import type { IPubrecPacket } from 'mqtt-packet'
import type { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { inBoth, ordinaryNode, payloads, sayOnce } from '../support/ordinary.js'

/** What clients publish, and how it is answered. */
const node = ordinaryNode()

const all = (c: Client, cmd: string): (number | undefined)[] => c.heard.filter(h => h.cmd === cmd).map(h => h.messageId)
const send = (c: Client, topic: string, payload: string, qos: 1 | 2, id: number, dup = false): void => { c.publish(topic, payload, { qos, id, dup }) }
async function subscriber (topic: string): Promise<Client> {
  const c = await node.client()
  await c.subscribe(topic, 2)
  return c
}

inBoth('nothing answers QoS 0, PUBACK QoS 1, PUBREC and PUBCOMP QoS 2, with its packet identifier [MQTT-3.3.4-1] [MQTT3-2.3.1-6] [MQTT5-2.2.1-5]', async version => {
  const topic = node.topic()
  const c = await node.client({ version })
  c.publish(topic, '0', { qos: 0 })
  send(c, topic, '1', 1, 65_535)
  send(c, topic, '2', 2, 256)
  await c.answer('pubrec', 256)
  c.send({ cmd: 'pubrel', messageId: 256 })
  await c.answer('pubcomp', 256)
  await c.answer('puback', 65_535)
  await c.settled()
  expect(c.heard.map(h => [h.cmd, h.messageId]).sort()).toEqual([['connack', undefined], ['pingresp', undefined], ['puback', 65_535], ['pubcomp', 256], ['pubrec', 256]])
})

inBoth('QoS 1: after PUBACK its identifier means a new message, whatever DUP says [MQTT3-4.3.2-2] [MQTT5-4.3.2-4 4.3.2-5]', async version => {
  const topic = node.topic()
  const s = await subscriber(topic)
  const c = await node.client({ version })
  for (const [n, dup] of [[1, false], [2, true], [3, false]] as const) {
    send(c, topic, `${n}`, 1, 7, dup)
    await c.until(() => all(c, 'puback').length === n, `PUBACK ${n}`)
  }
  await s.got(topic, 3)
  expect([all(c, 'puback'), payloads(s, topic)]).toEqual([[7, 7, 7], ['1', '2', '3']])
})

inBoth('QoS 2: once until PUBREL, each time answered with PUBREC; PUBREL with PUBCOMP; then the identifier means a new message [MQTT3-4.3.3-2] [MQTT5-4.3.3-8 4.3.3-10 4.3.3-11 4.3.3-12]', async version => {
  const topic = node.topic()
  const s = await subscriber(topic)
  const c = await node.client({ version })
  for (const dup of [false, true, true]) send(c, topic, 'once', 2, 7, dup)
  await c.until(() => all(c, 'pubrec').length >= 1, 'PUBREC')
  send(c, topic, 'once', 2, 7, true)
  await c.settled()
  const recs = all(c, 'pubrec').length
  expect([recs >= 2, new Set(all(c, 'pubrec'))]).toEqual([true, new Set([7])])
  c.send({ cmd: 'pubrel', messageId: 7 })
  await c.answer('pubcomp', 7)
  c.send({ cmd: 'pubrel', messageId: 7 }) // sent again by who did not hear PUBCOMP
  await c.until(() => all(c, 'pubcomp').length === 2, 'PUBCOMP again')
  send(c, topic, 'another', 2, 7)
  await c.until(() => all(c, 'pubrec').length > recs, 'PUBREC of the new message')
  await s.until(() => payloads(s, topic).includes('another'), 'the new message')
  expect(payloads(s, topic)).toEqual(['once', 'another'])
})

inBoth('QoS 2: a message that is sent again on the next connection of the session is the same message [MQTT3-4.3.3-2] [MQTT5-4.3.3-10]', async version => {
  const [topic, user] = [node.topic(), node.user()]
  const s = await subscriber(topic)
  let c = await node.client({ user, version })
  send(c, topic, 'once', 2, 7)
  await c.answer('pubrec', 7)
  c.destroy()
  c = await node.client({ user, version })
  send(c, topic, 'once', 2, 7, true)
  await c.answer('pubrec', 7)
  c.send({ cmd: 'pubrel', messageId: 7 })
  await c.answer('pubcomp', 7)
  await sayOnce(c, topic, 'next')
  await s.until(() => payloads(s, topic).includes('next'), 'the next message')
  expect(payloads(s, topic)).toEqual(['once', 'next'])
})

inBoth('QoS 2: in a new session the identifier means a new message [MQTT3-3.1.2-6] [MQTT5-3.1.2-4]', async version => {
  const [topic, user] = [node.topic(), node.user()]
  const s = await subscriber(topic)
  for (const payload of ['old', 'new']) {
    const c = await node.client({ user, version, clean: true })
    send(c, topic, payload, 2, 7)
    await c.answer('pubrec', 7)
    c.destroy()
  }
  await s.got(topic, 2)
  expect(payloads(s, topic)).toEqual(['old', 'new'])
})

inBoth('answers come in the order of what they answer, although some have to wait for the disk [MQTT-4.6.0-2 4.6.0-3] [MQTT3-4.6.0-6]', async version => {
  const topic = node.topic()
  const c = await node.client({ version })
  const ids = range(1, 60)
  c.socket.cork()
  for (const id of ids) send(c, id % 5 < 2 ? topic : 'u/somebody/msg', `${id}`, id % 3 === 0 ? 2 : 1, id)
  c.socket.uncork()
  await c.until(() => all(c, 'puback').length + all(c, 'pubrec').length === ids.length, 'all answers')
  expect(all(c, 'puback')).toEqual(ids.filter(id => id % 3 !== 0))
  expect(all(c, 'pubrec')).toEqual(ids.filter(id => id % 3 === 0))
})

test('MQTT 3.1.1: a publish that is not allowed is acknowledged as any other, and delivered to nobody [MQTT3-3.3.5-2]', async () => {
  const s = await subscriber('closed/#')
  const c = await node.client()
  await c.say('closed/x', 'no')
  await sayOnce(c, 'closed/x', 'no')
  c.publish('closed/x', 'no', { qos: 0 })
  await c.settled()
  await s.settled()
  expect(s.on('closed')).toEqual([])
})

describe('MQTT 5', () => {
  /** Tables 3-4, 3-5 and 3-7 of the standard. */
  const OF_PUBLISH = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
  const OF_RELEASE = [0x00, 0x92]

  test('reason codes of PUBACK, PUBREC and PUBCOMP are those of the standard [MQTT5-3.4.2-1 3.5.2-1 3.7.2-1]', async () => {
    const c = await node.client({ version: 5 })
    for (const topic of [node.topic(), 'closed/x', '$SYS/x', 'u/bob/msg', 'u/bob/ack', 'g/nobody/msg', 'presence/bob', 'rpc/no.such']) {
      for (const payload of ['hello', '{"wrong":1}', '']) {
        const ack = await c.say(topic, payload) as { reasonCode?: number }
        expect([topic, OF_PUBLISH.includes(ack.reasonCode ?? 0)]).toEqual([topic, true])
        const id = c.publish(topic, payload, { qos: 2 })
        const rec = await c.answer('pubrec', id) as { reasonCode?: number }
        expect([topic, OF_PUBLISH.includes(rec.reasonCode ?? 0)]).toEqual([topic, true])
        c.send({ cmd: 'pubrel', messageId: id })
        expect(OF_RELEASE).toContain((await c.answer('pubcomp', id) as { reasonCode?: number }).reasonCode ?? 0)
      }
    }
  })

  test('after a PUBREC that refuses, the identifier means a new message [MQTT5-4.3.3-9]', async () => {
    const topic = node.topic()
    const s = await subscriber(topic)
    const c = await node.client({ version: 5 })
    send(c, 'closed/x', 'no', 2, 7)
    expect((await c.answer('pubrec', 7) as IPubrecPacket).reasonCode).toBe(0x87)
    send(c, topic, 'yes', 2, 7)
    await s.got(topic, 1)
    expect(payloads(s, topic)).toEqual(['yes'])
  })

  test('the exchange goes on although the message expired [MQTT5-4.3.3-13]', async () => {
    const topic = node.topic()
    const c = await node.client({ version: 5 })
    c.publish(topic, 'short-lived', { qos: 2, id: 7, properties: { messageExpiryInterval: 1 } })
    await c.answer('pubrec', 7)
    node.clock.advance(5000)
    c.publish(topic, 'short-lived', { qos: 2, id: 7, dup: true, properties: { messageExpiryInterval: 1 } })
    await c.until(() => all(c, 'pubrec').length === 2, 'PUBREC again')
    c.send({ cmd: 'pubrel', messageId: 7 })
    expect(await c.answer('pubcomp', 7)).toMatchObject({ reasonCode: 0 })
  })
})
