import type { AclRule } from './acl.js'
import type { DeviceId, UserId } from './ids.js'

/** Who a connection is, once its credentials were accepted. */
export interface Identity {
  user: UserId
  /** May use operations for admins. */
  admin: boolean
  /** When the credential ends, ms since the epoch; 0: never. The connection is closed then. */
  expiresMs: number
  /** Rules for ordinary topics that come before those of the configuration. */
  acl?: readonly AclRule[]
  /** On ordinary topics only, and counted by no limit per user or device: whoever comes without credentials. */
  anonymous?: boolean
  /** When its token was made, ms since the epoch; 0: the token does not say. Absent: no token, but a password or a certificate. */
  issuedMs?: number
  /** Signed in with a ticket of `auth.ticket`, which is not good for another one. */
  byTicket?: boolean
}

/** What a client shows at CONNECT, or as a bearer token. */
export interface Credentials {
  /** The user name given; absent when the token alone names the user. */
  user?: string
  password?: Buffer
  /** Absent over HTTP. */
  device?: DeviceId
  /** IP address without port. */
  address: string
  /** Where it came in: `mqtts:8883`, `http`. */
  listener: string
  /** Of a client whose TLS certificate was checked by the listener. */
  certificate?: ClientCertificate
  /** SSL-CN of a PROXY v2 header, from a balancer that checked the certificate. */
  proxyCommonName?: string
}

/** Whom a client certificate names: the subject's common name, and the alternative names of kind DNS, e-mail and URI. */
export interface ClientCertificate { commonName?: string, alternativeNames: readonly string[] }

/**
 * - `refused`: final. `credential`: bad or expired, get another (CONNACK 4, 0x86); `forbidden`: this user or device may not (5, 0x87).
 * - `not-mine`: no credential of this kind; the next provider is asked.
 * - `down`: only for now; the socket is closed without CONNACK, libraries come back by themselves.
 * `why` goes to the log only.
 */
export type Verdict =
  | { kind: 'accepted', identity: Identity }
  | { kind: 'refused', reason: 'credential' | 'forbidden', why: string }
  | { kind: 'not-mine' }
  | { kind: 'down', why: string }
