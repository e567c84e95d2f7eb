import type { DeviceId, UserId } from '../../domain/ids.js'
import type { Device, DeviceStore } from '../../ports/devices.js'
import type { Committer } from './committer.js'
import type { Databases } from './database.js'
import { deviceBytes, join, rangeOf } from './keys.js'
import { scan } from './scan.js'
import { dropTickets } from './ticket-store.js'

export class LmdbDeviceStore implements DeviceStore {
  readonly #dbs: Databases
  readonly #committer: Committer

  constructor (dbs: Databases, committer: Committer) {
    this.#dbs = dbs
    this.#committer = committer
  }

  async get (user: UserId, device: DeviceId): Promise<Device | undefined> {
    const b = this.#dbs.devices.getBinary(join(user, deviceBytes(device)))
    return b === undefined ? undefined : unpack(b)
  }

  async put (device: Device): Promise<void> {
    const value = Buffer.from(JSON.stringify(device))
    await this.#committer.write(tx => tx.put(this.#dbs.devices, join(device.user, deviceBytes(device.device)), value))
  }

  async remove (user: UserId, device: DeviceId): Promise<void> {
    const key = join(user, deviceBytes(device))
    const { devices, cursors } = this.#dbs
    await this.#committer.write(tx => {
      tx.remove(devices, key)
      for (const cursor of tx.keys(cursors, rangeOf(key))) tx.remove(cursors, cursor)
      dropTickets(tx, this.#dbs, key)
    })
  }

  list (user: UserId): Promise<Device[]> {
    return scan(this.#dbs.devices, user, (_key, value) => unpack(value))
  }
}

const unpack = (b: Buffer): Device => JSON.parse(b.toString()) as Device
