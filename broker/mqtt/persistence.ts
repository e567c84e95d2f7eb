import { Readable } from 'node:stream'
import type { DeviceStore } from '../ports/devices.js'
import type { Topics } from '../core/topics/topics.js'
import { inside, outside } from './aedes-names.js'
import type { Connection } from './connection.js'
import type { Ordinary } from './ordinary.js'

interface Client { conn: Connection }
interface Sub { topic: string, qos: number }

/** Is granted to nobody. Aedes says "session present" by whether a subscription is restored. */
const NOTHING: Sub = { topic: '$nothing', qos: 0 }

/**
 * What Aedes asks its persistence: subscriptions. Those to the inbox live in the device's record, those to ordinary
 * topics beside their queues. Messages do not come here (docs/adr/005).
 */
export class SessionPersistence {
  constructor (private readonly devices: DeviceStore, private readonly ordinary: Ordinary, private readonly topics: Pick<Topics, 'filtersOf'>, private readonly connection: (id: string) => Connection | undefined) {}

  async setup (): Promise<void> {}
  async destroy (): Promise<void> {}

  async subscriptionsByClient ({ id }: { id: string }): Promise<Sub[]> {
    const c = this.connection(id)
    if (c?.sessionPresent !== true) return []
    const inbox = c.session.record!.subscriptions.map(s => ({ topic: s.filter, qos: s.qos }))
    return [...inbox, ...this.topics.filtersOf(c.session.id).map(f => ({ topic: inside(f), qos: 0 })), NOTHING]
  }

  /** Called before SUBACK, once per filter with the whole packet, refused filters included. */
  async addSubscriptions ({ conn: c }: Client): Promise<void> {
    await (c.asking.stored ??= this.store(c))
  }

  private async store (c: Connection): Promise<void> {
    const { ordinary, id } = c.asking
    await Promise.all([this.storeInbox(c), ordinary.length === 0 ? undefined : this.ordinary.store(c, ordinary, id)])
  }

  private async storeInbox (c: Connection): Promise<void> {
    const { record } = c.session
    if (record === null) return
    const held = new Map(record.subscriptions.map(s => [s.filter, s.qos]))
    let changed = false
    for (const { topic, qos } of c.asking.inbox) {
      const granted = qos > 0 ? 1 : 0
      if (held.get(topic) === granted) continue
      held.set(topic, granted)
      changed = true
    }
    if (!changed) return
    record.subscriptions = [...held].map(([filter, qos]) => ({ filter, qos }))
    await this.devices.put(record)
  }

  async removeSubscriptions ({ conn: c }: Client, names: string[]): Promise<void> {
    const filters = names.map(outside)
    await this.ordinary.unstore(c, filters)
    const { record } = c.session
    if (record?.subscriptions.some(s => filters.includes(s.filter)) !== true) return
    record.subscriptions = record.subscriptions.filter(s => !filters.includes(s.filter))
    await this.devices.put(record)
  }

  /** The session ended, or a clean start ended the one before. */
  async cleanSubscriptions (client: Client): Promise<void> {
    const record = client.conn.session.record
    if (record === null || record.subscriptions.length === 0) return
    record.subscriptions = []
    await this.devices.put(record)
  }

  outgoingStream (): Readable { return Readable.from([]) }
  createRetainedStream (): Readable { return Readable.from([]) }
  createRetainedStreamCombi (): Readable { return Readable.from([]) }
  async storeRetained (): Promise<void> {}
  async countOffline (): Promise<{ subsCount: number, clientsCount: number }> { return { subsCount: 0, clientsCount: 0 } }
  async subscriptionsByTopic (): Promise<Sub[]> { return [] }
  async outgoingEnqueue (): Promise<void> {}
  async outgoingEnqueueCombi (): Promise<void> {}
  async outgoingUpdate (): Promise<void> {}
  async outgoingClearMessageId (): Promise<undefined> { return undefined }
  async incomingStorePacket (): Promise<void> {}
  async incomingGetPacket (): Promise<undefined> { return undefined }
  async incomingDelPacket (): Promise<void> {}
  async putWill (): Promise<void> {}
  async getWill (): Promise<undefined> { return undefined }
  async delWill (): Promise<undefined> { return undefined }
  streamWill (): Readable { return Readable.from([]) }
  getClientList (): Readable { return Readable.from([]) }
}
