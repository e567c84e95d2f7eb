import { looksLikeJwt } from '../domain/claims.js'
import type { Credentials, Verdict } from '../domain/identity.js'
import { networkOf } from '../domain/network.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { TicketStore } from '../ports/tickets.js'
import { Failures } from './failures.js'
import { isTicket, type Tickets } from './tickets.js'

/** Refusals held back at the same time, of all addresses; over it the socket is closed. */
const MAX_HELD = 1000
/** Slips of a person. */
const PAIR = { free: 5, atOnce: 4 }
/** Many people may stand behind one address. */
const ADDRESS = { free: 30, atOnce: 16 }
/** Connections that an address from which guesses come may open in a second: a TLS handshake costs more than what follows it. */
const HOT_PER_SECOND = 20
const TOO_MANY: Verdict = { kind: 'down', why: 'too many failed sign-ins are waiting for their answer' }

export interface SignInDeps {
  /** Asks the providers, in the order of the configuration. Never rejects. */
  providers: { authenticate (c: Credentials): Promise<Verdict> }
  tickets: Tickets
  store: TicketStore
  clock: Clock
}

/**
 * The one way in, for CONNECT, `auth.refresh` and bearer tokens: tickets, then the providers; removed devices stay out.
 *
 * Guessing is slowed down, per address and per user at an address: after a few failures the refusal is held back, longer
 * with each, and while many are held the next attempts of the same are closed unchecked. The same user from another
 * address is not touched: nobody can be locked out. Tokens and tickets cannot be guessed, and are never slowed down.
 */
export class SignIn {
  readonly #addresses: Failures
  readonly #pairs: Failures
  /** Connections of this second from addresses where guesses come from. */
  #opened = { second: 0, byAddress: new Map<string, number>() }
  /** Refusals that are held back, and what lets each go. */
  readonly #held = new Map<Timer, () => void>()

  constructor (private readonly deps: SignInDeps) {
    this.#addresses = new Failures(ADDRESS.free, ADDRESS.atOnce, deps.clock)
    this.#pairs = new Failures(PAIR.free, PAIR.atOnce, deps.clock)
  }

  /** Never rejects but with what the store rejects with. */
  async check (c: Credentials): Promise<Verdict> {
    if (c.password !== undefined && isTicket(c.password)) return await this.#unlessRevoked(c, await this.deps.tickets.check(c))
    if (c.password === undefined || c.password.length === 0 || looksLikeJwt(c.password)) return await this.#ask(c)
    return await this.#guess(c)
  }

  /**
   * Whether a new connection from there may go on, asked before anything is read or encrypted: always, but for addresses
   * where many guesses come from. Those who share such an address find their way in among them.
   */
  admits (address: string): boolean {
    const network = networkOf(address)
    if (!this.#addresses.isHot(network)) return true
    const second = Math.floor(this.deps.clock.now() / 1000)
    if (this.#opened.second !== second) this.#opened = { second, byAddress: new Map() }
    const opened = (this.#opened.byAddress.get(network) ?? 0) + 1
    this.#opened.byAddress.set(network, opened)
    return opened <= HOT_PER_SECOND
  }

  /** Lets go of all that is held back. */
  close (): void {
    for (const [timer, done] of this.#held) { timer.cancel(); done() }
    this.#held.clear()
  }

  async #ask (c: Credentials): Promise<Verdict> { return await this.#unlessRevoked(c, await this.deps.providers.authenticate(c)) }

  /** Asked last, when the provider has answered: whoever passes it before a removal has taken its place before the removal closes that. */
  async #unlessRevoked (c: Credentials, verdict: Verdict): Promise<Verdict> {
    if (verdict.kind !== 'accepted' || c.device === undefined) return verdict
    const { user, issuedMs } = verdict.identity // not of a password or certificate, which may sign in again
    if (issuedMs === undefined || issuedMs >= await this.deps.store.revokedMs(user, c.device)) return verdict
    return { kind: 'refused', reason: 'credential', why: 'the device was removed after this credential was made' }
  }

  async #guess (c: Credentials): Promise<Verdict> {
    const address = networkOf(c.address)
    const pair = `${address} ${(c.user ?? '').slice(0, 128)}`
    const places = [{ of: this.#addresses, name: address }, { of: this.#pairs, name: pair }].map(p => ({ ...p, tally: p.of.of(p.name) }))
    if (places.some(p => p.of.isFull(p.tally))) {
      places[0]!.of.add(address, places[0]!.tally) // of the user at that address only what was checked counts
      return TOO_MANY
    }
    for (const { tally } of places) tally.busy++
    try {
      const verdict = await this.#ask(c)
      if (verdict.kind === 'accepted') this.#pairs.clear(places[1]!.tally)
      if (verdict.kind !== 'refused') return verdict
      return await this.#hold(Math.max(...places.map(p => p.of.add(p.name, p.tally)))) ? verdict : TOO_MANY
    } finally {
      for (const { of, name, tally } of places) of.release(name, tally)
    }
  }

  /** False at once, when too many are held. */
  async #hold (ms: number): Promise<boolean> {
    if (ms === 0) return true
    if (this.#held.size >= MAX_HELD) return false
    await new Promise<void>(resolve => {
      const timer = this.deps.clock.after(ms, () => { this.#held.delete(timer); resolve() })
      this.#held.set(timer, resolve)
    })
    return true
  }
}
