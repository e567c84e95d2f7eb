import { type Group, type Member, ParleyError, type Role, type Static, Type, type UserId, userId } from '../../broker/plugin.js'

/** Most ids in a list of `users` or `members` (protocol.md, RPC methods). */
export const MAX_IDS = 1000
const MAX_AVATAR_BYTES = 2048
const MAX_CUSTOM_BYTES = 4096
/** Of a change of many members, the entry names this many: every member's phone pays for each name. */
const MAX_NAMES = 100

const kind = Type.Union([Type.Literal('private'), Type.Literal('public'), Type.Literal('channel')])
export const role = Type.Union([Type.Literal('owner'), Type.Literal('admin'), Type.Literal('member')])
export const groupParam = Type.String({ description: 'Group id.' })
export const userParam = Type.String({ description: 'User id.' })
export const users = Type.Array(userParam, { minItems: 1, maxItems: MAX_IDS })
export const paging = {
  cursor: Type.Optional(Type.String({ description: '`next` of the page before.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1 }))
}
export const pagedResult = { more: Type.Boolean(), next: Type.Optional(Type.String()) }

/** What group.create and group.update can set. */
export const settings = {
  kind: Type.Optional(kind),
  title: Type.Optional(Type.String({ maxLength: 256 })),
  avatar: Type.Optional(Type.String({ description: 'A URL or an id of your own; at most 2 KiB.' })),
  custom: Type.Optional(Type.Unknown({ description: 'Your own, any JSON; at most 4 KiB. Null: none.' })),
  historyVisible: Type.Optional(Type.Boolean({ description: 'Members see entries from before they joined.' }))
}
export type Settings = { [K in keyof typeof settings]?: Static<typeof settings[K]> }

/** A group as operations show it. */
export const groupResult = Type.Object({
  group: groupParam,
  kind,
  title: Type.String(),
  avatar: Type.Optional(Type.String()),
  custom: Type.Optional(Type.Unknown()),
  historyVisible: Type.Boolean(),
  created: Type.Integer({ description: 'ms since the epoch' }),
  memberCount: Type.Integer(),
  role: Type.Optional(role)
})
export type GroupResult = Static<typeof groupResult>

/** One result per user of a list: `error` when nothing was done for this one. */
export const userResults = Type.Object({
  users: Type.Array(Type.Object({
    user: userParam,
    error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }))
  }))
})
export type UserResult = Static<typeof userResults>['users'][number]

/** The group as one user is shown it; `role` only for members. */
export function shown (g: Group, memberCount: number, mine: Role | undefined): GroupResult {
  return {
    group: g.group,
    kind: g.kind,
    title: g.title,
    ...(g.avatar === '' ? {} : { avatar: g.avatar }),
    ...(g.custom == null ? {} : { custom: g.custom }),
    historyVisible: g.historyVisible,
    created: g.createdMs,
    memberCount,
    ...(mine === undefined ? {} : { role: mine })
  }
}

/** What the schema cannot say: sizes in bytes. @throws ParleyError bad-request */
export function checkSettings (s: Settings): void {
  if (s.avatar !== undefined && Buffer.byteLength(s.avatar) > MAX_AVATAR_BYTES) throw new ParleyError('bad-request', `avatar: more than ${MAX_AVATAR_BYTES} bytes`)
  if (s.custom !== undefined && Buffer.byteLength(JSON.stringify(s.custom)) > MAX_CUSTOM_BYTES) throw new ParleyError('bad-request', `custom: more than ${MAX_CUSTOM_BYTES} bytes of JSON`)
}

/** The settings that differ from the group's; what an entry tells and what is stored. */
export function changed (g: Group, s: Settings): Partial<Settings> {
  const news: Record<string, unknown> = {}
  for (const name of ['kind', 'title', 'avatar', 'custom', 'historyVisible'] as const) {
    if (s[name] !== undefined && JSON.stringify(s[name]) !== JSON.stringify(g[name])) news[name] = s[name]
  }
  return news
}

/** Each id once, in the order given. @throws ParleyError bad-request, naming the place of what is no user id */
export const distinct = (list: readonly string[], what: string): UserId[] => [...new Set(list.map((u, i) => userId(u, `${what}.${i}`)))]

/** Users as an entry names them: all, or the first ones and how many there are. */
export const named = (list: readonly UserId[]): { users: UserId[], count?: number } =>
  list.length <= MAX_NAMES ? { users: [...list] } : { users: list.slice(0, MAX_NAMES), count: list.length }

export const memberResult = Type.Object({ user: userParam, role, since: Type.Integer({ description: 'Seq of the entry by which the user joined.' }) })
export const shownMember = (m: Member): Static<typeof memberResult> => ({ user: m.user, role: m.role, since: m.since })
