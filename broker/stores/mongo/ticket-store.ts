import type { DeviceId, UserId } from '../../domain/ids.js'
import { REMOVALS_PER_USER, type Ticket, type TicketStore, TICKETS_PER_DEVICE, TICKETS_PER_USER } from '../../ports/tickets.js'
import type { Calls } from './calls.js'
import type { Database, TicketDoc } from './database.js'

export class MongoTicketStore implements TicketStore {
  constructor (private readonly db: Database, private readonly calls: Calls) {}

  async find (hash: string): Promise<Ticket | undefined> {
    const doc = await this.calls.read(() => this.db.tickets.findOne({ _id: hash }))
    return doc === null ? undefined : fromTicketDoc(doc)
  }

  /** The new one first: two nodes that make room at once may drop one too many of the old, never the new. */
  async put (hash: string, ticket: Ticket): Promise<void> {
    const { user, device, madeMs } = ticket
    await this.calls.write(() => this.db.tickets.replaceOne({ _id: hash }, toTicketDoc(ticket), { upsert: true }), { again: true })
    const held = await this.calls.read(() => this.db.tickets.find({ u: user, _id: { $ne: hash } }, { projection: { acl: 0 } }).sort({ made: -1, _id: 1 }).toArray())
    let [ofUser, ofDevice] = [1, 1]
    const over = held.filter(t => {
      if (t.expires !== 0 && t.expires <= madeMs) return true
      return ++ofUser > TICKETS_PER_USER || (t.d === device && ++ofDevice > TICKETS_PER_DEVICE)
    })
    if (over.length > 0) await this.calls.write(() => this.db.tickets.deleteMany({ _id: { $in: over.map(t => t._id) } }))
  }

  async revoke (user: UserId, device: DeviceId, atMs: number): Promise<void> {
    // the time first: it alone refuses tickets and tokens that are older
    await this.calls.write(() => this.db.removals.updateOne({ u: user, d: device }, { $max: { ms: atMs } }, { upsert: true }), { again: true })
    await this.calls.write(() => this.db.tickets.deleteMany({ u: user, d: device }))
    const old = await this.calls.read(() => this.db.removals.find({ u: user }, { projection: { ms: 1 } }).sort({ ms: -1 }).skip(REMOVALS_PER_USER).toArray())
    if (old.length > 0) await this.calls.write(() => this.db.removals.deleteMany({ _id: { $in: old.map(r => r._id) } }))
  }

  async revokedMs (user: UserId, device: DeviceId): Promise<number> {
    return (await this.calls.read(() => this.db.removals.findOne({ u: user, d: device })))?.ms ?? 0
  }
}

export const fromTicketDoc = ({ u, d, acl, issued, made, expires }: Omit<TicketDoc, '_id'>): Ticket =>
  ({ user: u as UserId, device: d as DeviceId, ...(acl === undefined ? {} : { acl }), issuedMs: issued, madeMs: made, expiresMs: expires })
export const toTicketDoc = ({ user, device, acl, issuedMs, madeMs, expiresMs }: Ticket): Omit<TicketDoc, '_id'> =>
  ({ u: user, d: device, ...(acl === undefined ? {} : { acl }), issued: issuedMs, made: madeMs, expires: expiresMs })
