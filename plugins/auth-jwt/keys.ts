import { createPublicKey, type JsonWebKey, type KeyObject, webcrypto } from 'node:crypto'

/** Shortest secret of HS256, bytes: the size of the hash [RFC 7518, 3.2]. */
const MIN_SECRET_BYTES = 32
/** [RFC 7518, 3.3] */
const MIN_RSA_BITS = 2048

/** A token without kid is tried with each. */
const MAX_REMOTE_KEYS = 100

/** The kind of key that each algorithm with public keys takes. A Map: a token's `alg` may be `constructor`. */
const KIND_OF = new Map([
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map(alg => [alg, 'rsa'] as const),
  ['ES256', 'prime256v1'], ['ES384', 'secp384r1'], ['ES512', 'secp521r1'], ['EdDSA', 'ed25519'], ['Ed25519', 'ed25519']
])
const KINDS = new Set(KIND_OF.values())
const LABELS = new Set(['PUBLIC KEY', 'RSA PUBLIC KEY', 'CERTIFICATE'])

interface PublicKey { key: KeyObject, kind: string, kid?: string, alg?: string }

/** What a signature is checked with. */
export type VerifyKey = KeyObject | webcrypto.CryptoKey

/** Whether tokens of this algorithm are signed with one key and checked with another. */
export const isPublicAlg = (alg: string): boolean => KIND_OF.has(alg)

const kindOf = (key: KeyObject): string | undefined => key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : key.asymmetricKeyType

function checked (key: KeyObject, what: string): PublicKey | string {
  const kind = kindOf(key)
  if (kind === undefined || !KINDS.has(kind)) return `${what}: no algorithm takes a key of kind ${kind}; RSA, P-256, P-384, P-521 and Ed25519 are supported`
  const bits = key.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && bits < MIN_RSA_BITS) return `${what}: an RSA key of ${bits} bits; at least ${MIN_RSA_BITS} are needed`
  return { key, kind }
}

function create (input: Parameters<typeof createPublicKey>[0], what: string): PublicKey | string {
  try { return checked(createPublicKey(input), what) } catch (e) { return `${what} cannot be read: ${(e as Error).message}` }
}

function pemKeys (text: string): PublicKey[] {
  return [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?(?:-----END \1-----|$)/g)].map(([pem, label = ''], i) => {
    const what = `PEM block ${i + 1} (${label})`
    // Node would quietly take its public half; but whoever holds it can make tokens, so it should not lie on a broker.
    if (label.includes('PRIVATE')) throw new Error(`${what}: a private key; give the public one (openssl pkey -pubout)`)
    if (!LABELS.has(label)) throw new Error(`${what}: neither a public key nor a certificate`)
    const key = create(pem, what)
    if (typeof key === 'string') throw new Error(key)
    return key
  })
}

function parsed (text: string, whyNot: string): unknown {
  try { return JSON.parse(text) } catch { throw new Error(whyNot) }
}

/**
 * Keys of a JWK or a JWKS. Those for other uses are passed over, and reported to `skipped` [RFC 7517, 5]; symmetric and
 * private ones, which must not lie there, to `misplaced`.
 */
function jwkKeys (json: unknown, skipped: (why: string) => void, misplaced: (why: string) => void): PublicKey[] {
  const set = (json as { keys?: unknown } | null)?.keys ?? [json]
  if (!Array.isArray(set)) throw new Error('keys of the JWKS is no list')
  const keys: PublicKey[] = []
  for (const [i, jwk] of (set as unknown[]).entries()) {
    const what = `key ${i + 1} of the JWKS`
    if (typeof jwk !== 'object' || jwk === null) { misplaced(`${what} is no JSON object`); continue }
    const { kty, use, kid, alg, d, k } = jwk as Record<string, unknown>
    if (kty === 'oct' || k !== undefined) { misplaced(`${what}: a symmetric key; public keys only`); continue }
    if (d !== undefined) { misplaced(`${what}: a private key; public keys only`); continue }
    const key = use !== undefined && use !== 'sig' ? `${what} is not for signatures` : create({ key: jwk as JsonWebKey, format: 'jwk' }, what)
    if (typeof key === 'string') skipped(key)
    else keys.push({ ...key, kid: typeof kid === 'string' ? kid : undefined, alg: typeof alg === 'string' ? alg : undefined })
  }
  return keys
}

