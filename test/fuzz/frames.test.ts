import fc from 'fast-check'
import mqtt, { type Packet } from 'mqtt-packet'
import { Outgoing } from '../../broker/core/outgoing.js'
import { readConnect } from '../../broker/mqtt/connect-packet.js'
import { decode, encode, packetIdAt, publishFrame, withDup } from '../../broker/mqtt/frames.js'
import { Malformed } from '../../broker/mqtt/walk.js'
import { readPublish } from '../../broker/mqtt/publish-packet.js'

const version = fc.constantFrom(3, 4, 5)
const framed = (head: number, body: Uint8Array): Buffer => Buffer.concat([Buffer.from([head, body.length & 127 | (body.length > 127 ? 128 : 0), ...(body.length > 127 ? [body.length >> 7] : [])]), body])
const body = fc.uint8Array({ maxLength: 200 })

test('decode never throws, whatever one packet holds', () => {
  fc.assert(fc.property(fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x10, 0x32, 0x34, 0x40, 0x62, 0x82, 0xa2, 0xe0, 0xf0)), body, version, (head, b, v) => {
    const p = decode(framed(head, b), v)
    if (!(p instanceof Malformed)) expect(typeof p.cmd).toBe('string')
  }), { numRuns: 20_000 })
})

test('readConnect never throws', () => {
  const start = fc.constantFrom([0, 4, 77, 81, 84, 84, 5], [0, 4, 77, 81, 84, 84, 4], [0, 6, 77, 81, 73, 115, 100, 112, 3], [0], [])
  fc.assert(fc.property(start, body, (s, b) => { readConnect(framed(0x10, new Uint8Array([...s, ...b.subarray(0, 150)]))) }), { numRuns: 20_000 })
})

const id = fc.integer({ min: 1, max: 65_535 })
const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter(s => !s.includes('\0') && !/\p{Surrogate}/u.test(s))
const sent = fc.oneof(
  fc.record({ cmd: fc.constant('subscribe' as const), messageId: id, subscriptions: fc.array(fc.record({ topic: text, qos: fc.constantFrom(0 as const, 1 as const, 2 as const), nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom(0, 1, 2) }), { minLength: 1, maxLength: 5 }) }),
  fc.record({ cmd: fc.constant('unsubscribe' as const), messageId: id, unsubscriptions: fc.array(text, { minLength: 1, maxLength: 5 }) }),
  fc.record({ cmd: fc.constantFrom('puback' as const, 'pubrec' as const, 'pubrel' as const, 'pubcomp' as const), messageId: id })
) as fc.Arbitrary<Packet>

test('what a library writes is read as it was meant', () => {
  fc.assert(fc.property(sent, version, (p, v) => {
    const got = decode(mqtt.generate(p, { protocolVersion: v }), v)
    expect(got).not.toBeInstanceOf(Malformed)
    const packet = got as unknown as Record<string, unknown>
    for (const [k, x] of Object.entries(p)) if (k !== 'subscriptions') expect(packet[k]).toEqual(x)
  }), { numRuns: 3000 })
})

const publish = fc.record({ cmd: fc.constant('publish' as const), topic: text.filter(t => !/[+#]/.test(t)), payload: body.map(b => Buffer.from(b)), qos: fc.constantFrom(1 as const, 2 as const), messageId: id, dup: fc.boolean(), retain: fc.boolean() })

test('so is a PUBLISH, and cut short it has another payload or is none', () => {
  fc.assert(fc.property(publish, version, fc.nat(), (p, v, n) => {
    const { cmd: _, messageId: packetId, ...rest } = p
    const whole = mqtt.generate(p, { protocolVersion: v })
    const start = whole[1]! > 127 ? 3 : 2
    expect(readPublish(whole, 0, start, whole.length, v === 5)).toEqual({ ...rest, packetId })
    const end = start + n % (whole.length - start)
    const got = readPublish(whole, 0, start, end, v === 5)
    if (end < whole.length - p.payload.length) expect(got).toBeInstanceOf(Malformed)
    else expect(got).toEqual({ ...rest, packetId, payload: p.payload.subarray(0, end - (whole.length - p.payload.length)) })
  }), { numRuns: 3000 })
})

test('cut short, it is an error and no packet', () => {
  fc.assert(fc.property(sent, version, fc.nat(), (p, v, n) => {
    const whole = mqtt.generate(p, { protocolVersion: v })
    if (whole[1]! > 127) return
    const short = Buffer.from(whole.subarray(0, Math.max(2, n % whole.length)))
    short[1] = short.length - 2
    const got = decode(short, v)
    // a list may be shorter; an id or a filter may not be cut
    if (!(got instanceof Malformed)) expect(decode(encode(got, v), v)).toMatchObject({ cmd: got.cmd, ...(got.messageId === undefined ? {} : { messageId: got.messageId }) })
  }), { numRuns: 5000 })
})

test('the broker’s own PUBLISH is what a library reads', () => {
  const branch = fc.constantFrom('msg' as const, 'ack' as const, 'rpc' as const)
  fc.assert(fc.property(branch, body, fc.constantFrom(0 as const, 1 as const), version, id, fc.option(fc.record({ suffix: fc.constantFrom('', '/a', '/a/b'), correlationData: fc.option(body.map(b => Buffer.from(b)), { nil: undefined }) }), { nil: null }), fc.boolean(),
    (b, bytes, qos, v, packetId, reply, long) => {
      const out = new Outgoing(b, Buffer.from(bytes))
      out.reply = v === 5 ? reply : null
      const frame = withDup(publishFrame(out, qos, v === 5, long ? 'u/bob' : null))
      if (qos === 1) frame.writeUInt16BE(packetId, packetIdAt(frame))
      const packets: Packet[] = []
      const parser = mqtt.parser({ protocolVersion: v })
      parser.on('packet', p => { packets.push(p) })
      expect(parser.parse(frame)).toBe(0)
      const data = out.reply?.correlationData
      expect(packets).toMatchObject([{ cmd: 'publish', topic: `${long ? 'u/bob' : 'me'}/${b}${out.reply?.suffix ?? ''}`, qos, dup: true, payload: Buffer.from(bytes), ...(qos === 1 ? { messageId: packetId } : {}), ...(data === undefined ? {} : { properties: { correlationData: data } }) }])
    }), { numRuns: 3000 })
})
