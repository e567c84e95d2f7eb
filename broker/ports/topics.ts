import type { SessionId } from '../domain/ids.js'
import type { NodeId } from './bus.js'
import type { TopicMessage, TopicSubscription } from '../domain/topic-message.js'

/** One message waiting for one session. */
export interface QueuedMessage {
  /** Grows with every message of the session; says which packet id it has on the wire. */
  order: number
  message: TopicMessage
  qos: 1 | 2
  /** The retain flag that its receiver sees. */
  retain: boolean
  /** Subscription Identifiers of what matched. */
  ids: readonly number[]
  /** The receiver has it (PUBREC), the exchange is not over [MQTT-4.3.3-6]. */
  released: boolean
}

/** A will: `message` without expiry, which counts from when it is published. */
export interface StoredWill {
  session: SessionId
  message: TopicMessage
  /** Message Expiry Interval; 0: never. */
  messageExpirySeconds: number
  /** From the end of the connection, or until the session ends if that is sooner [MQTT-3.1.3.2.2]. */
  delaySeconds: number
  /** How long the session outlives its connection. */
  expirySeconds: number
}

/** A persistent session that has ordinary subscriptions. */
export interface StoredSession {
  id: SessionId
  /** When it ends, ms since the epoch; 0: it was connected when this was written. */
  endsMs: number
  /** How long it outlives its connection, seconds. */
  expirySeconds: number
  subscriptions: TopicSubscription[]
  /** How many wait for it, and the highest order given out that is still there; 0 when there are none. */
  queue: QueueEnds
  /** The node that it is connected to, as far as is stored; null: none, or there is one node only. */
  node: NodeId | null
  /** The highest order that was given to it, if its last connection said so when it ended. */
  givenTo?: number
}

export interface QueueEnds { count: number, last: number }

/** What stands in one commit, in this order. */
export type TopicChange =
  /** Of several nodes the higher version wins, whichever comes first. */
  | { kind: 'retain', message: TopicMessage, version: number }
  | { kind: 'unretain', topic: string, version: number }
  /** The message for each of these sessions. When another node was first with an order, the store puts a higher one in its place. */
  | { kind: 'enqueue', message: TopicMessage, to: readonly { session: SessionId, order: number, qos: 1 | 2, retain: boolean, ids: readonly number[] }[] }
  | { kind: 'dequeue', session: SessionId, order: number }
  /** PUBREC came: only the exchange's end is waited for. */
  | { kind: 'release', session: SessionId, order: number }
  /** A QoS 2 packet id of the client's is in use, or free again. */
  | { kind: 'received', session: SessionId, packetId: number }
  | { kind: 'completed', session: SessionId, packetId: number }
  /** `endsMs` 0: it is connected here. Else it was here and is not any more; what a newer connection elsewhere said stays. */
  | { kind: 'session', session: SessionId, endsMs: number, expirySeconds: number, givenTo?: number }
  | { kind: 'subscribe', session: SessionId, subscription: TopicSubscription }
  | { kind: 'unsubscribe', session: SessionId, filter: string }
  /** All of a session but its will: subscriptions, queue, packet ids. */
  | { kind: 'forget', session: SessionId }
  | { kind: 'will', will: StoredWill }
  | { kind: 'no-will', session: SessionId }

/** What ordinary topics keep: sessions with their subscriptions and queues, retained messages, wills. */
export interface TopicStore {
  /**
   * All changes of one call stand in one commit, and calls take effect in their order. Durable when it resolves; while
   * the store cannot commit it waits. Rejects with `unavailable` when the store is closed before.
   */
  commit (changes: readonly TopicChange[]): Promise<void>
  /** Sessions, with what they are subscribed to. For the start. */
  sessions (): Promise<StoredSession[]>
  /** Topics of retained messages, with their expiry as in {@link TopicMessage}. For the start. */
  retainedTopics (): Promise<{ topic: string, expiresMs: number }[]>
  /** Wills that no living node looks after; this one does from now on. */
  wills (): Promise<StoredWill[]>
  /** In the order of the topics; undefined: nothing is retained there. */
  retained (topics: readonly string[]): Promise<(TopicMessage | undefined)[]>
  /** A session's queue above `after`, in order, at most `limit` messages, of several nodes with all that this one committed before. */
  queue (session: SessionId, after: number, limit: number): Promise<QueuedMessage[]>
  /** QoS 2 packet ids of the client that are in use. */
  receivedIds (session: SessionId): Promise<number[]>
}

/** What several nodes ask of the store that they share. */
export interface SharedTopicStore extends TopicStore {
  /** As it is now; undefined: nothing of it is stored. */
  session (session: SessionId): Promise<StoredSession | undefined>
  /** Of those sessions that have a queue. */
  queueEnds (sessions: readonly SessionId[]): Promise<Map<SessionId, QueueEnds>>
  /** Takes the session's will away, whichever node looks after it. */
  takeWill (session: SessionId): Promise<StoredWill | undefined>
  /** Whether this node still looks after the session's will, and may publish it: only one of several is told so. */
  claimWill (session: SessionId): Promise<boolean>
  /** Nodes that live, this one too. */
  nodes (): Promise<Set<NodeId>>
  /** From now on sessions that were connected to nodes that are gone end when their time is over; gives the wills of such nodes that this one looks after now. */
  orphans (nowMs: number): Promise<StoredWill[]>
}
