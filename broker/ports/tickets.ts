import type { AclRule } from '../domain/acl.js'
import type { DeviceId, UserId } from '../domain/ids.js'

/** What a ticket of `auth.ticket` stands for. */
export interface Ticket {
  user: UserId
  /** The only device that it is good for. */
  device: DeviceId
  acl?: readonly AclRule[]
  /** When its token was made, or the ticket itself where there was no token; ms, 0: the token does not say. */
  issuedMs: number
  /** When the ticket was made, ms. */
  madeMs: number
  /** ms since the epoch; 0: never. */
  expiresMs: number
}

/** Of one device the newest so many tickets are kept: an app that lost the answer asks again, and its older one still works. */
export const TICKETS_PER_DEVICE = 4
/** Of one user, whatever the number of client ids it comes with. */
export const TICKETS_PER_USER = 200
/** Removals remembered of one user, the newest. */
export const REMOVALS_PER_USER = 1000

/** Tickets by their hash (never the ticket itself), and when devices were removed. */
export interface TicketStore {
  find (hash: string): Promise<Ticket | undefined>
  /** Keeps a ticket; durable when it resolves. Drops the user's that ended before this one was made, and the oldest over the bounds. */
  put (hash: string, ticket: Ticket): Promise<void>
  /** Drops the device's tickets and remembers the time, in one step; durable when it resolves. A later time stays. */
  revoke (user: UserId, device: DeviceId, atMs: number): Promise<void>
  /** When the device was removed the last time, ms; 0: never, or too long ago to be remembered. */
  revokedMs (user: UserId, device: DeviceId): Promise<number>
}
