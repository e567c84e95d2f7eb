// The few MQTT 3.1.1 packets that the load needs, encoded and taken apart by hand: a general parser would make the
// generator, which plays every client on one core, slower than the brokers it measures.

export const CONNACK = 2
export const PUBLISH = 3
export const PUBACK = 4
export const SUBACK = 9

export const DISCONNECT_PACKET = Buffer.from([0xe0, 0])

const u16 = (n) => Buffer.from([n >> 8 & 255, n & 255])
const text = (s) => { const bytes = Buffer.from(s); return Buffer.concat([u16(bytes.length), bytes]) }

function remainingLength (n) {
  const bytes = []
  do {
    const low = n % 128
    n = Math.floor(n / 128)
    bytes.push(n > 0 ? low | 128 : low)
  } while (n > 0)
  return bytes
}

function packet (firstByte, ...parts) {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([firstByte, ...remainingLength(body.length)]), body])
}

/** CONNECT with a user name, and a password if there is one. */
export const connectPacket = ({ clientId, user, password, clean, keepAliveSeconds }) =>
  packet(0x10, text('MQTT'), Buffer.from([4, 0x80 | (password === undefined ? 0 : 0x40) | (clean ? 2 : 0)]), u16(keepAliveSeconds), text(clientId), text(user), ...(password === undefined ? [] : [text(password)]))

/** SUBSCRIBE to all of `filters` with one QoS. */
export const subscribePacket = (id, filters, qos) =>
  packet(0x82, u16(id), ...filters.flatMap((filter) => [text(filter), Buffer.from([qos])]))

/** PUBLISH at QoS 1, at QoS 0 without `id`; copies `payload`. */
export function publishPacket (topic, payload, id) {
  const topicBytes = Buffer.byteLength(topic)
  const idBytes = id === 0 ? 0 : 2
  const length = remainingLength(2 + topicBytes + idBytes + payload.length)
  const out = Buffer.allocUnsafe(1 + length.length + 2 + idBytes + topicBytes + payload.length)
  let at = 0
  out[at++] = id === 0 ? 0x30 : 0x32
  for (const byte of length) out[at++] = byte
  at = out.writeUInt16BE(topicBytes, at)
  at += out.write(topic, at)
  if (id !== 0) at = out.writeUInt16BE(id, at)
  payload.copy(out, at)
  return out
}

/**
 * Calls `each(type, start, bodyStart, end)` for every whole packet in `bytes`.
 * Returns where the first incomplete packet begins, `bytes.length` when there is none.
 */
export function eachPacket (bytes, each) {
  let start = 0
  while (start < bytes.length) {
    let at = start + 1
    let length = 0
    let factor = 1
    let whole = false
    while (at < bytes.length) {
      const byte = bytes[at++]
      length += (byte & 127) * factor
      factor *= 128
      if (byte < 128) { whole = true; break }
    }
    if (!whole || at + length > bytes.length) return start
    each(bytes[start] >> 4, start, at, at + length)
    start = at + length
  }
  return start
}
