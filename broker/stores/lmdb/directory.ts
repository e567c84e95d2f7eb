import type { Group, Member } from '../../domain/group.js'
import type { GroupId, UserId } from '../../domain/ids.js'
import type { Directory } from '../../ports/directory.js'
import type { Committer } from './committer.js'
import type { Databases } from './database.js'
import { join, lastPart, rangeOf } from './keys.js'
import { unpackMember, unpackU48 } from './rows.js'

/** A value that says no more than that its key is there. */
const YES = Buffer.from([1])
const MAX_BLOCKED = 10_000

export class LmdbDirectory implements Directory {
  readonly #dbs: Databases
  readonly #committer: Committer

  constructor (dbs: Databases, committer: Committer) {
    this.#dbs = dbs
    this.#committer = committer
  }

  async knows (user: UserId): Promise<boolean> { return this.#dbs.users.doesExist(user) }

  async remember (user: UserId): Promise<void> {
    if (!this.#dbs.users.doesExist(user)) await this.#committer.write(tx => tx.put(this.#dbs.users, user, YES))
  }

  async group (group: GroupId): Promise<Group | undefined> {
    const b = this.#dbs.groups.getBinary(group)
    return b === undefined ? undefined : JSON.parse(b.toString()) as Group
  }

  async member (group: GroupId, user: UserId): Promise<Member | undefined> {
    const b = this.#dbs.members.getBinary(join(group, user))
    return b === undefined ? undefined : unpackMember(user, b)
  }

  async members (group: GroupId, page: { after?: UserId, limit: number }): Promise<Member[]> {
    const { start, end } = rangeOf(group)
    const out: Member[] = []
    const from = page.after === undefined ? start : `${join(group, page.after)}\u0000`
    for (const { key, value } of this.#dbs.members.getRange({ start: from, end, limit: page.limit })) {
      out.push(unpackMember(lastPart(key) as UserId, value))
    }
    return out
  }

  async memberCount (group: GroupId): Promise<number> {
    const b = this.#dbs.memberCounts.getBinary(group)
    return b === undefined ? 0 : unpackU48(b, 0)
  }

  async block (user: UserId, other: UserId): Promise<void> {
    await this.#committer.write(tx => tx.put(this.#dbs.blocks, join(user, other), YES))
  }

  async unblock (user: UserId, other: UserId): Promise<void> {
    await this.#committer.write(tx => tx.remove(this.#dbs.blocks, join(user, other)))
  }

  async blocks (user: UserId, other: UserId): Promise<boolean> { return this.#dbs.blocks.doesExist(join(user, other)) }

  async blocked (user: UserId): Promise<UserId[]> {
    const out: UserId[] = []
    for (const key of this.#dbs.blocks.getKeys({ ...rangeOf(user), limit: MAX_BLOCKED })) out.push(lastPart(key) as UserId)
    return out
  }
}
