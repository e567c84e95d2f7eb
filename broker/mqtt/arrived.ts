import type { Properties } from './properties.js'

/** A PUBLISH as it came in. */
export interface Arrived {
  topic: string
  payload: Buffer
  qos: 0 | 1 | 2
  dup: boolean
  retain: boolean
  /** 0 at QoS 0. */
  packetId: number
  /** MQTT 5, when there are any. */
  properties?: Properties
}
