import type { Arrived } from './arrived.js'
import { OF_PUBLISH, readProperties } from './properties.js'
import { Malformed, utf8, variableInteger } from './walk.js'

/**
 * Reads a whole PUBLISH: its fixed header begins at `start`, its body at `body`. The payload shares memory with `b`.
 * Topic aliases are the caller's matter: with one, the topic may be empty.
 */
export function readPublish (b: Buffer, start: number, body: number, end: number, v5: boolean): Arrived | Malformed {
  const flags = b[start]! & 15
  const qos = flags >> 1 & 3
  if (qos === 3) return new Malformed('QoS 3') // [MQTT-3.3.1-4]
  const dup = (flags & 8) !== 0
  if (dup && qos === 0) return new Malformed('DUP at QoS 0', 0x82) // [MQTT-3.3.1-2]
  if (body + 2 > end) return new Malformed('a PUBLISH without topic')
  let at = body + 2 + b.readUInt16BE(body)
  if (at > end) return new Malformed('a topic that is cut off')
  const topic = utf8(b, body + 2, at)
  if (topic instanceof Malformed) return topic
  let packetId = 0
  if (qos > 0) {
    if (at + 2 > end) return new Malformed('no packet id')
    packetId = b.readUInt16BE(at)
    if (packetId === 0) return new Malformed('packet id 0', 0x82) // [MQTT-2.2.1-3]
    at += 2
  }
  const arrived: Arrived = { topic, payload: b, qos: qos as 0 | 1 | 2, dup, retain: (flags & 1) !== 0, packetId }
  if (v5) {
    const length = variableInteger(b, at, end)
    if (length === null || length.end + length.value > end) return new Malformed('properties that are cut off')
    at = length.end + length.value
    if (length.value > 0) {
      const properties = readProperties(b, length.end, at, OF_PUBLISH)
      if (properties instanceof Malformed) return properties
      arrived.properties = properties
    }
  }
  if (topic === '' && arrived.properties?.topicAlias === undefined) return new Malformed('an empty topic', 0x82) // [MQTT-4.7.3-1] [MQTT-3.3.2-8]
  arrived.payload = b.subarray(at, end)
  return arrived
}
