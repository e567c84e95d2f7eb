import type { SessionId } from './ids.js'
import type { TopicMessage } from './topic-message.js'

/** A message as it is stored, and as nodes tell it each other: expiry (6), flags (1), session (2+), topic (2+), properties (4+), payload. */
export function packMessage (m: TopicMessage): Buffer {
  const [from, topic] = [Buffer.from(m.from), Buffer.from(m.topic)]
  const b = Buffer.allocUnsafe(15 + from.length + topic.length + m.properties.length + m.payload.length)
  let at = b.writeUIntBE(m.expiresMs, 0, 6)
  at = b.writeUInt8(m.qos | (m.retain ? 4 : 0), at)
  at = b.writeUInt16BE(from.length, at)
  at += from.copy(b, at)
  at = b.writeUInt16BE(topic.length, at)
  at += topic.copy(b, at)
  at = b.writeUInt32BE(m.properties.length, at)
  at += m.properties.copy(b, at)
  m.payload.copy(b, at)
  return b
}

export function unpackMessage (b: Buffer): TopicMessage {
  const flags = b[6]!
  let at = 7
  const text = (): string => {
    const end = at + 2 + b.readUInt16BE(at)
    const s = b.toString('utf8', at + 2, end)
    at = end
    return s
  }
  const [from, topic] = [text(), text()]
  const propertiesEnd = at + 4 + b.readUInt32BE(at)
  return {
    expiresMs: b.readUIntBE(0, 6), qos: (flags & 3) as 0 | 1 | 2, retain: (flags & 4) !== 0, from: from as SessionId, topic,
    properties: b.subarray(at + 4, propertiesEnd), payload: b.subarray(propertiesEnd)
  }
}

export const expiryOf = (b: Buffer): number => b.readUIntBE(0, 6)
