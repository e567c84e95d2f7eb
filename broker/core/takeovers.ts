import type { SessionId } from '../domain/ids.js'
import { type Bus, nodeChannel, type NodeId } from '../ports/bus.js'
import type { Clock } from '../ports/clock.js'
import type { Presence } from '../ports/presence.js'

/** Another node has so long to close a connection and to store what it leaves behind. */
const WAIT_MS = 3000

/** One connection of a session among all nodes: the newest. */
export class Takeovers {
  private readonly waiting = new Map<string, () => void>()

  constructor (private readonly deps: {
    bus: Bus, presence: Presence, clock: Clock
    /** Closes the connection here, if there is one, and resolves when what it leaves is stored. */
    close (session: SessionId): Promise<void>
  }) {}

  /** The session connects here: resolves when it is nowhere else any more, or nobody answers. Never rejects. */
  async claim (session: SessionId, sinceMs: number): Promise<void> {
    const old = await this.deps.presence.enter(session, sinceMs, true)
    if (old !== null && old !== 'not-ours') await this.ask(old, session)
  }

  /** Says again what is connected here; what has a newer connection elsewhere is closed. Never rejects. */
  async claimAgain (session: SessionId, sinceMs: number): Promise<void> {
    const old = await this.deps.presence.enter(session, sinceMs, false)
    if (old === 'not-ours') await this.deps.close(session)
    else if (old !== null) await this.ask(old, session)
  }

  /** Another node asks. */
  async asked (session: SessionId, by: NodeId): Promise<void> {
    await this.deps.close(session)
    this.deps.bus.publish(nodeChannel(by), { kind: 'left', session, from: this.deps.bus.node })
  }

  /** Another node answers. */
  left (session: SessionId, from: NodeId): void { this.waiting.get(`${from} ${session}`)?.() }

  private async ask (node: NodeId, session: SessionId): Promise<void> {
    const { bus, clock } = this.deps
    const key = `${node} ${session}`
    await new Promise<void>(resolve => {
      const timer = clock.after(WAIT_MS, resolve)
      this.waiting.set(key, () => { timer.cancel(); resolve() })
      bus.publish(nodeChannel(node), { kind: 'takeover', session, by: bus.node })
    })
    this.waiting.delete(key)
  }
}
