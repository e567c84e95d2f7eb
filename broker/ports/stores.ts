import type { CursorStore, InboxStore } from './inbox.js'
import type { DeviceStore } from './devices.js'
import type { Directory } from './directory.js'
import type { Health, LogStore } from './log.js'
import type { TicketStore } from './tickets.js'
import type { TopicStore } from './topics.js'

/**
 * All that a node keeps. An implementation opens them together: they share one engine. While it cannot commit, or once
 * it is closed, what writes (but for {@link LogStore.append}, which waits) rejects with a ParleyError
 * `unavailable`, and nothing of that call is stored.
 */
export interface Stores {
  log: LogStore
  inbox: InboxStore
  cursors: CursorStore
  devices: DeviceStore
  tickets: TicketStore
  directory: Directory
  topics: TopicStore
  /** Made with the store and kept with it; a new one means that the log was replaced by an older copy. */
  epoch: string
  health (): Health
  /** Waits for what is being committed, then closes. Idempotent. */
  close (): Promise<void>
}
