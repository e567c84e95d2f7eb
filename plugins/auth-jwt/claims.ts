import { type AclRule, type DeviceId, isAdmin, isDeviceId, readAcl, readTimeMs, readUser, type UserId } from '../../broker/plugin.js'

/** What a token has to say, beside having a good signature. */
export interface ClaimRules {
  issuer?: string
  audience?: string
  userClaim: string
  deviceClaim: string
  requireExp: boolean
}

/** What a signed token says, checked but for the time: that is judged at every use. */
export interface Claims {
  user: UserId
  /** The only device that the token is good for. */
  device?: DeviceId
  admin: boolean
  /** Rules for ordinary topics. */
  acl?: AclRule[]
  /** ms since the epoch; 0: the token does not say. */
  issuedMs: number
  /** ms since the epoch; 0: never. */
  expiresMs: number
  /** ms since the epoch; 0: at once. */
  notBeforeMs: number
}

/** A time in ms; undefined when the claim is missing; what is wrong, as text. */
const timeMs = (claims: Record<string, unknown>, name: 'exp' | 'nbf' | 'iat'): number | undefined | string =>
  Object.hasOwn(claims, name) ? readTimeMs(claims[name], name) : undefined

function object (payload: Uint8Array): Record<string, unknown> | undefined {
  try {
    const v: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    return typeof v === 'object' && v !== null && !Array.isArray(v) ? v as Record<string, unknown> : undefined
  } catch { return undefined }
}

/** The claims in the payload of a token whose signature is good, or what is wrong with them, as text. Never throws. */
export function readClaims (payload: Uint8Array, rules: ClaimRules): Claims | string {
  const claims = object(payload)
  if (claims === undefined) return 'the payload is no JSON object'
  const own = (name: string): unknown => Object.hasOwn(claims, name) ? claims[name] : undefined
  if (rules.issuer !== undefined && own('iss') !== rules.issuer) return `iss is not ${rules.issuer}`
  const aud = own('aud')
  if (rules.audience !== undefined && aud !== rules.audience && !(Array.isArray(aud) && aud.includes(rules.audience))) return `aud is not ${rules.audience}`
  const [exp, nbf, iat] = [timeMs(claims, 'exp'), timeMs(claims, 'nbf'), timeMs(claims, 'iat')]
  for (const t of [exp, nbf, iat]) if (typeof t === 'string') return t
  if (exp === undefined && rules.requireExp) return 'exp is missing'
  const user = readUser(own(rules.userClaim), rules.userClaim)
  if (typeof user === 'string') return user
  const device = own(rules.deviceClaim)
  if (device !== undefined && !(typeof device === 'string' && isDeviceId(device))) return `${rules.deviceClaim} is no device id`
  const acl = Object.hasOwn(claims, 'acl') ? readAcl(claims.acl) : undefined
  if (typeof acl === 'string') return acl
  return {
    user: user.user,
    device,
    admin: isAdmin(own('scope')),
    acl,
    issuedMs: (iat as number | undefined) ?? 0,
    // 0 means never; a token that ended in 1970 or before has ended all the same.
    expiresMs: exp === undefined ? 0 : Math.max(1, exp as number),
    notBeforeMs: (nbf as number | undefined) ?? 0
  }
}

/** Why the token is no good at this time; undefined: it is. */
export function timeProblem (claims: Claims, nowMs: number, toleranceMs: number): string | undefined {
  if (claims.expiresMs !== 0 && nowMs >= claims.expiresMs + toleranceMs) return `expired at ${new Date(claims.expiresMs).toISOString()}`
  if (nowMs < claims.notBeforeMs - toleranceMs) return `good from ${new Date(claims.notBeforeMs).toISOString()} on only`
  return undefined
}
