import { ParleyError } from './errors.js'

/** Account. 1–128 characters of `A–Z a–z 0–9 . _ - @ = | : ~ !` (protocol.md, Identity). */
export type UserId = string & { readonly brand: 'UserId' }
/** Group. Same grammar as {@link UserId}. */
export type GroupId = string & { readonly brand: 'GroupId' }
/** An install of an app, the MQTT client id. 1–128 characters of UTF-8 without control characters. */
export type DeviceId = string & { readonly brand: 'DeviceId' }
/** A user's device inside the broker: `user/` + percent-encoded device id; two pairs never share one. */
export type SessionId = string & { readonly brand: 'SessionId' }
/** A conversation, told neutrally: `g/{group}` or `d/{a}/{b}` with the two user ids sorted. */
export type ConvKey = string & { readonly brand: 'ConvKey' }
/** A conversation as one user writes it: `u/{peer}` or `g/{group}`. */
export type ConvName = string & { readonly brand: 'ConvName' }

const ID = /^[A-Za-z0-9._\-@=|:~!]{1,128}$/
 
const DEVICE = /^[^\u0000-\u001f\u007f-\u009f]{1,128}$/u

export const isUserId = (s: string): s is UserId => ID.test(s)
export const isGroupId = (s: string): s is GroupId => ID.test(s)
/** Lone surrogates are refused too: they have no UTF-8 form. */
export const isDeviceId = (s: string): s is DeviceId => DEVICE.test(s) && !/\p{Surrogate}/u.test(s)

/** @throws ParleyError bad-request */
export function userId (s: unknown, what = 'user'): UserId {
  if (typeof s === 'string' && isUserId(s)) return s
  throw new ParleyError('bad-request', `${what} is not a user id: 1 to 128 of A-Z a-z 0-9 . _ - @ = | : ~ !`)
}

/** @throws ParleyError bad-request */
export function groupId (s: unknown, what = 'group'): GroupId {
  if (typeof s === 'string' && isGroupId(s)) return s
  throw new ParleyError('bad-request', `${what} is not a group id: 1 to 128 of A-Z a-z 0-9 . _ - @ = | : ~ !`)
}

/** The first character of `s` that an id may not hold, for error messages; undefined when only the length is wrong. */
export const offendingCharacter = (s: string): string | undefined => /[^A-Za-z0-9._\-@=|:~!]/u.exec(s)?.[0]

/** `/` cannot stand in a user id, and is percent-encoded in the device's part: no two pairs collide. */
export const sessionId = (user: UserId, device: DeviceId): SessionId => `${user}/${encodeURIComponent(device)}` as SessionId

export const userOf = (s: SessionId): UserId => s.slice(0, s.indexOf('/')) as UserId
export const deviceOf = (s: SessionId): DeviceId => decodeURIComponent(s.slice(s.indexOf('/') + 1)) as DeviceId

export const directKey = (a: UserId, b: UserId): ConvKey => (a <= b ? `d/${a}/${b}` : `d/${b}/${a}`) as ConvKey
export const groupKey = (g: GroupId): ConvKey => `g/${g}` as ConvKey
export const isGroupKey = (c: ConvKey): boolean => c.charCodeAt(0) === 103 // g
export const groupOf = (c: ConvKey): GroupId => c.slice(2) as GroupId

/** The two users of a direct conversation, sorted; the same twice for notes to self. */
export function usersOf (c: ConvKey): [UserId, UserId] {
  const cut = c.indexOf('/', 2)
  return [c.slice(2, cut) as UserId, c.slice(cut + 1) as UserId]
}

/** Whether `user`, of the two of a direct conversation, is the one in front. */
export const isFirstOf = (c: ConvKey, user: UserId): boolean => c.charCodeAt(user.length + 2) === 47 && c.startsWith(user, 2)

/** The other user of a direct conversation; myself for notes to self. */
export const peerOf = (c: ConvKey, me: UserId): UserId =>
  (isFirstOf(c, me) ? c.slice(me.length + 3) : c.slice(2, c.indexOf('/', 2))) as UserId

/** How `me` writes the conversation. */
export const nameOf = (c: ConvKey, me: UserId): ConvName => (isGroupKey(c) ? c : `u/${peerOf(c, me)}`) as ConvName

/**
 * The neutral key of a conversation as `me` writes it (`u/bob`, `g/team`).
 * @throws ParleyError bad-request
 */
export function convKey (name: unknown, me: UserId): ConvKey {
  if (typeof name === 'string') {
    const id = name.slice(2)
    if (name.startsWith('u/') && isUserId(id)) return directKey(me, id)
    if (name.startsWith('g/') && isGroupId(id)) return groupKey(id)
  }
  throw new ParleyError('bad-request', 'conv is neither u/{user} nor g/{group}')
}
