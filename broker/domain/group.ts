import type { GroupId, UserId } from './ids.js'

export type GroupKind = 'private' | 'public' | 'channel'
export type Role = 'owner' | 'admin' | 'member'

export interface Group {
  group: GroupId
  kind: GroupKind
  title: string
  avatar: string
  /** The app's own; JSON, at most 4 KiB. */
  custom: unknown
  /** Members see entries from before they joined. */
  historyVisible: boolean
  createdMs: number
  /** Kept after deletion, so that the id is not given to another group. */
  deleted: boolean
}

export interface Member {
  user: UserId
  role: Role
  /** Seq of the entry by which the user joined. */
  since: number
}

/** A change of membership, stored in one transaction with the system entry that tells of it. */
export interface MemberChange {
  user: UserId
  /** Null: no longer a member. */
  role: Role | null
}

/** What an entry changes beside the log, atomically with it. */
export interface Effects {
  group?: Group
  /** True with `group`: the append is refused as `conflict` when a group of that id is stored already. */
  create?: boolean
  members?: MemberChange[]
}
