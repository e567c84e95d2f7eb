import type { IConnectPacket } from 'mqtt-packet'
import { isTopicName } from '../domain/filters.js'
import { decode } from './frames.js'
import { Malformed, OF_WILL, type Properties, readProperties, variableInteger } from './properties.js'

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
  const will = payload(bytes, nameEnd, level)
  if (will instanceof Malformed) return { kind: 'bad', why: will.why, version: level }
  return { kind: 'connect', packet, will }
}

/**
 * The properties of the will, read once more since mqtt-packet loses the order of the user properties [MQTT-3.1.3-10];
 * and whether the payload ends where its flags say [MQTT-3.1.4-1].
 */
function payload (b: Buffer, nameEnd: number, level: number): Properties | undefined | Malformed {
  const flags = b[nameEnd + 1]!
  let at = nameEnd + 4 // behind level, flags, keep-alive
  const properties = (): number => {
    const length = variableInteger(b, at, b.length)
    at = length === null ? Infinity : length.end + length.value
    return length?.end ?? at
  }
  const fields = (n: number): void => { for (; n > 0; n--) at = at + 2 > b.length ? Infinity : at + 2 + b.readUInt16BE(at) }
  if (level === 5) properties()
  fields(1) // client id
  let will: Properties | undefined | Malformed
  if ((flags & 4) !== 0) {
    if (level === 5) {
      const from = properties()
      if (at <= b.length) will = readProperties(b, from, at, OF_WILL)
    }
    fields(2) // topic, message
  }
  fields((flags >> 7) + (flags >> 6 & 1)) // user name, password
  return at === b.length ? will : new Malformed('the payload is not what its flags say')
}

/** How long the session outlives the connection, seconds; Infinity: for ever [MQTT-3.1.2.11.2]. */
export function sessionExpirySeconds (p: IConnectPacket): number {
  if (p.protocolVersion !== 5) return p.clean === true ? 0 : Infinity
  const s = p.properties?.sessionExpiryInterval ?? 0
  return s === 0xffffffff ? Infinity : s
}
