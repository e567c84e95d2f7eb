import type { QueuedMessage } from '../../ports/topics.js'

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
