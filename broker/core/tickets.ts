import { createHash, randomBytes } from 'node:crypto'
import type { Credentials, Identity, Verdict } from '../domain/identity.js'
import type { DeviceId } from '../domain/ids.js'
import type { Clock } from '../ports/clock.js'
import type { TicketStore } from '../ports/tickets.js'

/** 240 random bits in 43 characters: short enough for a phone's bill, too many to guess. */
const FORM = /^tk\.[A-Za-z0-9_-]{40}$/
const LENGTH = 43

/** Whether a password has the form of a ticket. */
export const isTicket = (password: Buffer): boolean => password.length === LENGTH && FORM.test(password.toString('latin1'))

/** Of 240 random bits a plain hash is enough: there is no list of likely ones to try. */
const hashOf = (ticket: Buffer | string): string => createHash('sha256').update(ticket).digest('base64url')

/** Makes and checks tickets: short credentials that stand for a longer one at reconnect (docs/protocol.md, Identity). */
export class Tickets {
  /** @param ttlMs how long a ticket is good; 0: it ends with the credential that it was got with */
  constructor (private readonly deps: { store: TicketStore, clock: Clock, ttlMs: number }) {}

  /** A new ticket, durable when it resolves. `expiresMs` 0: it never ends. Never carries `admin`. */
  async issue ({ user, acl, issuedMs, expiresMs }: Identity, device: DeviceId): Promise<{ ticket: string, expiresMs: number }> {
    const { store, clock, ttlMs } = this.deps
    const ticket = `tk.${randomBytes(30).toString('base64url')}`
    const madeMs = clock.now()
    const ends = ttlMs === 0 ? expiresMs : madeMs + ttlMs
    await store.put(hashOf(ticket), { user, device, acl, issuedMs: issuedMs ?? madeMs, madeMs, expiresMs: ends })
    return { ticket, expiresMs: ends }
  }

  /** What a credential for which {@link isTicket} is true is worth. */
  async check (c: Credentials): Promise<Verdict> {
    const refused = (reason: 'credential' | 'forbidden', why: string): Verdict => ({ kind: 'refused', reason, why })
    const found = await this.deps.store.find(hashOf(c.password!))
    if (found === undefined) return refused('credential', 'an unknown ticket')
    const { user, device, acl, issuedMs, expiresMs } = found
    if (expiresMs !== 0 && expiresMs <= this.deps.clock.now()) return refused('credential', `a ticket that expired at ${new Date(expiresMs).toISOString()}`)
    if (c.device === undefined) return refused('credential', 'a ticket is no good over HTTP')
    if (c.device !== device) return refused('forbidden', `a ticket of another device of ${user}`)
    if (c.user !== undefined && c.user !== '' && c.user !== user) return refused('forbidden', `a ticket of ${user}, but another user name`)
    return { kind: 'accepted', identity: { user, admin: false, expiresMs, acl, issuedMs, byTicket: true } }
  }
}
