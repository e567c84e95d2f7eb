import { type AclRule, type DeviceId, isAdmin, isDeviceId, readAcl, readUser, readYaml, type UserId } from '../../broker/plugin.js'
import { type Check, readHash } from './phc.js'

/** One line of the users file. */
export interface StaticUser {
  user: UserId
  /** The only device that the password is good for. */
  device?: DeviceId
  admin: boolean
  acl?: AclRule[]
  /** The hash as it stands in the file: what was found good under another one says nothing here. */
  hash: string
  check: Check
}

const NAMES = ['user', 'hash', 'device', 'scope', 'acl']
const MAX_MISTAKES = 10

/** A users file, read. */
export class Users {
  private readonly byUser = new Map<string, StaticUser[]>()

  private constructor (readonly all: readonly StaticUser[]) {
    for (const u of all) this.byUser.set(u.user, [...this.byUser.get(u.user) ?? [], u])
  }

  /** @throws Error with every mistake, none of which holds a hash */
  static read (text: string): Users {
    const { value, mistakes } = readYaml(text)
    if (mistakes.length > 0) throw new Error(mistakes.map(m => `${m.line === undefined ? '' : `line ${m.line}: `}${m.message}`).join('; '))
    if (!Array.isArray(value)) throw new Error('is no list of users: - { user: anna, hash: … }')
    const read = (value as unknown[]).map((entry, i) => readEntry(entry, `[${i}]`))
    const wrong = read.filter(u => typeof u === 'string')
    const all = read.filter(u => typeof u !== 'string')
    const seen = new Set<string>()
    for (const { user, device } of all) {
      const name = `${user} ${device ?? ''}`
      if (seen.has(name)) wrong.push(`${user} stands there twice${device === undefined ? '' : ` for device ${device}`}`)
      seen.add(name)
    }
    if (wrong.length > 0) throw new Error([...wrong.slice(0, MAX_MISTAKES), ...wrong.length > MAX_MISTAKES ? [`${wrong.length - MAX_MISTAKES} more`] : []].join('; '))
    return new Users(all)
  }

  /** The user's password for this device: its own if there is one, else the one for any. */
  find (user: string, device: DeviceId | undefined): StaticUser | undefined {
    const of = this.byUser.get(user)
    return of?.find(u => u.device !== undefined && u.device === device) ?? of?.find(u => u.device === undefined) ?? of?.[0]
  }
}

function readEntry (entry: unknown, at: string): StaticUser | string {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return `${at} is no user: { user, hash, device?, scope?, acl? }`
  const given = entry as Record<string, unknown>
  const stranger = Object.keys(given).find(name => !NAMES.includes(name))
  if (stranger !== undefined) return `${at} holds ${JSON.stringify(stranger.slice(0, 40))}; known are ${NAMES.join(', ')}`
  const user = readUser(given.user, 'user')
  if (typeof user === 'string') return `${at} ${user}`
  const check = typeof given.hash === 'string' ? readHash(given.hash) : 'is missing'
  if (typeof check === 'string') return `${at} (${user.user}) hash ${check}`
  const { device, scope } = given
  if (device !== undefined && !(typeof device === 'string' && isDeviceId(device))) return `${at} (${user.user}) device is no device id`
  if (scope !== undefined && scope !== 'admin') return `${at} (${user.user}) scope: only admin is known`
  const acl = given.acl === undefined ? undefined : readAcl(given.acl)
  if (typeof acl === 'string') return `${at} (${user.user}) ${acl}`
  return { user: user.user, device, admin: isAdmin(scope), acl, hash: given.hash as string, check }
}
