import type { Entry } from '../domain/entry.js'
import type { Effects } from '../domain/group.js'
import type { ConvKey, SessionId, UserId } from '../domain/ids.js'
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
/** Whose channel it is; null: not a user's. */
export const userOfChannel = (channel: Channel): UserId | null => channel.startsWith('u:') ? channel.slice(2) as UserId : null

/** What nodes tell each other. Nothing of it is kept: who missed something asks the log. */
export type News =
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
