import type { SessionId } from '../../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../../domain/topic-message.js'
import type { NodeId, TopicGift, TopicPlace, TopicSessionNews } from '../../ports/bus.js'
import type { StoredSession } from '../../ports/topics.js'
import type { Subscriber } from './subscriber.js'

/** The other nodes, as ordinary topics see them. Nothing here waits for them. */
export interface OtherNodes {
  /** This one. */
  readonly node: NodeId
  /** News comes to the others, as far as known. */
  readonly up: boolean
  /** Before clients come: what all nodes have. */
  start (): Promise<void>
  /** Published here, before it is stored. `handled`: persistent sessions for which this node sees to it. */
  message (message: TopicMessage, version: number, give: TopicGift[], handled: SessionId[]): void
  /** Stored here. `message` is left out when no receiver is connected elsewhere. */
  queued (message: TopicMessage | null, places: TopicPlace[], kept: { topic: string, version: number } | null): void
  session (session: SessionId, change: TopicSessionNews['change']): void
  /** Who is subscribed here. */
  subscribed (s: Subscriber, subscription: TopicSubscription): void
  unsubscribed (s: Subscriber, filter: string): void
  /** The session as it is stored, before it is connected here. */
  stored (session: SessionId): Promise<StoredSession | undefined>
  close (): void
}
