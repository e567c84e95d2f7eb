import type { Directory, GroupId, Member, UserId } from '../../broker/plugin.js'

const PAGE = 1000

/** All members of a group, a page at a time: a large group's are many. */
export async function * allMembers (directory: Directory, group: GroupId): AsyncGenerator<Member> {
  let after: UserId | undefined
  for (;;) {
    const page = await directory.members(group, { after, limit: PAGE })
    yield * page
    if (page.length < PAGE) return
    after = page[page.length - 1]!.user
    // Stores may answer without a turn of the event loop; other connections have to get theirs.
    await new Promise<void>(resolve => { setImmediate(resolve) })
  }
}

/** What becomes of a group that loses some members: nothing to do, a new owner, or nobody is left. */
export type Succession = { kind: 'none' } | { kind: 'passes', to: UserId } | { kind: 'empty' }

/** Admins before members, then by the seq at which they joined; who joined by one entry, by user id. */
const before = (a: Member, b: Member): boolean =>
  a.role !== b.role ? a.role === 'admin' : a.since < b.since

/** Reads all members: only to be asked when an owner goes. */
export async function succession (directory: Directory, group: GroupId, losing: ReadonlySet<UserId>): Promise<Succession> {
  let heir: Member | undefined
  for await (const m of allMembers(directory, group)) {
    if (losing.has(m.user)) continue
    if (m.role === 'owner') return { kind: 'none' }
    if (heir === undefined || before(m, heir)) heir = m
  }
  return heir === undefined ? { kind: 'empty' } : { kind: 'passes', to: heir.user }
}
