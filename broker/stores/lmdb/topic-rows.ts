import type { SessionId } from '../../domain/ids.js'
import type { TopicMessage } from '../../domain/topic-message.js'
import type { QueuedMessage } from '../../ports/topics.js'

/** Of a stored message: expiry (6), flags (1), session (2+), topic (2+), properties (4+), payload. */
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

/** Of a queue: the body's number (6), flags (1), Subscription Identifiers (4 each). */
export function packPlace (body: number, p: { qos: 1 | 2, retain: boolean, ids: readonly number[], released?: boolean }): Buffer {
  const b = Buffer.allocUnsafe(7 + 4 * p.ids.length)
  b.writeUIntBE(body, 0, 6)
  b[6] = p.qos | (p.retain ? 4 : 0) | (p.released === true ? 8 : 0)
  p.ids.forEach((id, i) => b.writeUInt32BE(id, 7 + 4 * i))
  return b
}

export const bodyOf = (place: Buffer): number => place.readUIntBE(0, 6)

export const unpackPlace = (b: Buffer): Omit<QueuedMessage, 'order' | 'message'> => ({
  qos: (b[6]! & 3) as 1 | 2,
  retain: (b[6]! & 4) !== 0,
  released: (b[6]! & 8) !== 0,
  ids: Array.from({ length: (b.length - 7) / 4 }, (_, i) => b.readUInt32BE(7 + 4 * i))
})
