import type { DeviceId, UserId } from '../../domain/ids.js'
import { REMOVALS_PER_USER, type Ticket, type TicketStore, TICKETS_PER_DEVICE, TICKETS_PER_USER } from '../../ports/tickets.js'
import type { Committer, Tx } from './committer.js'
import type { Databases } from './database.js'
import { deviceBytes, join, type Key, lastPart, rangeOf } from './keys.js'
import { packU48, unpackU48 } from './rows.js'

export class LmdbTicketStore implements TicketStore {
  readonly #dbs: Databases
  readonly #committer: Committer

  constructor (dbs: Databases, committer: Committer) {
    this.#dbs = dbs
    this.#committer = committer
  }

  async find (hash: string): Promise<Ticket | undefined> {
    const b = this.#dbs.tickets.getBinary(hash)
    return b === undefined ? undefined : JSON.parse(b.toString()) as Ticket
  }

  async put (hash: string, ticket: Ticket): Promise<void> {
    const value = Buffer.from(JSON.stringify(ticket))
    const device = join(ticket.user, deviceBytes(ticket.device))
    const key = join(device, hash)
    const times = packU48([ticket.madeMs, ticket.expiresMs])
    await this.#committer.write(tx => {
      this.#makeRoom(tx, ticket, device)
      tx.put(this.#dbs.tickets, hash, value)
      tx.put(this.#dbs.deviceTickets, key, times)
    })
  }

  #makeRoom (tx: Tx, { user, madeMs }: Ticket, device: Key): void {
    const held = tx.keys(this.#dbs.deviceTickets, rangeOf(user)).map(key => {
      const times = tx.get(this.#dbs.deviceTickets, key)!
      return { key, madeMs: unpackU48(times, 0), expiresMs: unpackU48(times, 1) }
    }).sort((a, b) => b.madeMs - a.madeMs)
    let [ofUser, ofDevice] = [1, 1]
    for (const { key, expiresMs } of held) {
      const over = ++ofUser > TICKETS_PER_USER || (key.startsWith(`${device}\u0000`) && ++ofDevice > TICKETS_PER_DEVICE)
      if (over || (expiresMs !== 0 && expiresMs <= madeMs)) dropTicket(tx, this.#dbs, key)
    }
  }

  async revoke (user: UserId, device: DeviceId, atMs: number): Promise<void> {
    const { removals } = this.#dbs
    const key = join(user, deviceBytes(device))
    await this.#committer.write(tx => {
      dropTickets(tx, this.#dbs, key)
      const before = tx.get(removals, key)
      if (before !== undefined && unpackU48(before, 0) >= atMs) return
      tx.put(removals, key, packU48([atMs]))
      const all = tx.keys(removals, rangeOf(user))
      if (all.length <= REMOVALS_PER_USER) return
      const oldest = all.map(k => ({ k, ms: unpackU48(tx.get(removals, k)!, 0) })).sort((a, b) => a.ms - b.ms)
      for (const { k } of oldest.slice(0, all.length - REMOVALS_PER_USER)) tx.remove(removals, k)
    })
  }

  async revokedMs (user: UserId, device: DeviceId): Promise<number> {
    const b = this.#dbs.removals.getBinary(join(user, deviceBytes(device)))
    return b === undefined ? 0 : unpackU48(b, 0)
  }
}

function dropTicket (tx: Tx, dbs: Databases, key: Key): void {
  tx.remove(dbs.deviceTickets, key)
  tx.remove(dbs.tickets, lastPart(key))
}

/** All tickets of the device with this key. */
export function dropTickets (tx: Tx, dbs: Databases, device: Key): void {
  for (const key of tx.keys(dbs.deviceTickets, rangeOf(device))) dropTicket(tx, dbs, key)
}
