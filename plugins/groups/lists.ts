import { defineOperation, type GroupId, groupOf, type Host, isGroupId, isGroupKey, isUserId, type Operation, ParleyError, Type, type UserId } from '../../broker/plugin.js'
import type { Groups } from './scene.js'
import { type GroupResult, groupParam, groupResult, memberResult, paging, pagedResult, shown, shownMember } from './shapes.js'

const DEFAULT_LIMIT = 100
const MAX_GROUPS = 200
const MAX_MEMBERS = 1000
/** `{"members":[],"more":true,"next":"…"}` with the longest cursor. */
const AROUND_BYTES = 256

/** Cursors are opaque so that what they hold can change: clients that looked inside would break. */
const cursorOf = (id: string): string => Buffer.from(id).toString('base64url')
function fromCursor<T extends string> (cursor: string | undefined, fits: (s: string) => s is T): T | undefined {
  if (cursor === undefined) return undefined
  const id = Buffer.from(cursor, 'base64url').toString('latin1')
  if (fits(id) && cursorOf(id) === cursor) return id
  throw new ParleyError('bad-request', 'cursor: not one that this operation gave')
}

/** As many of `items` as `maxBytes` allow, one at least. */
function fitting<T> (items: readonly T[], maxBytes: number): T[] {
  let bytes = AROUND_BYTES
  let n = 0
  for (const item of items) {
    bytes += Buffer.byteLength(JSON.stringify(item)) + 1
    if (n > 0 && bytes > maxBytes) break
    n++
  }
  return items.slice(0, n)
}

/** What ends a page: `last` is the id of its last item. */
const ending = (more: boolean, last: string | undefined): { more: boolean, next?: string } =>
  more && last !== undefined ? { more, next: cursorOf(last) } : { more: false }

async function summary ({ directory }: Host, id: GroupId, user: UserId): Promise<GroupResult> {
  const group = await directory.group(id)
  // A row whose group is not there: the store broke its promise to write both at once.
  if (group === undefined) throw new Error(`no group ${id}, but a row of it in the inbox of ${user}`)
  return shown(group, await directory.memberCount(id), (await directory.member(id, user))?.role)
}

export const listGroups = ({ host }: Groups): Operation => defineOperation({
  name: 'group.list',
  summary: 'The groups that the caller is a member of, by id.',
  params: Type.Object(paging),
  result: Type.Object({ groups: Type.Array(groupResult), ...pagedResult }),
  read: true,
  who: 'user',
  async handle (call, p) {
    const after = fromCursor(p.cursor, isGroupId)
    const mine = (await host.inbox.rows(call.user)).filter(r => isGroupKey(r.conv) && r.left === 0).map(r => groupOf(r.conv))
      .filter(g => after === undefined || g > after).sort()
    const limit = Math.min(p.limit ?? DEFAULT_LIMIT, MAX_GROUPS)
    const found = await Promise.all(mine.slice(0, limit).map(async g => await summary(host, g, call.user)))
    const items = fitting(found, call.maxBytes)
    return { groups: items, ...ending(items.length < mine.length, items.at(-1)?.group) }
  }
})

export const listMembers = (groups: Groups): Operation => defineOperation({
  name: 'group.members',
  summary: 'The members of a group, by user id. For its members.',
  params: Type.Object({ group: groupParam, ...paging }),
  result: Type.Object({ members: Type.Array(memberResult), ...pagedResult }),
  read: true,
  who: 'user',
  async handle (call, p) {
    const scene = await groups.scene(call, p.group)
    scene.mustBelong()
    const after = fromCursor(p.cursor, isUserId)
    const limit = Math.min(p.limit ?? DEFAULT_LIMIT, MAX_MEMBERS)
    const found = await groups.host.directory.members(scene.group.group, { after, limit: limit + 1 })
    const items = fitting(found.slice(0, limit).map(shownMember), call.maxBytes)
    return { members: items, ...ending(items.length < found.length, items.at(-1)?.user) }
  }
})
