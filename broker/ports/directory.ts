import type { Group, Member } from '../domain/group.js'
import type { GroupId, UserId } from '../domain/ids.js'

/** Users, groups, members, blocks. Membership itself changes only by {@link Draft.effects}, with its system entry. */
export interface Directory {
  /** Whether the user ever signed in. */
  knows (user: UserId): Promise<boolean>
  /** Remembers a user. Idempotent. */
  remember (user: UserId): Promise<void>
  /** Deleted groups are given too, with `deleted`. */
  group (group: GroupId): Promise<Group | undefined>
  member (group: GroupId, user: UserId): Promise<Member | undefined>
  /** Members by user id, those above `after`; at most `limit`. */
  members (group: GroupId, page: { after?: UserId, limit: number }): Promise<Member[]>
  memberCount (group: GroupId): Promise<number>
  /** Idempotent. */
  block (user: UserId, other: UserId): Promise<void>
  /** Idempotent. */
  unblock (user: UserId, other: UserId): Promise<void>
  /** Whether `user` has blocked `other`. */
  blocks (user: UserId, other: UserId): Promise<boolean>
  /** Sorted by id; the first 10,000. */
  blocked (user: UserId): Promise<UserId[]>
}
