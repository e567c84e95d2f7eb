import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import mqtt, { type Packet } from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import { connectPacket } from '../support/client.js'
import { range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let p: Parley
let by: Bystanders
beforeEach(async () => {
  p = await startParley({ listeners: [{ protocol: 'ws', host: '127.0.0.1', port: 0 }, { protocol: 'mqtt', host: '127.0.0.1', port: 0 }] })
  by = await Bystanders.join(p)
})
afterEach(async () => { await by.unharmed(); await closeAll() })

const CONTINUATION = 0
const BINARY = 2
const PING = 9
const PONG = 10

/** A frame of a client, masked. */
function frame (opcode: number, fin: boolean, payload: Buffer, mask: Buffer): Buffer {
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255]
  const masked = Buffer.from(payload.map((b, i) => b ^ mask[i % 4]!))
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode, 0x80 | length[0]!, ...length.slice(1)]), mask, masked])
}

/** The frames of the broker in `b`, which are never masked nor fragmented: opcodes and payloads. */
function* frames (b: Buffer): Generator<[number, Buffer]> {
  for (let at = 0; at + 2 <= b.length;) {
    const short = b[at + 1]! & 127
    const from = at + (short < 126 ? 2 : 4)
    const end = from + (short < 126 ? short : b.readUInt16BE(at + 2))
    if (end > b.length) return
    yield [b[at]! & 15, b.subarray(from, end)]
    at = end
  }
}

const bytes = (...packets: object[]): Buffer => Buffer.concat(packets.map(packet => mqtt.generate(packet as Packet)))
const STREAM = bytes(
  connectPacket({ user: 'mallory', clean: true }),
  ...range(1, 5).map(messageId => ({ cmd: 'publish', topic: 'u/mallory/msg', payload: 'x'.repeat(messageId * 60), qos: 1, messageId })),
  { cmd: 'subscribe', messageId: 6, subscriptions: [{ topic: 'me/#', qos: 1 }] }, { cmd: 'pingreq' }
)
const ANSWERS = ['connack', 'pingresp', 'puback 1', 'puback 2', 'puback 3', 'puback 4', 'puback 5', 'suback 6']

/** A piece of the stream: whether it ends its message, and what control frames follow it. */
const piece = fc.record({
  at: fc.nat(STREAM.length), fin: fc.boolean(), mask: fc.uint8Array({ minLength: 4, maxLength: 4 }).map(m => Buffer.from(m)),
  after: fc.array(fc.tuple(fc.constantFrom(PING, PONG), fc.uint8Array({ maxLength: 125 }).map(b => Buffer.from(b))), { maxLength: 2 })
})
const cuts = fc.array(fc.nat(), { maxLength: 8 })

async function upgraded (): Promise<Socket> {
  const socket = connect({ port: p.port('ws'), host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  socket.write('GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  await once(socket, 'data')
  return socket
}

test('packets cut anywhere over messages, fragments, frames and segments, with pings between, are the same packets', async () => {
  await fc.assert(fc.asyncProperty(fc.array(piece, { maxLength: 12 }), cuts, async (pieces, segments) => {
    const sorted = [...pieces].sort((a, b) => a.at - b.at)
    const all: Buffer[] = []
    const pings: string[] = []
    let begun = false
    ;[...sorted, { at: STREAM.length, fin: true, mask: Buffer.alloc(4, 7), after: [] }].forEach(({ at, fin, mask, after }, i) => {
      all.push(frame(begun ? CONTINUATION : BINARY, fin, STREAM.subarray(sorted[i - 1]?.at ?? 0, at), mask))
      begun = !fin
      for (const [opcode, payload] of after) {
        all.push(frame(opcode, true, payload, mask))
        if (opcode === PING) pings.push(payload.toString('hex'))
      }
    })
    const wire = Buffer.concat(all)
    const socket = await upgraded()
    let got = Buffer.alloc(0)
    socket.on('data', (b: Buffer) => { got = Buffer.concat([got, b]) })
    const ends = [...segments.map(n => n % (wire.length + 1)).sort((a, b) => a - b), wire.length]
    ends.forEach((end, i) => { if (end > (ends[i - 1] ?? 0)) socket.write(wire.subarray(ends[i - 1] ?? 0, end)) })
    const heard = (): string[] => {
      const found: string[] = []
      const parser = mqtt.parser()
      parser.on('packet', packet => { if (packet.cmd !== 'publish') found.push(packet.messageId === undefined ? packet.cmd : `${packet.cmd} ${packet.messageId}`) })
      for (const [opcode, payload] of frames(got)) if (opcode === BINARY) parser.parse(payload)
      return found.sort()
    }
    while (heard().length < ANSWERS.length) await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => { throw new Error(`closed after ${heard().join()}`) })])
    expect(heard()).toEqual(ANSWERS)
    const pongs = [...frames(got)].filter(([opcode]) => opcode === PONG).map(([, payload]) => payload.toString('hex'))
    expect(pongs).toEqual(pings.slice(0, pongs.length))
    socket.destroy()
  }), { numRuns: 150 })
})