/** All keys, each used for its own algorithms only: no token decides what kind of key checks it (RFC 8725, 3.1). */
export class KeyRing {
  readonly #secret?: webcrypto.CryptoKey
  readonly #public: readonly PublicKey[]

  private constructor (secret: webcrypto.CryptoKey | undefined, publicKeys: readonly PublicKey[]) {
    this.#secret = secret
    this.#public = publicKeys
  }

  /**
   * @param publicKeys PEM (several blocks, certificates too), a JWK or a JWKS, as text
   * @throws Error in words for an operator
   */
  static async read (secret: string | undefined, publicKeys: string | undefined, skipped: (why: string) => void): Promise<KeyRing> {
    let hmac: webcrypto.CryptoKey | undefined
    if (secret !== undefined) {
      const bytes = Buffer.from(secret)
      if (bytes.length < MIN_SECRET_BYTES) throw new Error(`the secret has ${bytes.length} bytes; HS256 needs at least ${MIN_SECRET_BYTES} (RFC 7518, 3.2): openssl rand -base64 48`)
      hmac = await webcrypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
    }
    let keys: PublicKey[] = []
    if (publicKeys !== undefined) {
      // A symmetric key or a private one in a file of public keys is a mistake that must not pass unseen.
      const misplaced = (why: string): never => { throw new Error(why) }
      keys = publicKeys.includes('-----BEGIN ') ? pemKeys(publicKeys) : jwkKeys(parsed(publicKeys, 'neither PEM nor JSON'), skipped, misplaced)
      if (keys.length === 0) throw new Error('no public key that can be used')
    }
    return new KeyRing(hmac, keys)
  }

  /**
   * The keys of a provider's JWKS. What is wrong with one of them keeps out that one: the others still sign people in.
   * @throws Error when there is none that can be used
   */
  static ofSet (text: string, skipped: (why: string) => void): KeyRing {
    const keys = jwkKeys(parsed(text, 'the answer is no JSON'), skipped, skipped)
    if (keys.length === 0) throw new Error('the answer holds no public key that can be used')
    if (keys.length > MAX_REMOTE_KEYS) throw new Error(`the answer holds ${keys.length} keys; at most ${MAX_REMOTE_KEYS}`)
    return new KeyRing(undefined, keys)
  }

  /** Nothing can be checked with it. */
  get isEmpty (): boolean { return this.#secret === undefined && this.#public.length === 0 }

  get kids (): string[] { return this.#public.flatMap(k => k.kid ?? []) }
  knows (kid: string): boolean { return this.#public.some(k => k.kid === kid) }

  /** The keys that may have signed a token with this header, at least one; or why there is none, as text. */
  keysFor (alg: string, kid: string | undefined): VerifyKey[] | string {
    if (alg.toLowerCase() === 'none') return 'alg none: a token without signature'
    if (alg === 'HS256') return this.#secret === undefined ? 'a symmetric token (HS256), but no secret is configured' : [this.#secret]
    const kind = KIND_OF.get(alg)
    if (kind === undefined) return `alg ${JSON.stringify(alg.slice(0, 20))} is not taken`
    const keys = this.#public.filter(k => k.kind === kind && (k.alg === undefined || k.alg === alg) && (kid === undefined || k.kid === undefined || k.kid === kid))
    if (keys.length > 0) return keys.map(k => k.key)
    return `no public key for ${alg}${kid === undefined ? '' : ` with kid ${JSON.stringify(kid.slice(0, 80))}`}`
  }
}
