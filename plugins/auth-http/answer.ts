import { isAdmin, readAcl, readTimeMs, readUser, type Verdict, type WebAnswer } from '../../broker/plugin.js'

const down = (why: string): Verdict => ({ kind: 'down', why: `the auth backend ${why}` })

/** The verdict in what the backend answered. What it must not say counts as down: a mistake of its own is nobody's wrong password. */
export function readAnswer ({ status, body }: WebAnswer, nowMs: number): Verdict {
  if (status === 401) return { kind: 'refused', reason: 'credential', why: 'refused by the auth backend (401)' }
  if (status === 403) return { kind: 'refused', reason: 'forbidden', why: 'refused by the auth backend (403)' }
  if (status !== 200) return down(`answered ${status}`)
  if (body === null) return down('answered too much')
  let json: unknown
  try { json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) } catch { return down('answered no JSON') }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return down('answered no JSON object')
  const own = (name: string): unknown => Object.hasOwn(json, name) ? (json as Record<string, unknown>)[name] ?? undefined : undefined
  const user = readUser(own('user'), 'user')
  if (typeof user === 'string') return down(`answered what it must not: ${user}`)
  const exp = own('exp') === undefined ? 0 : readTimeMs(own('exp'), 'exp')
  if (typeof exp === 'string') return down(`answered what it must not: ${exp}`)
  const acl = own('acl') === undefined ? undefined : readAcl(own('acl'))
  if (typeof acl === 'string') return down(`answered what it must not: ${acl}`)
  if (own('exp') !== undefined && exp <= nowMs) return { kind: 'refused', reason: 'credential', why: 'expired, says the auth backend' }
  return { kind: 'accepted', identity: { user: user.user, admin: isAdmin(own('scope')), expiresMs: exp, acl } }
}
