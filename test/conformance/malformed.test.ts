import type { IDisconnectPacket } from 'mqtt-packet'
import { field, packet, short, sized } from '../support/bytes.js'
import { Client } from '../support/client.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

/** Bytes that the standards do not allow, and the only answer to them: the connection ends. */

type Version = 4 | 5
let p: Parley
beforeAll(async () => { p = await startParley() })
afterAll(closeAll)

const OVERLONG = Buffer.from([0xc0, 0x80])
const SURROGATE = Buffer.from([0x61, 0xed, 0xa0, 0x80])
/** No properties, where the version has any. */
const none = (v: Version): Buffer => Buffer.from(v === 5 ? [0] : [])

const connect = (v: Version, flags: number, ...payload: (string | Buffer)[]): Buffer => connectOf('MQTT', v, v, flags, ...payload)
const connectOf = (name: string, level: number, v: Version, flags: number, ...payload: (string | Buffer)[]): Buffer =>
  packet(0x10, short(field(name), level, flags, 0, 60, none(v), ...payload))

async function unanswered (v: Version, bytes: Buffer): Promise<void> {
  const c = await Client.open(p.port('mqtt'), v)
  c.raw(bytes)
  await c.untilClosed()
  expect(c.heard).toEqual([])
}

describe('a CONNECT that is none is closed without an answer [MQTT-3.1.4-1] [MQTT3-3.2.2-6] [MQTT5-3.14.0-1]', () => {
  const both: [string, (v: Version) => Buffer][] = [
    ['another protocol name [MQTT-3.1.2-1]', v => connectOf('MQTX', v, v, 0x82, field('x'), field('mallory'))],
    ['the reserved connect flag [MQTT-3.1.2-3]', v => connect(v, 0x83, field('x'), field('mallory'))],
    ['flags in the fixed header [MQTT3-2.2.2-2] [MQTT5-2.1.3-1]', v => { const b = connect(v, 0x82, field('x'), field('mallory')); b[0] = 0x11; return b }],
    ['a client identifier that is no UTF-8 [MQTT3-1.5.3-1 3.1.3-4] [MQTT5-1.5.4-1 3.1.3-4]', v => connect(v, 0x82, field(OVERLONG), field('mallory'))],
    ['a surrogate in a client identifier [MQTT3-1.5.3-1] [MQTT5-1.5.4-1]', v => connect(v, 0x82, field(SURROGATE), field('mallory'))],
    ['U+0000 in a client identifier [MQTT3-1.5.3-2] [MQTT5-1.5.4-2]', v => connect(v, 0x82, field('a\0b'), field('mallory'))],
    ['a will topic that is no UTF-8 [MQTT3-3.1.3-10] [MQTT5-3.1.3-11]', v => connect(v, 0x86, field('x'), none(v), field(OVERLONG), field('gone'), field('mallory'))],
    ['U+0000 in a will topic [MQTT3-1.5.3-2] [MQTT5-1.5.4-2]', v => connect(v, 0x86, field('x'), none(v), field('a\0'), field('gone'), field('mallory'))],
    ['a user name that is no UTF-8 [MQTT3-3.1.3-11] [MQTT5-3.1.3-12]', v => connect(v, 0x82, field('x'), field(SURROGATE))],
    ['a will QoS of 3', v => connect(v, 0x9e, field('x'), none(v), field('will'), field('gone'), field('mallory'))],
    ['a will QoS without a will', v => connect(v, 0x8a, field('x'), field('mallory'))],
    ['a will to be retained without a will', v => connect(v, 0xa2, field('x'), field('mallory'))],
    ['a user name that is not there', v => connect(v, 0x82, field('x'))],
    ['a will that is not there', v => connect(v, 0x06, field('x'))],
    ['a client identifier that is not there', v => connect(v, 0x02)],
    ['bytes behind the last field', v => connect(v, 0x82, field('x'), field('mallory'), field('more'))]
  ]
  describe.each<Version>([4, 5])('in version byte %i', v => {
    test.each(both)('%s', async (_title, bytes) => { await unanswered(v, bytes(v)) })
  })

  test.each<[string, Buffer]>([
    ['a property given twice', short(0x21, 0, 9, 0x21, 0, 9)],
    ['an unknown property', short(0x7f, 1)],
    ['a property of another packet', short(0x0b, 1)],
    ['a user property whose name is no UTF-8 [MQTT5-1.5.7-1]', short(0x26, field(OVERLONG), field('x'))],
    ['a user property whose value is no UTF-8 [MQTT5-1.5.7-1]', short(0x26, field('x'), field(SURROGATE))]
  ])('in MQTT 5 %s', async (_title, properties) => {
    await unanswered(5, packet(0x10, short(field('MQTT'), 5, 0x82, 0, 60, sized(properties), field('x'), field('mallory'))))
  })
})

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
const FILTER_INVALID = 0x8f
const TOPIC_INVALID = 0x90
const ALIAS_INVALID = 0x94

