import type { ConvKey, SessionId } from '../domain/ids.js'
import type { Flight } from './conv-state.js'

/** Sent and unacknowledged when a connection ended: sent again with the same packet ids [MQTT-4.4.0-1]. */
export interface RetainedWindow {
  convs: { key: ConvKey, flights: Omit<Flight, 'conv'>[] }[]
  /** Unacknowledged packet ids in the order in which they were sent. */
  order: number[]
  /** How often the client closed the socket on the oldest unacknowledged entry. */
  loss: Loss | null
}
export interface Loss { key: ConvKey, seq: number, count: number }

/**
 * Windows of devices that are away. Memory only, and bounded: one that is not here any more costs duplicates under new
 * packet ids, as after a crash of the node.
 */
export class RetainedWindows {
  private readonly byId = new Map<SessionId, RetainedWindow>()
  constructor (private readonly max = 20_000) {}

  keep (id: SessionId, window: RetainedWindow): void {
    this.byId.delete(id)
    this.byId.set(id, window)
    if (this.byId.size > this.max) this.byId.delete(this.byId.keys().next().value!)
  }

  take (id: SessionId): RetainedWindow | undefined {
    const w = this.byId.get(id)
    this.byId.delete(id)
    return w
  }
}
