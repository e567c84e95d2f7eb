import { isUtf8 } from 'node:buffer'

/** The properties of a PUBLISH or a will [MQTT-2.2.2]. */
export interface Properties {
  payloadFormat?: number
  /** Message Expiry Interval. */
  expirySeconds?: number
  contentType?: string
  responseTopic?: string
  correlationData?: Buffer
  topicAlias?: number
  willDelaySeconds?: number
  /** In the order in which they came. */
  user: readonly (readonly [string, string])[]
  /** Those that are passed on to receivers, as they came; a copy. */
  passedOn: Buffer
}

/** Why a packet is not MQTT, and the reason code that says so [MQTT-4.13.1-1]. */
export class Malformed {
  constructor (readonly why: string, readonly code = 0x81) {}
}

const PROTOCOL_ERROR = 0x82
const PAYLOAD_FORMAT = 0x01
const EXPIRY = 0x02
const CONTENT_TYPE = 0x03
const RESPONSE_TOPIC = 0x08
const CORRELATION_DATA = 0x09
const WILL_DELAY = 0x18
const TOPIC_ALIAS = 0x23
const USER = 0x26
/** What is not passed on: the expiry is counted down, the alias is the connection's, the delay is over. */
const OURS = new Set([EXPIRY, TOPIC_ALIAS, WILL_DELAY])
/** A Subscription Identifier in a client's PUBLISH is no property of it [MQTT-3.3.4-6]. */
export const OF_PUBLISH: ReadonlySet<number> = new Set([PAYLOAD_FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA, TOPIC_ALIAS, USER])
export const OF_WILL: ReadonlySet<number> = new Set([PAYLOAD_FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA, WILL_DELAY, USER])

export const NO_BYTES = Buffer.alloc(0)

/** The Variable Byte Integer at `at`, and where it ends; null: it is none [MQTT-1.5.5]. */
export function variableInteger (b: Buffer, at: number, end: number): { value: number, end: number } | null {
  let value = 0
  for (let shift = 1, n = 0; n < 4 && at < end; shift *= 128, n++) {
    const byte = b[at++]!
    value += (byte & 127) * shift
    if (byte < 128) return { value, end: at }
  }
  return null
}

/** The UTF-8 string between `at` and `end`, or what is wrong with it [MQTT-1.5.4-1] [MQTT-1.5.4-2]. */
export function utf8 (b: Buffer, at: number, end: number): string | Malformed {
  const s = b.toString('utf8', at, end)
  // what is no UTF-8 becomes U+FFFD
  if (s.includes('\ufffd') && !isUtf8(b.subarray(at, end))) return new Malformed('a string that is no UTF-8')
  return s.includes('\0') ? new Malformed('a NUL in a string') : s
}

/** Reads the properties between `at` and `end`, without the length in front. */
export function readProperties (b: Buffer, at: number, end: number, allowed: ReadonlySet<number>): Properties | Malformed {
  const p: Omit<Properties, 'user' | 'passedOn'> = {}
  const user: [string, string][] = []
  const passedOn: Buffer[] = []
  const seen = new Set<number>()
  const cutOff = new Malformed('a property is cut off')
  let failure: Malformed | null = null
  const field = (): Buffer | null => {
    if (at + 2 > end) return null
    const start = at + 2
    const stop = start + b.readUInt16BE(at)
    if (stop > end) return null
    at = stop
    return b.subarray(start, stop)
  }
  const text = (): string | null => {
    const f = field()
    if (f === null) return null
    const s = utf8(f, 0, f.length)
    if (typeof s === 'string') return s
    failure = s
    return null
  }
  while (at < end) {
    const start = at
    const id = b[at++]!
    if (!allowed.has(id)) return new Malformed(`property ${id} does not belong here`, PROTOCOL_ERROR)
    if (id !== USER && seen.has(id)) return new Malformed(`property ${id} is given twice`, PROTOCOL_ERROR)
    seen.add(id)
    switch (id) {
      case PAYLOAD_FORMAT:
        if (at + 1 > end) return cutOff
        p.payloadFormat = b[at++]!
        if (p.payloadFormat > 1) return new Malformed('Payload Format Indicator is neither 0 nor 1', PROTOCOL_ERROR)
        break
      case EXPIRY: case WILL_DELAY: {
        if (at + 4 > end) return cutOff
        const seconds = b.readUInt32BE(at)
        if (id === EXPIRY) p.expirySeconds = seconds
        else p.willDelaySeconds = seconds
        at += 4
        break
      }
      case TOPIC_ALIAS:
        if (at + 2 > end) return cutOff
        p.topicAlias = b.readUInt16BE(at)
        at += 2
        break
      case CORRELATION_DATA: {
        const data = field()
        if (data === null) return cutOff
        p.correlationData = data
        break
      }
      case USER: {
        const [name, value] = [text(), text()]
        if (name === null || value === null) return failure ?? cutOff
        user.push([name, value])
        break
      }
      default: { // CONTENT_TYPE, RESPONSE_TOPIC
        const s = text()
        if (s === null) return failure ?? cutOff
        if (id === CONTENT_TYPE) p.contentType = s
        else if (s === '' || /[+#]/.test(s)) return new Malformed('the Response Topic is no topic', PROTOCOL_ERROR) // [MQTT-3.3.2-14]
        else p.responseTopic = s
      }
    }
    if (!OURS.has(id)) passedOn.push(b.subarray(start, at))
  }
  return { ...p, user, passedOn: passedOn.length === 0 ? NO_BYTES : Buffer.concat(passedOn) }
}
