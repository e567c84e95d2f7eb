import { createHash } from 'node:crypto'
import { compactVerify, errors } from 'jose'
import { jwtHeader, Lru } from '../../broker/plugin.js'
import { type ClaimRules, type Claims, readClaims } from './claims.js'
import { type Keys, NotNow } from './key-source.js'
import type { VerifyKey } from './keys.js'

/** Longest token looked at, bytes. */
export const MAX_TOKEN_BYTES = 8192
/** Tokens remembered: what reconnects after a restart of the network is verified once only. */
const REMEMBERED = 10_000

/**
 * Checks signatures and claims, and remembers what came of it; the time is left to the caller, so an answer stays true.
 * What bears a good signature is remembered apart from what does not: a flood of made-up tokens pushes out no real one.
 */
export class Verifier {
  #signed = new Lru<Claims | string>(REMEMBERED)
  #forged = new Lru<string>(REMEMBERED)
  /** Of the keys by which what is remembered was judged: a key that was taken back signs nobody in any more. */
  #version = 0
  /** Signatures checked so far. */
  checks = 0

  /** Tokens remembered, good and bad. */
  get remembered (): number { return this.#signed.size + this.#forged.size }

  constructor (private readonly keys: Keys, private readonly rules: ClaimRules) {}

  /** The claims; why the token is refused, as text; that it cannot be told now; or null: not a JWT. */
  async verify (password: Buffer): Promise<Claims | string | NotNow | null> {
    if (password.length > MAX_TOKEN_BYTES) return password[0] === 101 ? `a token of ${password.length} bytes; at most ${MAX_TOKEN_BYTES}` : null // e
    const token = password.toString('latin1')
    const header = jwtHeader(token)
    if (header === undefined) return null
    const digest = createHash('sha256').update(password).digest('base64')
    this.#forgetIfChanged()
    const known = this.#signed.get(digest) ?? this.#forged.get(digest)
    if (known !== undefined) return known
    if (typeof header.alg !== 'string') return 'alg is missing'
    const keys = await this.keys.find(header.alg, typeof header.kid === 'string' ? header.kid : undefined)
    if (keys instanceof NotNow) return keys
    const { version } = this.keys
    const payload = typeof keys === 'string' ? keys : await this.#payload(token, header.alg, keys)
    const claims = typeof payload === 'string' ? payload : readClaims(payload, this.rules)
    this.#forgetIfChanged()
    if (version !== this.#version) return claims // judged by keys that have changed since
    if (typeof payload === 'string') this.#forged.set(digest, payload)
    else this.#signed.set(digest, claims)
    return claims
  }

  #forgetIfChanged (): void {
    if (this.keys.version === this.#version) return
    this.#version = this.keys.version
    this.#signed = new Lru(REMEMBERED)
    this.#forged = new Lru(REMEMBERED)
  }

  /** The signed bytes, or why they are not, as text. */
  async #payload (token: string, alg: string, keys: readonly VerifyKey[]): Promise<Uint8Array | string> {
    for (const key of keys) {
      try {
        this.checks++
        const { payload, protectedHeader } = await compactVerify(token, key, { algorithms: [alg] })
        return protectedHeader.b64 === false ? 'an unencoded payload' : payload // [RFC 7797, 7]
      } catch (e) {
        if (e instanceof errors.JWSSignatureVerificationFailed) continue
        if (e instanceof errors.JOSEError) return e.message
        throw e
      }
    }
    return 'the signature is wrong'
  }
}
