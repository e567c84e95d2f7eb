import type { Identity, Verdict } from '../domain/identity.js'
import type { DeviceId, SessionId, UserId } from '../domain/ids.js'
import type { Session } from './session.js'

/** Why a connection ended. */
export type CloseReason = 'client' | 'closed' | 'keepalive' | 'takeover' | 'expired' | 'broker'

/** A live connection, as operations see it. */
export interface LiveConnection {
  readonly session: Session
  /** Of the credential that counts now. */
  readonly identity: Identity | null
  /** The same credentials check as at CONNECT, for a new token. */
  authenticate (token: string): Promise<Verdict>
  /** The connection now ends when this identity does. */
  refresh (identity: Identity): void
}

/** This node's connections. */
export interface Connections {
  get (id: SessionId): LiveConnection | undefined
  ofUser (user: UserId): readonly LiveConnection[]
  /** Closes the device's connection, waits for what it leaves behind, and forgets the device; nobody is let in as it meanwhile. */
  remove (user: UserId, device: DeviceId): Promise<void>
}
