import type { DeviceId, UserId } from '../domain/ids.js'
import type { Clock } from '../ports/clock.js'
import type { LogStore } from '../ports/log.js'
import type { Logger } from '../ports/logger.js'
import type { ConvState, Flight } from './conv-state.js'
import type { Grants } from './grants.js'
import type { Link } from './link.js'
import type { EntryView, Outgoing } from './outgoing.js'
import type { Recent } from './recent.js'

/** A session, as what sends for it from the log sees it. */
export interface Sender {
  readonly user: UserId
  readonly device: DeviceId
  readonly closed: boolean
  readonly grants: Grants
  readonly link: Link
  /** Largest PUBLISH that the client and the device take, bytes; 0: any. */
  readonly maxPacketBytes: number
  readonly world: {
    readonly log: LogStore, readonly recent: Recent, readonly clock: Clock, readonly logger: Logger
    readonly count: { delivered: number, caughtUp: number }
  }
  /** Most entries and gaps in flight now. */
  readonly entryWindow: number
  /** Whether one more entry or gap has room in the window. */
  readonly hasRoom: boolean
  /** PUBACKs move cursors. */
  readonly ackMoves: boolean
  isOwn (view: EntryView): boolean
  /** Sends an entry on `me/msg`, or what stands for it: a gap when it is too large, nothing when it is the device's own. */
  give (conv: ConvState, view: EntryView): void
  /** Announces that seqs are left out; to who does not hold `gap` they count as acknowledged at once. */
  giveGap (conv: ConvState, from: number, to: number): void
  /** Sends what covers `from` to `to` under a new packet id. */
  send (conv: ConvState, from: number, to: number, kind: 'gap' | 'batch', out: Outgoing): void
  /** Counts seqs as acknowledged without a packet. */
  pass (conv: ConvState, from: number, to: number): void
  /** Sends a packet of the last connection again. */
  sendAgain (flight: Flight, out: Outgoing): void
  /** Counts a packet of the last connection as acknowledged. */
  land (flight: Flight): void
  /** The client closed its socket on this one so often that it is not sent again. */
  gaveUp (flight: Flight): boolean
  /** The packet that announces a range of a conversation. */
  gapOf (conv: ConvState, from: number, to: number): Outgoing
  /** Whether that PUBLISH is one that the client takes, by its size. */
  fits (out: Outgoing): boolean
  /** Goes on sending while the window is open. */
  pump (): void
}
