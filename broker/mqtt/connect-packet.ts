import type { IConnectPacket } from 'mqtt-packet'
import { isTopicName } from '../domain/filters.js'
import { decode } from './frames.js'
import { OF_WILL, type Properties, readProperties } from './properties.js'
import { Malformed, Walk } from './walk.js'

/** What a CONNECT is, or how it is refused: `bad` closes without an answer [MQTT-3.1.4-1]. */
export type ReadConnect =
  | { kind: 'connect', packet: IConnectPacket, will: Properties | undefined }
  | { kind: 'version', answerIn: number }
  | { kind: 'bad', why: string, version: number }

/** Reads a whole CONNECT packet. Never throws. */
export function readConnect (bytes: Buffer): ReadConnect {
  let at = 1
  while (at < bytes.length && bytes[at]! > 127) at++
  at++
  const nameEnd = at + 2 + (bytes.length >= at + 2 ? bytes.readUInt16BE(at) : 0)
  const name = bytes.toString('latin1', at + 2, nameEnd)
  const level = bytes[nameEnd]
  if (level === undefined || (name !== 'MQTT' && name !== 'MQIsdp')) return { kind: 'bad', why: 'no CONNECT of MQTT', version: 4 }
  const fits = name === 'MQIsdp' ? level === 3 : level === 4 || level === 5
  if (!fits) return { kind: 'version', answerIn: name === 'MQTT' && level > 5 ? 5 : 4 } // [MQTT-3.1.2-2]
  const packet = decode(bytes, level)
  if (packet instanceof Malformed) return { kind: 'bad', why: packet.why, version: level }
  if (packet.cmd !== 'connect') return { kind: 'bad', why: 'no CONNECT', version: level }
  if (packet.will !== undefined && (packet.will.qos as number) > 2) return { kind: 'bad', why: 'will QoS 3', version: level } // [MQTT-3.1.2-12]
  if (packet.will !== undefined && !isTopicName(packet.will.topic)) return { kind: 'bad', why: 'the will has no topic', version: level } // [MQTT-3.1.3-11]
  const will = packet.will === undefined || level < 5 ? undefined : willProperties(bytes, nameEnd)
  if (will instanceof Malformed) return { kind: 'bad', why: will.why, version: level }
  return { kind: 'connect', packet, will }
}

/** Read once more, since mqtt-packet loses the order of the user properties [MQTT-3.1.3-10]. The packet is known to be whole. */
function willProperties (b: Buffer, nameEnd: number): Properties | Malformed {
  const w = new Walk(b, nameEnd + 4, b.length) // behind level, flags, keep-alive
  w.skip(w.length())
  w.data() // client id
  const bytes = w.length()
  return readProperties(b, w.at, w.at + bytes, OF_WILL)
}

/** How long the session outlives the connection, seconds; Infinity: for ever [MQTT-3.1.2.11.2]. */
export function sessionExpirySeconds (p: IConnectPacket): number {
  if (p.protocolVersion !== 5) return p.clean === true ? 0 : Infinity
  const s = p.properties?.sessionExpiryInterval ?? 0
  return s === 0xffffffff ? Infinity : s
}
