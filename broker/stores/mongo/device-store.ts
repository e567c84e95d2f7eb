import { type DeviceId, sessionId, type UserId } from '../../domain/ids.js'
import type { Device, DeviceStore } from '../../ports/devices.js'
import type { Calls } from './calls.js'
import { type Database, type DeviceDoc, deviceKey } from './database.js'

export class MongoDeviceStore implements DeviceStore {
  /** The last put of a device that is on its way: the next one follows it. */
  private readonly puts = new Map<string, Promise<void>>()
  constructor (private readonly db: Database, private readonly calls: Calls) {}

  async get (user: UserId, device: DeviceId): Promise<Device | undefined> {
    const doc = await this.calls.read(() => this.db.devices.findOne({ _id: sessionId(user, device) }))
    return doc === null ? undefined : fromDeviceDoc(doc)
  }

  async put (d: Device): Promise<void> {
    const { user, device, ...rest } = structuredClone(d)
    const _id = sessionId(user, device)
    const before = this.puts.get(_id)
    const mine = (async () => {
      await before?.catch(() => {})
      await this.calls.write(() => this.db.devices.replaceOne({ _id }, { u: user, d: device, ...rest }, { upsert: true }), { again: true })
    })()
    this.puts.set(_id, mine)
    try { await mine } finally { if (this.puts.get(_id) === mine) this.puts.delete(_id) }
  }

  /** The record goes last: a removal that was cut off is asked for again. */
  async remove (user: UserId, device: DeviceId): Promise<void> {
    const _id = sessionId(user, device)
    const key = deviceKey(device)
    await this.puts.get(_id)?.catch(() => {})
    await this.calls.write(() => this.db.tickets.deleteMany({ u: user, d: device }))
    await this.calls.write(() => this.db.inbox.updateMany({ u: user }, { $unset: { [`cur.${key}`]: '', [`hi.${key}`]: '' } }))
    await this.calls.write(() => this.db.devices.deleteOne({ _id }))
  }

  async list (user: UserId): Promise<Device[]> {
    return (await this.calls.read(() => this.db.devices.find({ u: user }).toArray())).map(fromDeviceDoc)
  }
}

export const fromDeviceDoc = ({ _id, u, d, ...rest }: DeviceDoc): Device => ({ user: u as UserId, device: d as DeviceId, ...rest })
