import type { SessionId } from '../domain/ids.js'
import type { NodeId } from './bus.js'

/** Which node has the connection of a session. What is not known is taken for not connected; nothing here is kept for long. */
export interface Presence {
  /**
   * The session is connected here, since `sinceMs`; gives the node that had it until now, null: none that lives, or nobody
   * can be asked. `newest` false: only if no newer connection is known; `not-ours` when there is one. Never rejects.
   */
  enter (session: SessionId, sinceMs: number, newest: boolean): Promise<NodeId | null | 'not-ours'>
  /** It is not connected here any more; what another node says of it stays. Never rejects. */
  leave (session: SessionId, sinceMs: number): Promise<void>
  /** Called with the sessions of a node that died, on one of the others; and when this one was taken for dead. */
  serve (listener: { lapsed (sessions: SessionId[]): void, presumedDead (): void }): void
}