/** PUBLISH at QoS 1 with properties as they stand. */
const publish = (v: Version, topic: string | Buffer, properties: Buffer = Buffer.alloc(0)): Buffer =>
  packet(0x32, short(field(topic), 0, 9, ...v === 5 ? [sized(properties)] : [], 'x'))
const subscribe = (v: Version, filter: string | Buffer, options = 1): Buffer => packet(0x82, short(0, 9, none(v), field(filter), options))
const unsubscribe = (v: Version, filter: string | Buffer): Buffer => packet(0xa2, short(0, 9, none(v), field(filter)))
const withHead = (head: number, b: Buffer): Buffer => { b[0] = head; return b }

/** DISCONNECT and nothing else, without what only a client may say. */
function expectFarewell (answers: object[], reason: number): void {
  expect(answers).toMatchObject([{ cmd: 'disconnect', reasonCode: reason }])
  expect((answers[0] as IDisconnectPacket).properties ?? {}).not.toHaveProperty('sessionExpiryInterval')
}

/** Signed in, then those bytes and a PINGREQ; until the broker closes. What it said after CONNACK. */
async function answersTo (v: Version, bytes: Buffer): Promise<object[]> {
  const c = await Client.open(p.port('mqtt'), v)
  await c.hello({ user: 'mallory', version: v })
  c.raw(Buffer.concat([bytes, Buffer.from([0xc0, 0])]))
  await c.untilClosed()
  return c.heard.slice(1)
}

