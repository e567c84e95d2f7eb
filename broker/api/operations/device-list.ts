import type { Connections } from '../../core/connections.js'
import type { DeviceId } from '../../domain/ids.js'
import { defineOperation, type Operation, Type } from '../../plugin.js'
import type { DeviceStore } from '../../ports/devices.js'

/** `device.list`: the user's devices, those too that are connected and leave no record. */
export function deviceList (deps: { devices: DeviceStore, connections: Connections }): Operation {
  return defineOperation({
    name: 'device.list', summary: 'My devices, the one used last first.',
    params: Type.Object({}),
    result: Type.Object({
      devices: Type.Array(Type.Object({
        device: Type.String(),
        connected: Type.Boolean(),
        current: Type.Boolean({ description: 'It is the one that asks.' }),
        created: Type.Optional(Type.Integer({ description: 'ms since the epoch; left out while the device leaves no record' })),
        seen: Type.Optional(Type.Integer({ description: 'When it was last connected, to the day while it is; ms since the epoch' }))
      }))
    }),
    read: true, who: 'user',
    async handle ({ user, device: current }) {
      const records = (await deps.devices.list(user)).sort((a, b) => b.seenMs - a.seenMs)
      const connected = new Set<DeviceId>(deps.connections.ofUser(user).map(c => c.session.device))
      const known = new Set(records.map(r => r.device))
      const of = (device: DeviceId): { device: DeviceId, connected: boolean, current: boolean } => ({ device, connected: connected.has(device), current: device === current })
      return {
        devices: [
          ...[...connected].filter(device => !known.has(device)).map(of),
          ...records.map(r => ({ ...of(r.device), created: r.createdMs, seen: r.seenMs }))
        ]
      }
    }
  }) as unknown as Operation
}
