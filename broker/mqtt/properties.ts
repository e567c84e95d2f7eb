import { isTopicName } from '../domain/filters.js'
import { type Malformed, Walk } from './walk.js'

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

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
const PAYLOAD_FORMAT = 0x01
const EXPIRY = 0x02
const CONTENT_TYPE = 0x03
const RESPONSE_TOPIC = 0x08
const CORRELATION_DATA = 0x09
const SUBSCRIPTION_ID = 0x0b
const WILL_DELAY = 0x18
const TOPIC_ALIAS = 0x23
const USER = 0x26
/** What is not passed on: the expiry is counted down, the alias is the connection's, the delay is over. */
const OURS = new Set([EXPIRY, TOPIC_ALIAS, WILL_DELAY])
/** A Subscription Identifier in a client's PUBLISH is no property of it [MQTT-3.3.4-6]. */
export const OF_PUBLISH: ReadonlySet<number> = new Set([PAYLOAD_FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA, TOPIC_ALIAS, USER])
export const OF_WILL: ReadonlySet<number> = new Set([PAYLOAD_FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA, WILL_DELAY, USER])

export const NO_BYTES = Buffer.alloc(0)

type Values = Omit<Properties, 'user' | 'passedOn'>

/** Reads the properties between `at` and `end`, without the length in front. */
export function readProperties (b: Buffer, at: number, end: number, allowed: ReadonlySet<number>): Properties | Malformed {
  const w = new Walk(b, at, end)
  const values: Values = {}
  const user: [string, string][] = []
  const passedOn: Buffer[] = []
  const seen = new Set<number>()
  while (w.left > 0) {
    const start = w.at
    const id = w.byte()
    if (!allowed.has(id)) w.fail(`property ${id} does not belong here`, id === SUBSCRIPTION_ID ? PROTOCOL_ERROR : MALFORMED) // MQTT 5, 2.2.2.2 and 3.3.2.3.8
    else if (id === USER) user.push([w.text(), w.text()])
    else if (seen.has(id)) w.fail(`property ${id} is given twice`, PROTOCOL_ERROR)
    else read(w, id, values)
    seen.add(id)
    if (!OURS.has(id)) passedOn.push(b.subarray(start, w.at))
  }
  return w.wrong ?? { ...values, user, passedOn: passedOn.length === 0 ? NO_BYTES : Buffer.concat(passedOn) }
}

function read (w: Walk, id: number, values: Values): void {
  switch (id) {
    case PAYLOAD_FORMAT:
      values.payloadFormat = w.byte()
      if (values.payloadFormat > 1) w.fail('Payload Format Indicator is neither 0 nor 1', PROTOCOL_ERROR)
      return
    case EXPIRY: values.expirySeconds = w.long(); return
    case WILL_DELAY: values.willDelaySeconds = w.long(); return
    case TOPIC_ALIAS: values.topicAlias = w.word(); return
    case CONTENT_TYPE: values.contentType = w.text(); return
    case CORRELATION_DATA: values.correlationData = w.data(); return
    case RESPONSE_TOPIC:
      values.responseTopic = w.text()
      if (!isTopicName(values.responseTopic)) w.fail('the Response Topic is no topic', PROTOCOL_ERROR) // [MQTT-3.3.2-14]
  }
}
