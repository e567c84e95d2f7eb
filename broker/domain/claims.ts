import type { AclRule } from './acl.js'
import { isUserId, offendingCharacter, type UserId } from './ids.js'
import { isFilter } from './topics.js'

/*
 * What tokens, backends and users files say of a user, in one grammar. Each reader gives the value, or what is wrong with
 * it as text for the log, which names the claim. None throws, whatever it is given.
 */

/** 9999-12-31T23:59:59Z in seconds. What lies past it is a time in milliseconds (or nonsense), and no Date can hold 1e300. */
const LAST_SECOND = 253_402_300_799
/** More would be looked through at every message on an ordinary topic. */
const MAX_RULES = 100
const MAX_RULE_USERS = 100
const MAX_TOPIC = 1024

const RULE_NAMES = ['allow', 'deny', 'topic', 'users']
const ACTIONS: readonly unknown[] = ['publish', 'subscribe']

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

/** A user id. */
export function readUser (v: unknown, name: string): { user: UserId } | string {
  if (v === undefined) return `${name}, the user id, is missing`
  if (typeof v !== 'string') return `${name}, the user id, is no string`
  if (isUserId(v)) return { user: v }
  const char = offendingCharacter(v)
  return char === undefined ? `${name}, the user id, has ${v.length} characters; 1 to 128 are allowed` : `${name} holds ${JSON.stringify(char)}, which no user id may`
}

/** A NumericDate [RFC 7519, 2] in ms. */
export function readTimeMs (v: unknown, name: string): number | string {
  if (typeof v !== 'number') return `${name} is no number; it has to be seconds since 1970`
  if (v > LAST_SECOND) return `${name} lies past the year 9999: it has to be seconds since 1970, and looks like milliseconds`
  return Math.floor(v * 1000)
}

/** Whether a scope holds `admin`. OAuth has scopes as one text, apart by spaces [RFC 8693, 4.2]; several identity providers send a list. */
export const isAdmin = (scope: unknown): boolean =>
  (typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope : []).includes('admin')

/** Rules for ordinary topics, at most 100, written as in the configuration. */
export function readAcl (v: unknown, name = 'acl'): AclRule[] | string {
  if (!Array.isArray(v)) return `${name} is no list of rules`
  if (v.length > MAX_RULES) return `${name} has ${v.length} rules; at most ${MAX_RULES}`
  for (const [i, rule] of (v as unknown[]).entries()) {
    const wrong = ruleProblem(rule)
    if (wrong !== undefined) return `${name}[${i}] ${wrong}`
  }
  return v as AclRule[]
}

function ruleProblem (rule: unknown): string | undefined {
  if (!isObject(rule)) return 'is no rule: {allow or deny, topic, users?}'
  const stranger = Object.keys(rule).find(key => !RULE_NAMES.includes(key))
  if (stranger !== undefined) return `holds ${JSON.stringify(stranger.slice(0, 40))}, which no rule has`
  const { allow, deny, topic, users } = rule
  if ((allow === undefined) === (deny === undefined)) return 'needs either allow or deny'
  const actions = allow ?? deny
  if (!Array.isArray(actions) || !actions.every(a => ACTIONS.includes(a))) return `${allow === undefined ? 'deny' : 'allow'} is no list of publish and subscribe`
  if (typeof topic !== 'string' || topic.length > MAX_TOPIC || !isFilter(topic)) return 'topic is no topic filter'
  if (users !== undefined && !(Array.isArray(users) && users.length <= MAX_RULE_USERS && users.every(u => u === '*' || (typeof u === 'string' && isUserId(u))))) return 'users is no list of user ids or *'
  return undefined
}

/** Base64url of a JSON object begins with `e`. */
const JWT = /^(e[\w-]+)\.[\w-]*\.[\w-]*$/

/** The header of a JWT, which is not checked in any way; undefined: this is none (a password such as `elephants.never.forget`). */
export function jwtHeader (token: string): Record<string, unknown> | undefined {
  const encoded = JWT.exec(token)?.[1]
  if (encoded === undefined) return undefined
  try {
    const v: unknown = JSON.parse(Buffer.from(encoded, 'base64url').toString())
    return isObject(v) ? v : undefined
  } catch { return undefined }
}

/** Whether a password is a JWT, good or not: it can't be guessed, and no hash is worth computing for it. */
export const looksLikeJwt = (password: Buffer): boolean => password[0] === 0x65 && jwtHeader(password.toString('latin1')) !== undefined
