import type { Identity, Verdict } from '../domain/identity.js'
import type { SessionId } from '../domain/ids.js'
import type { Session } from './session.js'

/** Why a connection ended. */
export type CloseReason = 'client' | 'closed' | 'keepalive' | 'takeover' | 'expired' | 'broker'

/** A live connection, as operations see it. */
export interface LiveConnection {
  readonly session: Session
  /** The same credentials check as at CONNECT, for a new token. */
  authenticate (token: string): Promise<Verdict>
  /** The connection now ends when this identity does. */
  refresh (identity: Identity): void
}

/** This node's connections by session id. */
export interface Connections { get (id: SessionId): LiveConnection | undefined }
