import { readFile } from 'node:fs/promises'
import { type Credentials, definePlugin, type Static, Type, type Verdict } from '../../broker/plugin.js'
import { timeProblem } from './claims.js'
import { Keys, NotNow } from './key-source.js'
import { KeyRing } from './keys.js'
import { RemoteKeys } from './remote-keys.js'
import { Verifier } from './verifier.js'

const options = Type.Object({
  secret: Type.Optional(Type.String({ minLength: 1, description: 'For HS256; its UTF-8 bytes are the key.' })),
  publicKey: Type.Optional(Type.String({ minLength: 1, description: 'PEM (several keys, certificates too), JWK or JWKS, as text.' })),
  publicKeyFile: Type.Optional(Type.String({ minLength: 1, description: 'The same in a file, read at the start.' })),
  jwksUrl: Type.Optional(Type.String({ minLength: 1, description: 'JWKS that is fetched at the start, and again as keys change.' })),
  issuer: Type.Optional(Type.String()),
  audience: Type.Optional(Type.String()),
  userClaim: Type.String({ default: 'sub', minLength: 1 }),
  deviceClaim: Type.String({ default: 'dev', minLength: 1 }),
  requireExp: Type.Boolean({ default: true }),
  clockToleranceMs: Type.Integer({ default: 1000, minimum: 0 })
}, { additionalProperties: false })

/** Options of {@link authJwt}, defaults filled in. */
export type AuthJwtOptions = Static<typeof options>

async function keyText ({ publicKey, publicKeyFile }: AuthJwtOptions): Promise<string | undefined> {
  if (publicKeyFile === undefined) return publicKey
  if (publicKey !== undefined) throw new Error('publicKey and publicKeyFile: only one of the two')
  return await readFile(publicKeyFile, 'utf8')
}

/** A JWKS that takes longer counts as not there; a sign-in may be waiting for it. */
const JWKS_TIMEOUT_MS = 5000
const MAX_JWKS_BYTES = 256 << 10

async function ownKeys (config: AuthJwtOptions, skipped: (why: string) => void): Promise<KeyRing> {
  const keys = await KeyRing.read(config.secret, await keyText(config), skipped)
  if (keys.isEmpty && config.jwksUrl === undefined) throw new Error('neither a secret nor a public key is given')
  return keys
}

/** Signs in with a JWT as the password (docs/config.md, auth.jwt). */
export const authJwt = definePlugin({
  name: 'auth-jwt',
  config: options,
  // A thousand devices that come at once share the few threads that check signatures; and a new key has to be fetched first.
  timeoutMs: 10_000,
  check: async config => { await ownKeys(config, () => {}) },
  async setup ({ clock, logger, request }, config) {
    const { jwksUrl } = config
    const own = await ownKeys(config, why => logger.warn({ plugin: 'auth-jwt' }, `a public key is left out: ${why}`))
    const remote = jwksUrl === undefined ? null : new RemoteKeys({ clock, logger, get: async () => await request(jwksUrl, { timeoutMs: JWKS_TIMEOUT_MS, maxBytes: MAX_JWKS_BYTES }) })
    // Not awaited, and never rejects: the broker starts without its identity provider.
    void remote?.fetch()
    const verifier = new Verifier(new Keys(own, remote), config)

    async function authenticate (c: Credentials): Promise<Verdict> {
      const refused = (reason: 'credential' | 'forbidden', why: string): Verdict => ({ kind: 'refused', reason, why })
      const claims = c.password === undefined ? null : await verifier.verify(c.password)
      if (claims === null) return { kind: 'not-mine' }
      if (claims instanceof NotNow) return { kind: 'down', why: claims.why }
      if (typeof claims === 'string') return refused('credential', claims)
      const ended = timeProblem(claims, clock.now(), config.clockToleranceMs)
      if (ended !== undefined) return refused('credential', ended)
      // 3.1.1 has no password without a user name [MQTT-3.1.2-22]: an empty one stands for none.
      if (c.user !== undefined && c.user !== '' && c.user !== claims.user) return refused('forbidden', `a token of ${claims.user}, but another user name`)
      // Over HTTP there is no device: a device's token acts as that device there.
      if (claims.device !== undefined && c.device !== undefined && c.device !== claims.device) return refused('forbidden', `a token of another device of ${claims.user}`)
      const { user, admin, expiresMs, issuedMs, acl } = claims
      return { kind: 'accepted', identity: { user, admin, expiresMs, issuedMs, acl } }
    }
    return { authenticate }
  }
})

export default authJwt
