import type { Arrived } from './arrived.js'
import { ackFrame, encode } from './frames.js'

/** Publishes at QoS 1 and 2 that a client may have under way, told in CONNACK (protocol.md, guarantee 5) [MQTT-3.2.2.3.3]. */
export const RECEIVE_MAXIMUM = 100
const PACKET_ID_NOT_FOUND = 0x92

/** A connection, as answers see it. */
export interface Answering {
  readonly version: number
  readonly requestProblemInformation: boolean
  /** QoS 2 packet ids between PUBLISH and PUBREL: true once PUBREC was sent. */
  received: Map<number, boolean> | null
  /** Those of them that are stored. */
  storedIds: Set<number> | null
  send (bytes: Buffer): void
  fits (packet: Buffer): boolean
  malformed (why: string, code: number): void
}

/** PUBACK or PUBREC. Before MQTT 5 it has no way to say no. */
export function acknowledge (c: Answering, m: Pick<Arrived, 'qos' | 'packetId'>, reason: number, userProperties?: Record<string, string>): void {
  if (m.qos === 0) return
  if (m.qos === 2) {
    if (reason >= 0x80 && c.version === 5) c.received?.delete(m.packetId) // that ends the exchange [MQTT-4.3.3-9]
    else c.received?.set(m.packetId, true)
  }
  if (c.version !== 5) { c.send(ackFrame(m.qos === 1 ? 0x40 : 0x50, m.packetId)); return }
  const answer = (properties?: object): Buffer => encode({ cmd: m.qos === 1 ? 'puback' : 'pubrec', messageId: m.packetId, reasonCode: reason, properties }, 5)
  const whole = answer(userProperties !== undefined && c.requestProblemInformation ? { userProperties } : undefined) // [MQTT-3.1.2-29]
  c.send(c.fits(whole) ? whole : answer()) // [MQTT-3.4.2-3] [MQTT-3.5.2-3]
}

/**
 * Notes a QoS 2 packet id. False: it is in use, and this is the same message again, which is answered as before
 * [MQTT-4.3.3-10]; or the connection was closed, because there are too many [MQTT-3.3.4-7].
 */
export function isFirst (c: Answering, m: Arrived): boolean {
  const received = (c.received ??= new Map())
  const before = received.get(m.packetId)
  if (before === undefined) {
    if (c.version === 5 && received.size >= RECEIVE_MAXIMUM) { c.malformed('more than Receive Maximum under way', 0x93); return false }
    received.set(m.packetId, false)
    return true
  }
  if (before) c.send(ackFrame(0x50, m.packetId))
  return false
}

/** The end of a QoS 2 exchange, by the client's PUBREL [MQTT-4.3.3-11]. */
export function complete (c: Answering, packetId: number): void {
  const known = c.received?.delete(packetId) === true
  c.storedIds?.delete(packetId)
  c.send(known || c.version !== 5 ? ackFrame(0x70, packetId) : encode({ cmd: 'pubcomp', messageId: packetId, reasonCode: PACKET_ID_NOT_FOUND }, 5))
}
