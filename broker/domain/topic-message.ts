import type { SessionId } from './ids.js'

/** A message on an ordinary topic. */
export interface TopicMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /** The session that published it, for No Local; empty: the broker, or a session of an earlier process. */
  readonly from: SessionId | ''
  /** The MQTT 5 properties that are passed on, as they came and in their order [MQTT-3.3.2-4, -15, -16, -17, -18, -20]; without the length in front. */
  readonly properties: Buffer
  /** When it is no longer to be delivered, ms since the epoch; 0: never. */
  readonly expiresMs: number
}

/** One subscription of a session to an ordinary topic. `id`: Subscription Identifier; 0: none. */
export interface TopicSubscription {
  filter: string
  qos: 0 | 1 | 2
  /** No Local: not what the session itself publishes [MQTT-3.8.3-3]. */
  noLocal: boolean
  /** Retain As Published [MQTT-3.3.1-12] [MQTT-3.3.1-13]. */
  keepRetain: boolean
  id: number
}
