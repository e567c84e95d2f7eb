import type { Group, Member } from '../../domain/group.js'
import { type GroupId, groupKey, groupOf, type ConvKey, type UserId } from '../../domain/ids.js'
import type { Directory } from '../../ports/directory.js'
import type { Calls } from './calls.js'
import type { Database, GroupDoc, MemberDoc } from './database.js'

const MAX_BLOCKED = 10_000

export class MongoDirectory implements Directory {
  constructor (private readonly db: Database, private readonly calls: Calls) {}

  async knows (user: UserId): Promise<boolean> { return await this.calls.read(() => this.db.users.findOne({ _id: user })) !== null }

  async remember (user: UserId): Promise<void> {
    await this.calls.write(() => this.db.users.updateOne({ _id: user }, { $setOnInsert: {} }, { upsert: true }), { again: true })
  }

  async group (group: GroupId): Promise<Group | undefined> {
    const doc = await this.calls.read(() => this.db.groups.findOne({ _id: groupKey(group) }, { projection: { count: 0 } }))
    return doc?.kind === undefined ? undefined : fromGroupDoc(doc)
  }

  async member (group: GroupId, user: UserId): Promise<Member | undefined> {
    const doc = await this.calls.read(() => this.db.members.findOne({ c: groupKey(group), u: user }))
    return doc === null ? undefined : fromMemberDoc(doc)
  }

  async members (group: GroupId, { after, limit }: { after?: UserId, limit: number }): Promise<Member[]> {
    const above = after === undefined ? {} : { u: { $gt: after } }
    return (await this.calls.read(() => this.db.members.find({ c: groupKey(group), ...above }).sort({ u: 1 }).limit(limit).toArray())).map(fromMemberDoc)
  }

  async memberCount (group: GroupId): Promise<number> {
    return (await this.calls.read(() => this.db.groups.findOne({ _id: groupKey(group) }, { projection: { count: 1 } })))?.count ?? 0
  }

  async block (user: UserId, other: UserId): Promise<void> {
    await this.calls.write(() => this.db.blocks.updateOne({ u: user, o: other }, { $setOnInsert: {} }, { upsert: true }), { again: true })
  }

  async unblock (user: UserId, other: UserId): Promise<void> { await this.calls.write(() => this.db.blocks.deleteOne({ u: user, o: other })) }

  async blocks (user: UserId, other: UserId): Promise<boolean> { return await this.calls.read(() => this.db.blocks.findOne({ u: user, o: other })) !== null }

  async blocked (user: UserId): Promise<UserId[]> {
    const docs = await this.calls.read(() => this.db.blocks.find({ u: user }, { projection: { _id: 0, o: 1 } }).sort({ o: 1 }).limit(MAX_BLOCKED).toArray())
    return docs.map(d => d.o as UserId)
  }
}

export const fromMemberDoc = (d: MemberDoc): Member => ({ user: d.u as UserId, role: d.role, since: d.since })

export const fromGroupDoc = (d: GroupDoc): Group => ({
  group: groupOf(d._id as ConvKey), kind: d.kind, title: d.title, avatar: d.avatar, custom: d.custom === undefined ? undefined : JSON.parse(d.custom) as unknown,
  historyVisible: d.visible, createdMs: d.made, deleted: d.deleted
})
export const toGroupFields = (g: Group): Omit<GroupDoc, '_id' | 'count'> => ({
  kind: g.kind, title: g.title, avatar: g.avatar, ...(g.custom === undefined ? {} : { custom: JSON.stringify(g.custom) }), visible: g.historyVisible, made: g.createdMs, deleted: g.deleted
})
