import type { TopicMessage } from '../../domain/topic-message.js'

/** How a message on an ordinary topic is given to one receiver. */
export interface Giving {
  qos: 0 | 1 | 2
  /** 0 at QoS 0. */
  packetId: number
  dup: boolean
  retain: boolean
  /** Subscription Identifiers of all subscriptions that matched [MQTT-3.3.4-3] [MQTT-3.3.4-4]. */
  ids: readonly number[]
}

/** How a {@link Subscriber} writes to its connection. Nothing here waits for the receiver. */
export interface TopicLink {
  /** Packets at QoS 1 and 2 that the client still takes: Receive Maximum less what is in flight of the inbox [MQTT-3.3.4-9]. */
  readonly quota: number
  /** Bytes written that the kernel has not taken. */
  readonly unsentBytes: number
  /** False: larger than the client takes; it counts as delivered [MQTT-3.1.2-25]. */
  give (message: TopicMessage, how: Giving): boolean
  /** PUBREL. */
  release (packetId: number): void
}
