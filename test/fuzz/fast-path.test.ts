import fc from 'fast-check'
import type { IPublishPacket } from 'mqtt-packet'
import { parsePublish } from '../../broker/domain/topics.js'
import type { Arrived } from '../../broker/mqtt/arrived.js'
import { Connection, type MqttWorld } from '../../broker/mqtt/connection.js'
import { decode } from '../../broker/mqtt/frames.js'
import { WriteBatcher } from '../../broker/mqtt/write-batching.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

/** What a connection makes of one packet: how it read the PUBLISH, or that it closed. */
function read (frame: Buffer, version: number): object {
  let got: object = { closed: true }
  const world: MqttWorld = {
    batcher: new WriteBatcher(), clock: new FakeClock(), logger: recordingLogger(), maxPacketBytes: 1 << 20, publishPerSecond: 0, connector: {} as never,
    ordinary: { publish: (_c: Connection, m: Arrived) => { got = slowly(m) } } as never,
    chat: {
      parse: (c, topic) => { c.lastTopic = topic; return c.lastPublish = parsePublish(topic) },
      publish: (_c, kind, m) => { got = { kind, topic: m.topic, payload: m.payload.toString('hex'), qos: m.qos, dup: m.dup, packetId: m.packetId } },
      slow: (_c, m) => { got = slowly(m) },
      tooLarge: () => {}
    },
    toAedes: () => { got = { aedes: true } }, ended: async () => {}
  }
  const wire = { writableLength: 0, write () {}, pause () {}, resume () {}, destroySoon () {}, destroy () {} }
  const c = new Connection(wire, { address: '', listener: '' }, world, 1000)
  c.phase = 'ready'
  c.version = version
  c.identity = { user: 'alice' as never, admin: false, expiresMs: 0 }
  c.sessionOrNull = { heard () {}, ack () {}, zeroCount: 0 } as never
  c.data(frame)
  return got
}

const slowly = (m: Arrived): object => ({ kind: parsePublish(m.topic), topic: m.topic, payload: m.payload.toString('hex'), qos: m.qos, dup: m.dup, packetId: m.packetId })
const byMqttPacket = (p: IPublishPacket): object => slowly({ ...p, dup: p.dup && p.qos > 0, payload: p.payload as Buffer, packetId: p.messageId ?? 0, properties: undefined })

const endOfIds = (b: Buffer): number => b.length < 4 ? 0 : 4 + b.readUInt16BE(2) + ((b[0]! >> 1 & 3) > 0 ? 2 : 0)

const level = fc.oneof(fc.constantFrom('u', 'g', 'bob', 'msg', 'raw', 'sig', 'rcpt', 'ack', '+', '#', 'c1', '', 'é', '\0', '\u00c3\u00a9'), fc.string({ unit: 'binary', maxLength: 4 }))
const topic = fc.oneof(fc.array(level, { maxLength: 5 }).map(l => l.join('/')), fc.tuple(fc.constantFrom('u/bob/msg', 'g/team/raw', 'u/bob/sig'), level).map(([t, l]) => `${t}/${l}`), fc.constantFrom('u/bob/msg', 'g/x/rcpt')).map(t => Buffer.from(t))
const bad = fc.uint8Array({ maxLength: 12 }).map(b => Buffer.concat([Buffer.from('u/'), b]))
const frame = fc.record({ topic: fc.oneof(topic, bad), qos: fc.constantFrom(0, 1, 2), flags: fc.constantFrom(0, 1, 8, 9), id: fc.constantFrom(0, 1, 300, 65_535), properties: fc.constantFrom(null, [0], [2, 1, 0]), payload: fc.uint8Array({ maxLength: 20 }), cut: fc.constantFrom(0, 0, 0, 1, 3) })
  .map(({ topic, qos, flags, id, properties, payload, cut }) => {
    const whole = Buffer.concat([Buffer.from([topic.length >> 8, topic.length & 255]), topic, Buffer.from(qos > 0 ? [id >> 8, id & 255] : []), Buffer.from(properties ?? []), payload])
    const body = whole.subarray(0, Math.max(0, whole.length - cut))
    return Buffer.concat([Buffer.from([0x30 | qos << 1 | flags, body.length]), body])
  }).filter(b => b.length < 130)

test('a PUBLISH read by the fast path is what mqtt-packet reads, and what that refuses is refused', () => {
  fc.assert(fc.property(frame, fc.constantFrom(3, 4, 5), (bytes, version) => {
    const slow = decode(bytes, version)
    const got = read(bytes, version)
    // mqtt-packet lets pass an empty topic without alias [MQTT-4.7.3-1], and properties that are missing or cut off [MQTT-2.2.2-1]
    const lenient = version === 5 && bytes[endOfIds(bytes)] !== 0 && 'closed' in got
    const refused = slow instanceof Error || (slow as IPublishPacket).topic === '' || lenient
    const expected = refused ? { closed: true } : byMqttPacket(slow as IPublishPacket)
    expect(got).toEqual(expected)
  }), { numRuns: 20_000 })
})
