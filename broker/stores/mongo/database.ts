import { type Binary, type Collection, type Db, type IndexDescription, type MongoClient, ReadConcern, WriteConcern } from 'mongodb'
import type { Counts } from '../../domain/entry.js'
import type { GroupKind, Role } from '../../domain/group.js'
import type { AclRule } from '../../domain/acl.js'
import type { Device } from '../../ports/devices.js'
import type { EntryDoc } from './entry-doc.js'

/** Raised with every change of documents or indexes that an older version would not understand. */
export const SCHEMA = 1

/** One conversation in a user's inbox, and where the user's devices stand in it. Without `since`: cursors only. */
export interface InboxDoc {
  u: string
  c: string
  since?: number
  left?: number
  read?: number
  dlv?: number
  /** Counts at the read mark. */
  rc?: Counts
  /** By {@link deviceKey}: contiguous and highest. */
  cur?: Record<string, number>
  hi?: Record<string, number>
}
export interface MemberDoc { c: string, u: string, role: Role, since: number }
export interface GroupDoc {
  /** The conversation. */
  _id: string
  kind: GroupKind
  title: string
  avatar: string
  /** JSON: an app's names may be such as a document must not have. */
  custom?: string
  visible: boolean
  made: number
  deleted: boolean
  /** Members. */
  count: number
}
export interface DeviceDoc extends Omit<Device, 'user' | 'device'> { _id: string, u: string, d: string }
export interface TicketDoc { _id: string, u: string, d: string, acl?: readonly AclRule[], issued: number, made: number, expires: number }
export interface RemovalDoc { u: string, d: string, ms: number }
export interface BlockDoc { u: string, o: string }
/** `at`: when it was heard of, by the server's clock. */
export interface NodeDoc { _id: string, bus: boolean, at: Date, importing?: boolean }
/** Of ordinary topics. `_id`: {@link hashOf} the topic. Without `m`: taken away at `at`; kept for a while, so that an older message that comes late does not bring it back. */
export interface RetainedDoc { _id: string, t: string, v: number, e: number, m?: Binary, at?: Date }
/** A persistent session; `n`: the node that it is connected to, or was the last. `g`: the highest order given to it. */
export interface TopicSessionDoc { _id: string, ends: number, expiry: number, n: string, g?: number }
/** `_id`: of session and filter. */
export interface TopicSubscriptionDoc { _id: string, s: string, f: string, q: 0 | 1 | 2, nl: boolean, rap: boolean, id: number }
/** A message in a session's queue, with its order. */
export interface TopicQueueDoc { _id: string, s: string, o: number, q: 1 | 2, r: boolean, i: number[], rel: boolean, m: Binary }
export interface ReceivedDoc { _id: string, s: string, p: number }
/** `_id`: the session. `n`: the node that looks after it; `by`: which of its adoptions brought it there. */
export interface WillDoc { _id: string, n: string, by?: string, m: Binary, expiry: number, delay: number, life: number }
/** `importing`: an import that is not whole. */
export interface MetaDoc { _id: 'store', schema: number, epoch: string, importing?: string }

export interface Database {
  client: MongoClient
  log: Collection<EntryDoc>
  inbox: Collection<InboxDoc>
  members: Collection<MemberDoc>
  groups: Collection<GroupDoc>
  devices: Collection<DeviceDoc>
  tickets: Collection<TicketDoc>
  removals: Collection<RemovalDoc>
  users: Collection<{ _id: string }>
  blocks: Collection<BlockDoc>
  nodes: Collection<NodeDoc>
  retained: Collection<RetainedDoc>
  topicSessions: Collection<TopicSessionDoc>
  topicSubscriptions: Collection<TopicSubscriptionDoc>
  topicQueue: Collection<TopicQueueDoc>
  receivedIds: Collection<ReceivedDoc>
  wills: Collection<WillDoc>
  meta: Collection<MetaDoc>
}

/** Writes are told committed, and reads see only what no failover takes back (docs/cluster.md). */
const OPTIONS = { readConcern: new ReadConcern('majority'), writeConcern: new WriteConcern('majority') }

export function collections (client: MongoClient): Database {
  const db: Db = client.db(undefined, OPTIONS)
  return {
    client,
    log: db.collection('log'), inbox: db.collection('inbox'), members: db.collection('members'), groups: db.collection('convs'),
    devices: db.collection('devices'), tickets: db.collection('tickets'), removals: db.collection('removals'), users: db.collection('users'),
    blocks: db.collection('blocks'), nodes: db.collection('nodes'), meta: db.collection('meta'),
    retained: db.collection('retained'), topicSessions: db.collection('topicSessions'), topicSubscriptions: db.collection('topicSubscriptions'),
    topicQueue: db.collection('topicQueue'), receivedIds: db.collection('receivedIds'), wills: db.collection('wills')
  }
}

type Indexed = Exclude<keyof Database, 'client' | 'users' | 'meta' | 'groups' | 'nodes'>
/** All that the stores ask by. The log's names stand in the server's words for a duplicate (append-errors.ts). */
export const INDEXES: Record<Indexed, (IndexDescription & { name: string })[]> = {
  log: [{ name: 'by_seq', key: { c: 1, s: 1 }, unique: true }, { name: 'by_cid', key: { c: 1, u: 1, cid: 1 }, unique: true }],
  inbox: [{ name: 'by_user', key: { u: 1, c: 1 }, unique: true }],
  members: [{ name: 'by_group', key: { c: 1, u: 1 }, unique: true }],
  devices: [{ name: 'by_user', key: { u: 1, d: 1 } }],
  tickets: [{ name: 'by_user', key: { u: 1 } }],
  removals: [{ name: 'by_user', key: { u: 1, d: 1 }, unique: true }],
  blocks: [{ name: 'by_user', key: { u: 1, o: 1 }, unique: true }],
  retained: [{ name: 'gone', key: { at: 1 }, expireAfterSeconds: 3600 }],
  topicSessions: [{ name: 'by_node', key: { n: 1, ends: 1 } }],
  topicSubscriptions: [{ name: 'by_session', key: { s: 1 } }],
  topicQueue: [{ name: 'by_order', key: { s: 1, o: 1 }, unique: true }],
  receivedIds: [{ name: 'by_session', key: { s: 1 } }],
  wills: [{ name: 'by_node', key: { n: 1 } }]
}

/** A device as the name of a field: `.` and `$` mean something there. */
export const deviceKey = (device: string): string => device.replace(/[%.$]/g, c => `%${c.charCodeAt(0).toString(16)}`)

export const deviceOfKey = (key: string): string => key.replace(/%(25|2e|24)/g, (_all, code: string) => String.fromCharCode(parseInt(code, 16)))

/** A field's own value: names come from clients. */
export const own = (of: Record<string, number> | undefined, name: string): number | undefined =>
  of !== undefined && Object.hasOwn(of, name) ? of[name] : undefined
