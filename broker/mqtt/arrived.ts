import type { IPublishPacket } from 'mqtt-packet'

/** A PUBLISH as it came in. */
export interface Arrived {
  topic: string
  payload: Buffer
  qos: 0 | 1 | 2
  dup: boolean
  /** 0 at QoS 0. */
  packetId: number
  properties?: IPublishPacket['properties']
}
