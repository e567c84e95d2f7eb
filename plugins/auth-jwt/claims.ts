import { type DeviceId, isDeviceId, isUserId, offendingCharacter, type UserId } from '../../broker/plugin.js'

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
  /** ms since the epoch; 0: never. */
  expiresMs: number
  /** ms since the epoch; 0: at once. */
  notBeforeMs: number
}

/** 9999-12-31T23:59:59Z in seconds. What lies past it is a time in milliseconds (or nonsense), and no Date can hold 1e300. */
const LAST_SECOND = 253_402_300_799

/** A NumericDate [RFC 7519, 2] in ms; undefined when the claim is missing; what is wrong, as text. */
function timeMs (claims: Record<string, unknown>, name: 'exp' | 'nbf' | 'iat'): number | undefined | string {
  if (!Object.hasOwn(claims, name)) return undefined
  const seconds = claims[name]
  if (typeof seconds !== 'number') return `${name} is no number; it has to be seconds since 1970`
  if (seconds > LAST_SECOND) return `${name} lies past the year 9999: it has to be seconds since 1970, and looks like milliseconds`
  return seconds * 1000
}

function userOf (v: unknown, name: string): { user: UserId } | string {
  if (v === undefined) return `${name}, the user id, is missing`
  if (typeof v !== 'string') return `${name}, the user id, is no string`
  if (isUserId(v)) return { user: v }
  const char = offendingCharacter(v)
  return char === undefined ? `${name}, the user id, has ${v.length} characters; 1 to 128 are allowed` : `${name} holds ${JSON.stringify(char)}, which no user id may`
}

/** OAuth has scopes as one text, apart by spaces [RFC 8693, 4.2]; several identity providers send a list. */
const isAdmin = (scope: unknown): boolean => (typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope : []).includes('admin')

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
  const user = userOf(own(rules.userClaim), rules.userClaim)
  if (typeof user === 'string') return user
  const device = own(rules.deviceClaim)
  if (device !== undefined && !(typeof device === 'string' && isDeviceId(device))) return `${rules.deviceClaim} is no device id`
  return {
    user: user.user,
    device,
    admin: isAdmin(own('scope')),
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