describe('what is malformed or a protocol error ends the connection, in MQTT 5 with its reason, and nothing comes after [MQTT3-4.8.0-1] [MQTT5-4.13.1-1 4.13.2-1 3.14.2-1 3.14.2-2 3.14.4-1 3.14.4-2]', () => {
  /** With the reason that MQTT 5 is told. */
  const both: [string, number, (v: Version) => Buffer][] = [
    ['a second CONNECT [MQTT-3.1.0-2]', PROTOCOL_ERROR, v => connect(v, 0x82, field('x'), field('mallory'))],
    ['a topic name that is no UTF-8 [MQTT-3.3.2-1] [MQTT3-1.5.3-1] [MQTT5-1.5.4-1]', MALFORMED, v => publish(v, short('a/', OVERLONG))],
    ['a surrogate in a topic name [MQTT3-1.5.3-1] [MQTT5-1.5.4-1]', MALFORMED, v => publish(v, SURROGATE)],
    ['U+0000 in a topic name [MQTT-4.7.3-2] [MQTT3-1.5.3-2] [MQTT5-1.5.4-2]', MALFORMED, v => publish(v, 'a\0b')],
    ['`+` in a topic name [MQTT-3.3.2-2] [MQTT3-4.7.1-1] [MQTT5-4.7.0-1]', TOPIC_INVALID, v => publish(v, 'a/+/b')],
    ['`#` in a topic name [MQTT-3.3.2-2] [MQTT3-4.7.1-1] [MQTT5-4.7.0-1]', TOPIC_INVALID, v => publish(v, 'a/#')],
    ['an empty topic name [MQTT-4.7.3-1]', PROTOCOL_ERROR, v => publish(v, '')],
    ['QoS 3 [MQTT-3.3.1-4]', MALFORMED, v => withHead(0x36, publish(v, 'a'))],
    ['DUP at QoS 0 [MQTT-3.3.1-2]', PROTOCOL_ERROR, v => packet(0x38, short(field('a'), none(v), 'x'))],
    ['DUP at QoS 0 on a topic of ours [MQTT-3.3.1-2]', PROTOCOL_ERROR, v => packet(0x38, short(field('u/bob/msg'), none(v), 'x'))],
    ['PUBLISH with packet identifier 0 [MQTT3-2.3.1-1]', PROTOCOL_ERROR, v => packet(0x32, short(field('a'), 0, 0, none(v), 'x'))],
    ['SUBSCRIBE with packet identifier 0 [MQTT3-2.3.1-1]', PROTOCOL_ERROR, v => packet(0x82, short(0, 0, none(v), field('a'), 1))],
    ['UNSUBSCRIBE with packet identifier 0 [MQTT3-2.3.1-1]', PROTOCOL_ERROR, v => packet(0xa2, short(0, 0, none(v), field('a')))],
    ['PUBREL with other flags [MQTT-3.6.1-1] [MQTT3-2.2.2-2]', MALFORMED, () => packet(0x60, short(0, 9))],
    ['SUBSCRIBE with other flags [MQTT-3.8.1-1] [MQTT3-2.2.2-2]', MALFORMED, v => withHead(0x80, subscribe(v, 'a'))],
    ['UNSUBSCRIBE with other flags [MQTT-3.10.1-1] [MQTT3-2.2.2-2]', MALFORMED, v => withHead(0xa0, unsubscribe(v, 'a'))],
    ['DISCONNECT with reserved bits [MQTT-3.14.1-1] [MQTT3-2.2.2-2]', MALFORMED, () => packet(0xe1, short())],
    ['PINGREQ with reserved bits [MQTT3-2.2.2-2]', MALFORMED, () => packet(0xc4, short())],
    ['PUBACK with reserved bits [MQTT3-2.2.2-2]', MALFORMED, () => packet(0x42, short(0, 9))],
    ['PUBREC with reserved bits [MQTT3-2.2.2-2]', MALFORMED, () => packet(0x51, short(0, 9))],
    ['PUBCOMP with reserved bits [MQTT3-2.2.2-2]', MALFORMED, () => packet(0x78, short(0, 9))],
    ['SUBSCRIBE with a filter that is no UTF-8 [MQTT-3.8.3-1]', MALFORMED, v => subscribe(v, SURROGATE)],
    ['UNSUBSCRIBE with a filter that is no UTF-8 [MQTT-3.10.3-1]', MALFORMED, v => unsubscribe(v, OVERLONG)],
    ['SUBSCRIBE with U+0000 [MQTT-4.7.3-2]', MALFORMED, v => subscribe(v, 'a/\0')],
    ['UNSUBSCRIBE with U+0000 [MQTT-4.7.3-2]', MALFORMED, v => unsubscribe(v, '\0')],
    ['SUBSCRIBE with an empty filter [MQTT-4.7.3-1]', FILTER_INVALID, v => subscribe(v, '')],
    ['UNSUBSCRIBE with an empty filter [MQTT-4.7.3-1]', FILTER_INVALID, v => unsubscribe(v, '')],
    ['SUBSCRIBE without a filter [MQTT3-3.8.3-3] [MQTT5-3.8.3-2]', PROTOCOL_ERROR, v => packet(0x82, short(0, 9, none(v)))],
    ['UNSUBSCRIBE without a filter [MQTT-3.10.3-2]', PROTOCOL_ERROR, v => packet(0xa2, short(0, 9, none(v)))],
    ['SUBSCRIBE with reserved bits [MQTT3-3.8.3-4] [MQTT5-3.8.3-5]', MALFORMED, v => subscribe(v, 'a', 0xc1)],
    ['SUBSCRIBE at QoS 3 [MQTT3-3.8.3-4]', MALFORMED, v => subscribe(v, 'a', 3)],
    ['`#` before the last level [MQTT3-4.7.1-2] [MQTT5-4.7.1-1]', FILTER_INVALID, v => subscribe(v, 'a/#/b')],
    ['`#` in a level with more [MQTT3-4.7.1-2] [MQTT5-4.7.1-1]', FILTER_INVALID, v => subscribe(v, 'a/b#')],
    ['`+` in a level with more [MQTT3-4.7.1-3] [MQTT5-4.7.1-2]', FILTER_INVALID, v => subscribe(v, 'a+/b')],
    ['CONNACK from a client', PROTOCOL_ERROR, v => packet(0x20, short(0, 0, none(v)))],
    ['SUBACK from a client', PROTOCOL_ERROR, v => packet(0x90, short(0, 9, none(v), 0))],
    ['UNSUBACK from a client', PROTOCOL_ERROR, v => packet(0xb0, short(0, 9, ...v === 5 ? [0, 0] : []))],
    ['PINGRESP from a client', PROTOCOL_ERROR, () => packet(0xd0, short())],
    ['packet type 0', PROTOCOL_ERROR, () => packet(0x00, short())]
  ]
  describe.each<Version>([4, 5])('in version byte %i', v => {
    test.each(both)('%s', async (_title, reason, bytes) => {
      const answers = await answersTo(v, bytes(v))
      if (v === 5) expectFarewell(answers, reason)
      else expect(answers).toEqual([])
    })
  })

  test('packet type 15 in MQTT 3.1.1', async () => { expect(await answersTo(4, packet(0xf0, short()))).toEqual([]) })

  test.each<[string, number, Buffer]>([
    ['AUTH with reserved bits [MQTT5-3.15.1-1]', MALFORMED, packet(0xf1, short(0x18, 0))],
    ['AUTH where CONNECT named no method [MQTT5-4.12.1-2]', PROTOCOL_ERROR, packet(0xf0, short(0x19, 4, 0x15, field('x')))],
    ['Topic Alias 0 [MQTT5-3.3.2-8]', ALIAS_INVALID, publish(5, 'a', short(0x23, 0, 0))],
    ['a Topic Alias that stands for nothing', PROTOCOL_ERROR, publish(5, '', short(0x23, 0, 1))],
    ['a Topic Alias above the maximum', ALIAS_INVALID, publish(5, 'a', short(0x23, 0xff, 0xff))],
    ['a Response Topic that is no UTF-8 [MQTT5-3.3.2-13]', MALFORMED, publish(5, 'a', short(0x08, field(OVERLONG)))],
    ['a Response Topic with wildcards [MQTT5-3.3.2-14]', PROTOCOL_ERROR, publish(5, 'a', short(0x08, field('b/#')))],
    ['a Content Type that is no UTF-8 [MQTT5-3.3.2-19]', MALFORMED, publish(5, 'a', short(0x03, field(SURROGATE)))],
    ['a user property whose name is no UTF-8 [MQTT5-1.5.7-1]', MALFORMED, publish(5, 'a', short(0x26, field(OVERLONG), field('b')))],
    ['a user property with U+0000 in its value [MQTT5-1.5.7-1]', MALFORMED, publish(5, 'a', short(0x26, field('b'), field('\0')))],
    ['a Subscription Identifier in a client’s PUBLISH', PROTOCOL_ERROR, publish(5, 'a', short(0x0b, 1))],
    ['No Local on a shared subscription [MQTT5-3.8.3-4]', PROTOCOL_ERROR, subscribe(5, '$share/x/a', 5)],
    ['`+` in a share name [MQTT5-4.8.2-2]', FILTER_INVALID, subscribe(5, '$share/x+/a')],
    ['`#` in a share name [MQTT5-4.8.2-2]', FILTER_INVALID, subscribe(5, '$share/#/a')],
    ['Retain Handling 3', PROTOCOL_ERROR, subscribe(5, 'a', 0x31)],
    ['Subscription Identifier 0', PROTOCOL_ERROR, packet(0x82, short(0, 9, 2, 0x0b, 0, field('a'), 1))]
  ])('in MQTT 5: %s', async (_title, reason, bytes) => {
    expectFarewell(await answersTo(5, bytes), reason)
  })
})
