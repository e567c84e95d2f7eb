import { RECEIVE_MAXIMUM } from './answers.js'
import { encode } from './frames.js'
import { TOPIC_ALIASES } from './topic-aliases.js'

/** Where answers may be asked for [MQTT-3.2.2.3.15]. */
const RESPONSE_INFORMATION = 'me/rpc'

/** A connection, as its CONNACK describes it. */
export interface Welcomed {
  readonly version: number
  readonly sessionPresent: boolean
  readonly expirySeconds: number
  readonly askedExpirySeconds: number
  readonly assignedClientId: string | undefined
  readonly serverKeepAlive: number | undefined
  readonly wantsResponseInformation: boolean
}

/** The CONNACK of an accepted connection; MQTT 5 clients are told what holds here. */
export function accepted (c: Welcomed, maxPacketBytes: number): Buffer {
  if (c.version !== 5) return encode({ cmd: 'connack', returnCode: 0, sessionPresent: c.sessionPresent }, c.version) // [MQTT-3.2.2-2] [MQTT-3.2.2-3]
  return encode({
    cmd: 'connack',
    reasonCode: 0,
    sessionPresent: c.sessionPresent,
    properties: {
      receiveMaximum: RECEIVE_MAXIMUM,
      maximumPacketSize: maxPacketBytes,
      topicAliasMaximum: TOPIC_ALIASES,
      ...(c.expirySeconds === c.askedExpirySeconds ? {} : { sessionExpiryInterval: c.expirySeconds }), // [MQTT-3.2.2-20]
      ...(c.assignedClientId === undefined ? {} : { assignedClientIdentifier: c.assignedClientId }),
      ...(c.serverKeepAlive === undefined ? {} : { serverKeepAlive: c.serverKeepAlive }),
      ...(c.wantsResponseInformation ? { responseInformation: RESPONSE_INFORMATION } : {})
    }
  }, 5)
}
