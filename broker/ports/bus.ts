import type { Entry } from '../domain/entry.js'
import type { Effects } from '../domain/group.js'
import type { ConvKey, SessionId, UserId } from '../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../domain/topic-message.js'
import type { Health } from './log.js'

/** A running node; another one with each start. */
export type NodeId = string & { readonly brand: 'NodeId' }

/** Where news goes: to nodes that host the user, or sessions of the group; to one node; to all. */
export type Channel = string & { readonly brand: 'Channel' }
export const userChannel = (user: UserId): Channel => `u:${user}` as Channel
/** `conv`: a group's. */
export const groupChannel = (conv: ConvKey): Channel => conv as string as Channel
export const nodeChannel = (node: NodeId): Channel => `n:${node}` as Channel
export const ALL = 'all' as Channel
/** Ordinary topics: every node that has them. */
export const TOPICS = 'topics' as Channel
/** Whose channel it is; null: not a user's. */
export const userOfChannel = (channel: Channel): UserId | null => channel.startsWith('u:') ? channel.slice(2) as UserId : null

/** A message's place in a stored queue. */
export interface TopicPlace { session: SessionId, order: number, qos: 1 | 2, retain: boolean, ids: readonly number[] }
/** For a member of a shared subscription whose queue is not stored. */
export interface TopicGift { session: SessionId, qos: 0 | 1 | 2, retain: boolean, ids: readonly number[] }
export interface TopicSessionNews {
  kind: 'topic-session'
  node: NodeId
  session: SessionId
  change:
    | { to: 'subscribed', persistent: boolean, expirySeconds: number, subscriptions: TopicSubscription[] }
    | { to: 'unsubscribed', filters: string[] }
    | { to: 'attached' }
    | { to: 'detached', endsMs: number }
    | { to: 'forgotten' }
}
/** Of ordinary topics. What is stored of it stands in the store all the same. */
export type TopicNews =
  /** Published, for who is connected and not among `handled`. `version`: of the retained message; 0: it is not retained. */
  | { kind: 'topic', message: TopicMessage, version: number, give: TopicGift[], handled: SessionId[] }
  /** Stored. `kept`: as the retained message. */
  | { kind: 'topic-queued', message: TopicMessage | null, places: TopicPlace[], kept: { topic: string, version: number } | null }
  | TopicSessionNews
  /** The node wants to know who is subscribed to what elsewhere. */
  | { kind: 'topic-members', node: NodeId }

/** What nodes tell each other. Nothing of it is kept: who missed something asks the log. */
export type News =
  | TopicNews
  /** Committed. `afterMs`: `ts` of the entry before it, 0: it is the first. */
  | { kind: 'entry', entry: Entry, afterMs: number, effects?: Effects }
  /** Marks of a user in a conversation, for the sessions of the channel's user. */
  | { kind: 'receipt', conv: ConvKey, user: UserId, delivered?: number, read?: number }
  /** `members`: those of the signal's JSON object. */
  | { kind: 'signal', conv: ConvKey, from: UserId, members: string }
  /** On `me/evt` of the channel's user. */
  | { kind: 'event', event: { type: string } }
  /** The session is connected elsewhere now: it ends here, and `left` says so to who asked. */
  | { kind: 'takeover', session: SessionId, by: NodeId }
  | { kind: 'left', session: SessionId, from: NodeId }
  /** News of the sender's since then was lost: each node looks for itself. */
  | { kind: 'lost', sinceMs: number }
  /** To the own node: whether the way there and back works. */
  | { kind: 'ping' }

/** What a node does with news. */
export interface Listener {
  heard (channel: Channel, news: News): void
  /** From now on news may be missed … */
  lost (): void
  /** … and from now on none is. */
  back (): void
}

/** News between nodes: at most once, in the order in which one node sent it to one channel; waits for nobody. */
export interface Bus {
  readonly node: NodeId
  /** Called once, before anything else. */
  serve (listener: Listener): void
  /** Tells all other nodes that listen to the channel; this one does not hear it. */
  publish (channel: Channel, news: News): void
  /** Resolves when nothing that is published from now on is missed, or the bus is away: then `back` comes. Never rejects. */
  listen (channel: Channel): Promise<void>
  ignore (channel: Channel): void
  health (): Health
  close (): Promise<void>
}
