import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { isFilter, parsePublish } from '../../broker/domain/topics.js'
import type { Arrived } from '../../broker/mqtt/arrived.js'
import { Connection, type MqttWorld } from '../../broker/mqtt/connection.js'
import { decode } from '../../broker/mqtt/frames.js'
import { Malformed } from '../../broker/mqtt/walk.js'
import { WriteBatcher } from '../../broker/mqtt/write-batching.js'
import { field, packet } from '../support/bytes.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

/** What becomes of a packet, in words: the same on both ways. */
const published = (m: Pick<Arrived, 'topic' | 'payload' | 'qos' | 'dup' | 'retain' | 'packetId'>): string =>
  JSON.stringify(['publish', parsePublish(m.topic), m.topic, m.payload.toString('hex'), m.qos, m.dup, m.retain, m.packetId])
const answered = (...bytes: number[]): string => `answers ${Buffer.from(bytes).toString('hex')}`
const CLOSED = 'closed'

/** What a connection that is signed in makes of a stream of bytes. */
function read (chunks: readonly Buffer[], version: number): string[] {
  const got: string[] = []
  let over = false
  const tell = (what: string): void => { if (!over) got.push(what) }
  const world: MqttWorld = {
    batcher: new WriteBatcher(), clock: new FakeClock(), logger: recordingLogger(), maxPacketBytes: 1 << 20, publishPerSecond: 0, connector: {} as never,
    ordinary: {
      publish: (_c: Connection, m: Arrived) => { tell(published(m)) },
      completed: (c: Connection, id: number) => { c.received?.delete(id); tell(`completes ${id}`) }
    } as never,
    chat: {
      parse: (c, topic) => { c.lastTopic = topic; return c.lastPublish = parsePublish(topic) },
      publish: (_c, _kind, m) => { tell(published(m)) },
      slow: (_c, m) => { tell(published(m)) },
      tooLarge: () => { tell('too large') }
    },
    toAedes: (c, p) => { tell(`aedes ${p.cmd} ${p.messageId ?? ''}`); if (p.cmd === 'subscribe' || p.cmd === 'unsubscribe') c.subscribed() },
    ended: async () => { over = true }
  }
  const wire = { writableLength: 0, write () {}, pause () {}, resume () {}, destroySoon () {}, destroy () {} }
  const c = new Connection(wire, { address: '', listener: '' }, world, 1000)
  c.phase = 'ready'
  c.version = version
  c.identity = { user: 'alice' as never, admin: false, expiresMs: 0 }
  c.sessionOrNull = { record: null, heard () {}, ack: (id: number) => { tell(`acknowledges ${id}`) }, zeroCount: 0 } as never
  c.send = bytes => { if (bytes[0] !== 0xe0) tell(answered(...bytes)) } // why it closes is not compared
  for (const chunk of chunks) c.data(chunk)
  if (over) got.push(CLOSED)
  return got
}

/** The same as mqtt-packet reads it, each packet by itself; null: of what comes from there on it says too little. */
function expected (packets: readonly Buffer[], version: number): (string | null)[] {
  const all: (string | null)[] = []
  const received = new Set<number>()
  for (const bytes of packets) {
    const what = outcome(bytes, version, received)
    if (what !== '') all.push(what)
    if (what === CLOSED || what === null) break
  }
  return all
}

function outcome (bytes: Buffer, version: number, received: Set<number>): string | null {
  if (bytes[0]! >> 4 === 3) return outcomeOfPublish(bytes, version, received)
  const p = decode(bytes, version)
  if (p instanceof Malformed) return CLOSED
  const id = p.messageId!
  const ids = [id >> 8, id & 255] as const
  switch (p.cmd) {
    case 'puback': case 'pubcomp': return `acknowledges ${id}`
    case 'pubrec': return (p.reasonCode ?? 0) >= 0x80 ? `acknowledges ${id}` : version === 5 ? answered(0x62, 4, ...ids, 0x92, 0) : answered(0x62, 2, ...ids)
    case 'pubrel': received.delete(id); return `completes ${id}`
    case 'pingreq': return answered(0xd0, 0)
    case 'subscribe': return p.subscriptions.every(s => isFilter(s.topic)) ? `aedes subscribe ${id}` : CLOSED
    case 'unsubscribe': return p.unsubscriptions.every(isFilter) ? `aedes unsubscribe ${id}` : CLOSED
    case 'disconnect': return 'aedes disconnect '
    default: return CLOSED
  }
}

function outcomeOfPublish (bytes: Buffer, version: number, received: Set<number>): string | null {
  const p = byMqttPacket(bytes, version)
  if (p === null || p.messageId === 0 || p.messageId === -1) return CLOSED // [MQTT-2.2.1-3]
  const body = bytes.length > 129 ? 3 : 2
  const afterTopic = body + 2 + bytes.readUInt16BE(body)
  const topic = bytes.subarray(body + 2, afterTopic)
  if (!isUtf8(topic) || topic.includes(0)) return CLOSED // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
  const properties = bytes.subarray(afterTopic + (p.qos > 0 ? 2 : 0))
  if (version === 5) {
    if (properties.length === 0) return CLOSED // their length is missing [MQTT-3.3.2.3.1]
    if (properties[0] !== 0 && properties.toString('hex', 0, 3) !== '020100') return null // mqtt-packet reads over their end
  }
  if (p.topic === '' || (p.dup && p.qos === 0)) return CLOSED // [MQTT-4.7.3-1] [MQTT-3.3.1-2]
  const packetId = p.messageId ?? 0
  if (p.qos === 2 && received.has(packetId)) return ''
  if (p.qos === 2) received.add(packetId)
  return published({ topic: p.topic, payload: p.payload as Buffer, qos: p.qos, dup: p.dup && p.qos > 0, retain: p.retain, packetId })
}

