import type { Clock, Logger, WebAnswer } from '../../broker/plugin.js'
import { KeyRing } from './keys.js'

/** After so long the keys are fetched again, beside the sign-ins that use the old ones. */
const FRESH_MS = 600_000
/** Between two fetches for kids that are not known: strangers can name any. */
const COOLDOWN_MS = 10_000
/** Between two tries while there are no keys at all: nobody can sign in until then. */
const RETRY_MS = 2000
/** Kids found missing since the last fetch, which are refused unasked until the next. */
const MAX_MISSING = 1000

/** A provider's public keys by URL (JWKS): fetched at the start, when a token names an unknown key, and now and then. */
export class RemoteKeys {
  /** The last good ones; null: none were ever fetched. */
  ring: KeyRing | null = null
  /** Goes up when the keys change. */
  version = 0
  /** The fetch that is under way. */
  #fetching: Promise<void> | null = null
  #text = ''
  #fetchedMs = 0
  /** Fetches that brought keys. */
  #fetches = 0
  /** When the last fetch began that a token made necessary, or that failed. */
  #urgentMs = 0
  readonly #missing = new Set<string>()
  /** Why the last fetch brought no keys; '': it did. Said once. */
  #trouble = ''

  constructor (private readonly deps: { clock: Clock, logger: Logger, get (): Promise<WebAnswer> }) {}

  /** Never rejects: the log says what went wrong, and the last good keys stay. */
  async fetch (): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => { this.#fetching = null })
    await this.#fetching
  }

  /** Keys that are old are renewed; nobody waits for it while there are some. */
  async renewIfOld (): Promise<void> {
    const now = this.deps.clock.now()
    if (this.ring === null) {
      if (this.#fetching !== null || now - this.#urgentMs >= RETRY_MS) await this.#urgently()
    } else if (now - this.#fetchedMs >= FRESH_MS && now - this.#urgentMs >= COOLDOWN_MS) void this.#urgently() // never rejects
  }

  /** A token names a key that is not here: looks for it. False: whether there is one cannot be told for now. */
  async lookFor (kid: string): Promise<boolean> {
    if (this.#missing.has(kid)) return true
    if (this.#fetching === null && this.deps.clock.now() - this.#urgentMs < COOLDOWN_MS) return false
    const before = this.#fetches
    await this.#urgently()
    if (this.#fetches === before) return false
    if (this.#missing.size < MAX_MISSING && this.ring?.knows(kid) === false) this.#missing.add(kid)
    return true
  }

  async #urgently (): Promise<void> {
    if (this.#fetching === null) this.#urgentMs = this.deps.clock.now()
    await this.fetch()
  }

  async #fetch (): Promise<void> {
    try {
      const { status, body } = await this.deps.get()
      if (status !== 200) throw new Error(`the server answered ${status}`)
      if (body === null) throw new Error('the answer is too large')
      this.#missing.clear()
      this.#take(body.toString())
      this.#fetchedMs = this.deps.clock.now()
      this.#fetches++
      if (this.#trouble !== '') this.deps.logger.info({}, 'the JWKS can be fetched again')
      this.#trouble = ''
    } catch (e) {
      this.#urgentMs = this.deps.clock.now()
      const why = (e as Error).message
      if (why !== this.#trouble) this.deps.logger.warn({ why }, `the JWKS cannot be used; ${this.ring === null ? 'nobody can sign in by it yet' : 'the last good keys stay'}`)
      this.#trouble = why
    }
  }

  #take (text: string): void {
    if (text === this.#text) return
    const skipped: string[] = []
    const ring = KeyRing.ofSet(text, why => { skipped.push(why) })
    for (const kid of this.ring?.kids ?? []) if (!ring.knows(kid)) this.#missing.add(kid) // taken back: no need to look for it
    this.ring = ring
    this.#text = text
    this.version++
    this.deps.logger.info({ skipped }, 'public keys are fetched')
  }
}
