import type { Outgoing } from './outgoing.js'

/** How a session writes to its connection. Nothing here waits for the receiver. */
export interface Link {
  /** Receive Maximum of the client; 65,535 before MQTT 5. */
  readonly receiveMaximum: number
  /** Largest packet the client takes, bytes; 0: any. */
  readonly maxPacketBytes: number
  /** Queues one PUBLISH for the end of this event-loop turn. `long`: on `u/{me}/…` instead of `me/…`. */
  deliver (out: Outgoing, qos: 0 | 1, packetId: number, dup: boolean, long: boolean): void
  /** Size of that PUBLISH on the wire, bytes. */
  sizeOf (out: Outgoing, qos: 0 | 1, long: boolean): number
  /** Bytes written that the kernel has not taken. */
  readonly unsentBytes: number
}
