import { Readable } from 'node:stream'
import type { DeviceStore } from '../ports/devices.js'
import type { Connection } from './connection.js'

interface Client { conn: Connection }
interface Sub { topic: string, qos: number }

/** Is granted to nobody. Aedes says "session present" by whether a subscription is restored. */
const NOTHING: Sub = { topic: '$nothing', qos: 0 }

/**
 * What Aedes asks its persistence, as far as inboxes need it: subscriptions live in the device's record. Ordinary
 * topics are denied, so there is nothing retained, queued or half-way through QoS 2.
 */
export class SessionPersistence {
  private readonly stored = new WeakMap<Sub[], Promise<void>>()
  constructor (private readonly devices: DeviceStore, private readonly connection: (id: string) => Connection | undefined) {}

  async setup (): Promise<void> {}
  async destroy (): Promise<void> {}

  async subscriptionsByClient ({ id }: { id: string }): Promise<Sub[]> {
    const c = this.connection(id)
    if (c?.sessionPresent !== true) return []
    const held = c.session.record!.subscriptions
    return held.length === 0 ? [NOTHING] : held.map(s => ({ topic: s.filter, qos: s.qos }))
  }

  /** Called before SUBACK, once per filter with the whole packet, refused filters included: 10,000 of them are stored once. */
  async addSubscriptions (client: Client, subs: Sub[]): Promise<void> {
    let stored = this.stored.get(subs)
    if (stored === undefined) this.stored.set(subs, stored = this.store(client, subs))
    await stored
  }

  private async store (client: Client, subs: Sub[]): Promise<void> {
    const record = client.conn.session.record
    if (record === null) return
    const held = new Map(record.subscriptions.map(s => [s.filter, s.qos]))
    let changed = false
    for (const { topic, qos } of subs) {
      if (!client.conn.mayHold(topic)) continue
      const granted = qos > 0 ? 1 : 0
      if (held.get(topic) === granted) continue
      held.set(topic, granted)
      changed = true
    }
    if (!changed) return
    record.subscriptions = [...held].map(([filter, qos]) => ({ filter, qos }))
    await this.devices.put(record)
  }

  async removeSubscriptions (client: Client, topics: string[]): Promise<void> {
    const record = client.conn.session.record
    if (record?.subscriptions.some(s => topics.includes(s.filter)) !== true) return
    record.subscriptions = record.subscriptions.filter(s => !topics.includes(s.filter))
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
