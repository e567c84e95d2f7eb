import { Type } from '@sinclair/typebox'
import type { Connections } from '../../core/connections.js'
import { placeDevice } from '../../core/new-device.js'
import { ParleyError } from '../../domain/errors.js'
import { sessionId } from '../../domain/ids.js'
import { defineOperation, type Operation } from '../../plugin.js'
import type { Clock } from '../../ports/clock.js'
import type { Device, DeviceStore } from '../../ports/devices.js'
import type { CursorStore, InboxStore } from '../../ports/inbox.js'
import type { LogStore } from '../../ports/log.js'

/** What an error and `me/gap` need, with the longest names: who takes less would hear of nothing, not even of this. */
const LEAST_PACKET_BYTES = 256

const params = Type.Object({
  ack: Type.Optional(Type.Union([Type.Literal('puback'), Type.Literal('rcpt')], { description: 'What moves the cursor: PUBACK, or the app\'s receipts.' })),
  maxPacketBytes: Type.Optional(Type.Integer({ minimum: 0, maximum: 268_435_455, description: 'Largest PUBLISH the device takes, at least 256 bytes; 0: any.' }))
}, { additionalProperties: false })

/** `device.set`: how this device is served. Makes the device for a connection that had none. Idempotent. */
export function deviceSet (deps: { devices: DeviceStore, connections: Connections, clock: Clock, log: LogStore, inbox: InboxStore, cursors: CursorStore }): Operation {
  return defineOperation({
    name: 'device.set', summary: 'How this device is served.', params, result: Type.Object({}), who: 'user',
    async handle (call, given) {
      if (call.device === '') throw new ParleyError('bad-request', 'device.set is asked by a device')
      const session = deps.connections.get(sessionId(call.user, call.device))?.session
      const now = deps.clock.now()
      const record: Device = session?.record ?? await deps.devices.get(call.user, call.device) ?? {
        user: call.user, device: call.device, subscriptions: [], ack: 'puback', maxPacketBytes: 0, active: true, sessionExpirySeconds: 0, placed: false, createdMs: now, seenMs: now
      }
      const { maxPacketBytes = 0 } = given
      if (maxPacketBytes > 0 && maxPacketBytes < LEAST_PACKET_BYTES) throw new ParleyError('bad-request', `maxPacketBytes: 0 for any, or at least ${LEAST_PACKET_BYTES}`)
      if (given.ack !== undefined) record.ack = given.ack
      if (given.maxPacketBytes !== undefined) record.maxPacketBytes = given.maxPacketBytes
      if (session !== undefined && session.record === null) await placeDevice(session, record, deps)
      await deps.devices.put(record)
      return {}
    }
  }) as unknown as Operation
}
