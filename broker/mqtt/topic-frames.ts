import type { TopicMessage } from '../domain/topic-message.js'
import { publishBytes, writeLength } from './frames.js'

/** What of a PUBLISH differs between receivers, beside its packet id. */
export interface TopicFrame {
  v5: boolean
  qos: 0 | 1 | 2
  dup: boolean
  retain: boolean
  /** Subscription Identifiers. */
  ids: readonly number[]
  /** 0: none. With `aliasKnown` it stands for the topic. */
  alias: number
  aliasKnown: boolean
}

const EXPIRY = 0x02
const SUBSCRIPTION_ID = 0x0b
const TOPIC_ALIAS = 0x23

/** Frames of the message that was asked for last: its receivers come one after the other. */
let shared: { message: TopicMessage, nowMs: number, frames: Buffer[] } | null = null

/** A PUBLISH on an ordinary topic with room for its packet id. Shared by receivers: never change it. */
export function sharedFrame (m: TopicMessage, qos: 0 | 1 | 2, dup: boolean, retain: boolean, v5: boolean, nowMs: number): Buffer {
  if (shared?.message !== m || shared.nowMs !== nowMs) shared = { message: m, nowMs, frames: [] }
  const kind = qos | (dup ? 4 : 0) | (retain ? 8 : 0) | (v5 ? 16 : 0)
  return shared.frames[kind] ??= topicFrame(m, { v5, qos, dup, retain, ids: [], alias: 0, aliasKnown: false }, nowMs)
}

/** The same for one receiver. */
export function topicFrame (m: TopicMessage, f: TopicFrame, nowMs: number): Buffer {
  const head = 0x30 | (f.dup ? 8 : 0) | f.qos << 1 | (f.retain ? 1 : 0)
  return publishBytes(head, f.aliasKnown ? '' : m.topic, f.v5 ? propertiesOf(m, f, nowMs) : null, m.payload)
}

function propertiesOf (m: TopicMessage, f: TopicFrame, nowMs: number): Buffer {
  if (m.expiresMs === 0 && f.ids.length === 0 && f.alias === 0) return m.properties
  const own = Buffer.allocUnsafe(5 + 3 + 5 * f.ids.length)
  let at = 0
  if (m.expiresMs !== 0) { // what is left of it [MQTT-3.3.2-6]
    own[at++] = EXPIRY
    at = own.writeUInt32BE(Math.min(0xffffffff, Math.max(1, Math.ceil((m.expiresMs - nowMs) / 1000))), at)
  }
  if (f.alias !== 0) {
    own[at++] = TOPIC_ALIAS
    at = own.writeUInt16BE(f.alias, at)
  }
  for (const id of f.ids) {
    own[at++] = SUBSCRIPTION_ID
    at = writeLength(own, id, at)
  }
  return Buffer.concat([own.subarray(0, at), m.properties])
}
