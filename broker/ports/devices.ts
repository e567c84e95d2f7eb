import type { DeviceId, UserId } from '../domain/ids.js'

/** What outlives a device's connection. */
export interface Device {
  user: UserId
  device: DeviceId
  /** MQTT session state: the inbox filters granted, as they were asked for; forgotten when the session ends. */
  subscriptions: { filter: string, qos: 0 | 1 }[]
  /** `rcpt`: PUBACKs move no cursor, the app's receipts do. */
  ack: 'puback' | 'rcpt'
  /** Largest PUBLISH the device takes, bytes; 0: no limit of its own. */
  maxPacketBytes: number
  /** App in the foreground; the last word of `state`. */
  active: boolean
  /** How long the subscriptions outlive the connection, seconds; 0: they end with it [MQTT-3.1.2.11.2]. */
  sessionExpirySeconds: number
  /** Its cursors were written, where the user's furthest device stood; false until its first replay. */
  placed: boolean
  createdMs: number
  seenMs: number
}

export interface DeviceStore {
  get (user: UserId, device: DeviceId): Promise<Device | undefined>
  /** Writes the whole record; durable when it resolves. Of two puts of one device the later call wins. */
  put (device: Device): Promise<void>
  /** Removes the record, the device's cursors and its tickets. Idempotent. */
  remove (user: UserId, device: DeviceId): Promise<void>
  /** All devices of a user. */
  list (user: UserId): Promise<Device[]>
}
