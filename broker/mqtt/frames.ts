import mqtt, { type Packet } from 'mqtt-packet'
import type { Outgoing } from '../core/outgoing.js'

/** Size of the Variable Byte Integer that holds `n` [MQTT-1.5.5]. */
export const lengthBytes = (n: number): number => n < 128 ? 1 : n < 16_384 ? 2 : n < 2_097_152 ? 3 : 4

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

function build (topic: string, out: Outgoing, qos: 0 | 1, v5: boolean): Buffer {
  const props = v5 ? properties(out) : null
  const t = Buffer.byteLength(topic)
  const length = 2 + t + (qos === 0 ? 0 : 2) + (props === null ? 0 : props.length) + out.bytes.length
  const b = Buffer.allocUnsafe(1 + lengthBytes(length) + length)
  b[0] = 0x30 | qos << 1
  let at = writeLength(b, length, 1)
  at = b.writeUInt16BE(t, at)
  at += b.write(topic, at)
  if (qos === 1) at = b.writeUInt16BE(0, at)
  if (props !== null) at += props.copy(b, at)
  out.bytes.copy(b, at)
  return b
}

const NO_PROPERTIES = Buffer.from([0])

/** The length and the properties of a delivery: only an answer's Correlation Data [MQTT-3.3.2.3.6]. */
function properties (out: Outgoing): Buffer {
  const data = out.reply?.correlationData
  if (data === undefined) return NO_PROPERTIES
  const size = 3 + data.length
  const b = Buffer.allocUnsafe(lengthBytes(size) + size)
  let at = writeLength(b, size, 0)
  b[at++] = 0x09
  at = b.writeUInt16BE(data.length, at)
  data.copy(b, at)
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
export function decode (bytes: Buffer, version: number): Packet | Error {
  const parser = mqtt.parser({ protocolVersion: version })
  let got: Packet | Error = new Error('the packet ends too early')
  parser.on('packet', (p: Packet) => { got = p })
  parser.on('error', (e: Error) => { got = e })
  const rest = parser.parse(bytes)
  if (rest > 0 && !(got instanceof Error)) return new Error('the packet is shorter than it says')
  return got instanceof Error ? got : fault(got, bytes) ?? got
}

/** What mqtt-packet lets pass and the standard does not. */
function fault (p: Packet, bytes: Buffer): Error | undefined {
  if (p.messageId !== undefined && !(p.messageId > 0)) return new Error('no packet id') // [MQTT-2.2.1-3]; -1 stands for one that is cut off
  if ((p.cmd === 'subscribe' ? p.subscriptions : p.cmd === 'unsubscribe' ? p.unsubscriptions : null)?.length === 0) return new Error('no filter') // [MQTT-3.8.3-2] [MQTT-3.10.3-2]
  const texts = strings(p)
  for (const props of [(p as { properties?: object }).properties, (p as { will?: { properties?: object } }).will?.properties]) {
    for (const [name, v] of Object.entries(props ?? {}) as [string, unknown][]) {
      // of a CONNECT with two Session Expiry Intervals Aedes's process would die [MQTT-2.2.2-2]
      if (Array.isArray(v)) return new Error(`${name} is given twice`)
      if (v === null || v === -1) return new Error(`${name} is cut off`)
      if (typeof v === 'string') texts.push(v)
      else if (name === 'userProperties') for (const [k, x] of Object.entries(v as Record<string, string | string[] | null>)) texts.push(k, ...[x].flat().map(one => one ?? '\0'))
    }
  }
  for (const s of texts) {
    if (s.includes('\0')) return new Error('a NUL in a string') // [MQTT-1.5.4-2]
    // what was no UTF-8 was replaced by U+FFFD, and is then not to be found in the bytes [MQTT-1.5.4-1]
    if (s.includes('\ufffd') && !bytes.includes(Buffer.from(s))) return new Error('a string that is no UTF-8')
  }
  return undefined
}

function strings (p: Packet): string[] {
  switch (p.cmd) {
    case 'connect': return [p.clientId, p.username ?? '', p.will?.topic ?? '']
    case 'publish': return [p.topic]
    case 'subscribe': return p.subscriptions.map(s => s.topic)
    case 'unsubscribe': return [...p.unsubscriptions]
    default: return []
  }
}
