import type { Connections } from '../../core/connections.js'
import { ParleyError } from '../../domain/errors.js'
import { type DeviceId, isDeviceId, sessionId, type UserId } from '../../domain/ids.js'
import { defineOperation, type Event, type Operation, Type } from '../../plugin.js'
import type { Clock } from '../../ports/clock.js'
import type { DeviceStore } from '../../ports/devices.js'
import type { Logger } from '../../ports/logger.js'
import type { TicketStore } from '../../ports/tickets.js'

export interface DeviceRemoveDeps {
  devices: DeviceStore
  tickets: TicketStore
  connections: Connections
  tell (user: UserId, event: Event): void
  clock: Clock
  logger: Logger
}

/**
 * `device.remove`: a lost phone, or a logout. Once it is answered, no token or ticket made before lets the device in.
 * Idempotent. A device that removes itself hears the answer, then its connection ends.
 */
export function deviceRemove (deps: DeviceRemoveDeps): Operation {
  return defineOperation({
    name: 'device.remove', summary: 'Closes a device of mine and forgets it: its tickets, and its tokens until now, are no good any more.',
    params: Type.Object({ device: Type.String({ minLength: 1, maxLength: 256 }) }), result: Type.Object({}), who: 'user',
    async handle ({ user, device: asking }, { device }) {
      if (!isDeviceId(device)) throw new ParleyError('bad-request', 'device is not a device id')
      if (!(await isKnown(user, device))) throw new ParleyError('not-found', 'you have no such device')
      await deps.tickets.revoke(user, device, deps.clock.now())
      deps.tell(user, { type: 'device-removed', device })
      if (device !== asking) await deps.connections.remove(user, device)
      else setImmediate(() => { void itself(user, device) }) // its answer leaves in this turn
      return {}
    }
  }) as unknown as Operation

  async function isKnown (user: UserId, device: DeviceId): Promise<boolean> {
    return deps.connections.get(sessionId(user, device)) !== undefined ||
      await deps.devices.get(user, device) !== undefined || await deps.tickets.revokedMs(user, device) > 0
  }

  async function itself (user: UserId, device: DeviceId): Promise<void> {
    try { await deps.connections.remove(user, device) } catch (err) {
      deps.logger.error({ err, user, device }, 'a removed device could not be forgotten; it is kept out all the same')
    }
  }
}
