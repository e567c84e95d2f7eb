import mqtt, { type Packet } from 'mqtt-packet'
import type { Outgoing } from '../core/outgoing.js'
import { malformation } from './packet-shape.js'
import { NO_BYTES } from './properties.js'
import { Malformed } from './walk.js'

/** Size of the Variable Byte Integer that holds `n` [MQTT-1.5.5]. */
const lengthBytes = (n: number): number => n < 128 ? 1 : n < 16_384 ? 2 : n < 2_097_152 ? 3 : 4

export function writeLength (b: Buffer, n: number, at: number): number {
  do {
    const byte = n % 128
    n = Math.floor(n / 128)
    b[at++] = n > 0 ? byte | 128 : byte
  } while (n > 0)
  return at
}

/** Encodings of one payload on its short topic, one per QoS and version, made when first needed. */
class Encoded { v4q0: Buffer | null = null; v4q1: Buffer | null = null; v5q0: Buffer | null = null; v5q1: Buffer | null = null }

/**
 * The bytes of a PUBLISH, with room for its packet id above QoS 0. `head`: its first byte; `properties` without their
 * length; null before MQTT 5.
 */
export function publishBytes (head: number, topic: string, properties: Buffer | null, payload: Buffer): Buffer {
  const t = Buffer.byteLength(topic)
  const idBytes = (head & 6) === 0 ? 0 : 2
  const length = 2 + t + idBytes + (properties === null ? 0 : lengthBytes(properties.length) + properties.length) + payload.length
  const b = Buffer.allocUnsafe(1 + lengthBytes(length) + length)
  b[0] = head
  let at = writeLength(b, length, 1)
  at = b.writeUInt16BE(t, at)
  at += b.write(topic, at)
  if (idBytes > 0) at = b.writeUInt16BE(0, at)
  if (properties !== null) {
    at = writeLength(b, properties.length, at)
    at += properties.copy(b, at)
  }
  payload.copy(b, at)
  return b
}

const build = (topic: string, out: Outgoing, qos: 0 | 1, v5: boolean): Buffer => publishBytes(0x30 | qos << 1, topic, v5 ? properties(out) : null, out.bytes)

/** Of a delivery: only an answer's Correlation Data [MQTT-3.3.2.3.6]. */
function properties (out: Outgoing): Buffer {
  const data = out.reply?.correlationData
  if (data === undefined) return NO_BYTES
  const b = Buffer.allocUnsafe(3 + data.length)
  b[0] = 0x09
  b.writeUInt16BE(data.length, 1)
  data.copy(b, 3)
  return b
}

/** A PUBLISH to a device with room for its packet id. On the short topic it is shared by all receivers: never change it. */
export function publishFrame (out: Outgoing, qos: 0 | 1, v5: boolean, longPrefix: string | null): Buffer {
  if (longPrefix !== null || out.reply !== null) return build(`${longPrefix ?? 'me'}/${out.branch}${out.reply?.suffix ?? ''}`, out, qos, v5)
  const of = (out.encoded ??= new Encoded()) as Encoded
  const slot = v5 ? (qos === 0 ? 'v5q0' : 'v5q1') : (qos === 0 ? 'v4q0' : 'v4q1')
  return of[slot] ??= build(`me/${out.branch}`, out, qos, v5)
}

/** Where the packet id stands in a QoS 1 {@link publishFrame}. */
export function packetIdAt (frame: Buffer): number {
  let at = 2
  while (frame[at - 1]! > 127) at++
  return at + 2 + frame.readUInt16BE(at)
}

export const withDup = (frame: Buffer): Buffer => {
  const b = Buffer.from(frame)
  b[0] = b[0]! | 8
  return b
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP without properties. */
export function ackFrame (type: 0x40 | 0x50 | 0x62 | 0x70, packetId: number): Buffer {
  const b = Buffer.allocUnsafe(4)
  b[0] = type; b[1] = 2; b[2] = packetId >> 8; b[3] = packetId & 255
  return b
}

export const PINGRESP = Buffer.from([0xd0, 0])

/** Any other packet. */
export const encode = (packet: Packet, version: number): Buffer => mqtt.generate(packet, { protocolVersion: version })

/**
 * The packet in `bytes`, which hold exactly one, whole; or what is wrong with it. `version` decides how anything but a
 * CONNECT is read.
 */
export function decode (bytes: Buffer, version: number): Packet | Malformed {
  const wrong = malformation(bytes, version)
  if (wrong !== undefined) return wrong
  const parser = mqtt.parser({ protocolVersion: version })
  let got: Packet | Malformed = new Malformed('the packet ends too early')
  parser.on('packet', (p: Packet) => { got = p })
  parser.on('error', (e: Error) => { got = new Malformed(e.message) })
  parser.parse(bytes)
  return got
}
