import type { TopicMessage } from '../../domain/topic-message.js'

/** How a {@link Subscriber} writes to its connection. Nothing here waits for the receiver. */
export interface TopicLink {
  /** Packets at QoS 1 and 2 that the client still takes: Receive Maximum less what is in flight of the inbox [MQTT-3.3.4-9]. */
  readonly quota: number
  /** Bytes written that the kernel has not taken. */
  readonly unsentBytes: number
  /**
   * Queues one PUBLISH for the end of this event-loop turn. `packetId`: 0 at QoS 0; `ids`: Subscription Identifiers of all
   * subscriptions that matched [MQTT-3.3.4-3] [MQTT-3.3.4-4]. False: larger than the client takes; it counts as delivered
   * [MQTT-3.1.2-25].
   */
  give (message: TopicMessage, qos: 0 | 1 | 2, packetId: number, dup: boolean, retain: boolean, ids: readonly number[]): boolean
  /** PUBREL. */
  release (packetId: number): void
}
