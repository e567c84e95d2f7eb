import { SignJWT } from 'jose'
import type { Config } from '../config/schema.js'
import { signingSecret } from '../config/secret.js'
import { isDeviceId, isUserId, offendingCharacter } from '../domain/ids.js'
import { UsageError, type Command } from './command.js'
import { loadFor } from './configured.js'
import { parseDuration } from './duration.js'

/** `parley token`: prints a token for a user, signed with the configured or generated secret. */
export const token: Command = {
  name: 'token',
  synopsis: 'USER [--device ID] [--ttl 1h] [--admin] [--config FILE]',
  summary: 'print a token to sign in with',
  positionals: ['USER'],
  options: {
    device: { type: 'string', value: 'ID', says: 'good for this device (MQTT client id) only' },
    ttl: { type: 'string', value: '1h', says: 'good for so long: 90s, 15m, 1h, 30d' },
    admin: { type: 'boolean', says: 'an administrator\'s token' },
  },
  configured: true,
  async run (input) {
    const [user = ''] = input.positionals
    const { device, ttl, admin } = input.options
    if (!isUserId(user)) {
      const character = offendingCharacter(user)
      throw new UsageError(`USER: ${character === undefined ? 'has 1 to 128 characters' : `may not hold ${JSON.stringify(character)}`}; allowed are A-Z a-z 0-9 . _ - @ = | : ~ !`)
    }
    if (typeof device === 'string' && !isDeviceId(device)) throw new UsageError('--device: has 1 to 128 characters, none of them a control character')
    const ttlSeconds = parseDuration(typeof ttl === 'string' ? ttl : '1h', '--ttl')
    const { config } = loadFor(input)
    console.log(await signToken(config, { user, ttlSeconds, admin: admin === true, ...(typeof device === 'string' ? { device } : {}) }))
    return 0
  },
}

/**
 * A token as the broker's own configuration wants it: claims, issuer and audience by `auth.jwt`.
 * @throws UsageError when tokens are checked with public keys alone
 */
export async function signToken (config: Config, { user, device, ttlSeconds, admin }: { user: string, device?: string, ttlSeconds: number, admin: boolean }): Promise<string> {
  const { userClaim, deviceClaim, issuer, audience } = config.auth.jwt
  const secret = signingSecret(config)
  if (secret === undefined) throw new UsageError('auth.jwt has public keys and no secret: sign tokens where the private key is, or set auth.jwt.secret beside the keys')
  const jwt = new SignJWT({
    sub: user,
    ...(userClaim === 'sub' ? {} : { [userClaim]: user }),
    ...(device === undefined ? {} : { [deviceClaim]: device }),
    ...(admin ? { scope: 'admin' } : {}),
  }).setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
  const now = Math.floor(Date.now() / 1000)
  jwt.setIssuedAt(now).setExpirationTime(now + ttlSeconds)
  if (issuer !== undefined) jwt.setIssuer(issuer)
  if (audience !== undefined) jwt.setAudience(audience)
  return await jwt.sign(new TextEncoder().encode(secret))
}