function byMqttPacket (bytes: Buffer, protocolVersion: number): IPublishPacket | null {
  let got: Packet | null = null
  const parser = mqtt.parser({ protocolVersion })
  parser.on('packet', (p: Packet) => { got = p })
  parser.on('error', () => { got = null })
  parser.parse(bytes)
  return got
}

const version = fc.constantFrom(3, 4, 5)
const level = fc.oneof(fc.constantFrom('u', 'g', 'bob', 'msg', 'raw', 'sig', 'rcpt', 'ack', '+', '#', 'c1', '', 'é', '\0', '\u00c3\u00a9'), fc.string({ unit: 'binary', maxLength: 4 }))
const topic = fc.oneof(fc.array(level, { maxLength: 5 }).map(l => l.join('/')), fc.tuple(fc.constantFrom('u/bob/msg', 'g/team/raw', 'u/bob/sig'), level).map(([t, l]) => `${t}/${l}`), fc.constantFrom('u/bob/msg', 'g/x/rcpt')).map(t => Buffer.from(t))
const bad = fc.uint8Array({ maxLength: 12 }).map(b => Buffer.concat([Buffer.from('u/'), b]))
const publish = fc.record({ topic: fc.oneof(topic, bad), qos: fc.constantFrom(0, 1, 2), flags: fc.constantFrom(0, 1, 8, 9), id: fc.constantFrom(0, 1, 300, 65_535), properties: fc.constantFrom(null, [0], [2, 1, 0]), payload: fc.uint8Array({ maxLength: 20 }), cut: fc.constantFrom(0, 0, 0, 1, 3) })
  .map(({ topic, qos, flags, id, properties, payload, cut }) => {
    const whole = Buffer.concat([field(topic), Buffer.from(qos > 0 ? [id >> 8, id & 255] : []), Buffer.from(properties ?? []), payload])
    return packet(0x30 | qos << 1 | flags, whole.subarray(0, Math.max(0, whole.length - cut)))
  })
/** Heads of PUBACK and PINGREQ, with flags too, and bodies about right; then anything. */
const short = fc.tuple(fc.constantFrom(0x40, 0x40, 0x41, 0x48, 0x50, 0xc0, 0xc0, 0xc2, 0x62, 0x60, 0xe0), fc.oneof(fc.constantFrom([], [0], [0, 0], [0, 9], [255, 255], [0, 9, 0], [0, 9, 0x10, 0], [0, 9, 0x80, 4, 0x1f, 0, 1, 97], [0, 9, 0x7f]), fc.array(fc.nat(255), { maxLength: 5 })))
  .map(([head, body]) => packet(head, Buffer.from(body)))
const filters = fc.tuple(fc.constantFrom(0x82, 0xa2), fc.array(topic, { maxLength: 3 }), fc.constantFrom([], [0], [1])).map(([head, all, options]) => packet(head, Buffer.concat([Buffer.from([0, 9]), ...all.flatMap(t => [field(t), Buffer.from(options)])])))
const anything = fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 20 })).map(([head, body]) => packet(head, Buffer.from(body)))
const PUBLISH_BOB = packet(0x32, Buffer.concat([field('u/bob/msg'), Buffer.from([0, 1]), Buffer.from('x')]))

test('a PUBLISH, PUBACK or PINGREQ read by the connection is what mqtt-packet reads, and what that refuses is refused', () => {
  fc.assert(fc.property(fc.oneof({ arbitrary: publish, weight: 4 }, short, anything), version, (bytes, v) => { same([bytes], [bytes], v) }), { numRuns: 20_000 })
})

test('so is a stream of packets, wherever it is cut', () => {
  const stream = fc.array(fc.oneof(publish, short, filters, fc.constant(PUBLISH_BOB), { arbitrary: anything, weight: 1 }), { minLength: 1, maxLength: 6 })
  fc.assert(fc.property(stream, fc.array(fc.nat(), { maxLength: 8 }), version, (packets, cuts, v) => {
    const all = Buffer.concat(packets)
    const at = [0, ...cuts.map(c => c % (all.length + 1)).sort((a, b) => a - b), all.length]
    same(packets, at.slice(1).map((end, i) => all.subarray(at[i], end)).filter(c => c.length > 0), v)
  }), { numRuns: 10_000 })
})

function same (packets: readonly Buffer[], chunks: readonly Buffer[], version: number): void {
  const want = expected(packets, version)
  const got = read(chunks, version)
  if (want.at(-1) === null) { want.pop(); got.length = want.length }
  expect(got).toEqual(want)
}
