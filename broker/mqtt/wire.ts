import type { ClientCertificate } from '../domain/identity.js'

/** What carries a connection's bytes: a TCP or TLS socket as it is, or a WebSocket ({@link WebSocketWire}). */
export interface Wire {
  /** `taken` is called when the kernel has the bytes; not when the connection ends before. */
  write (bytes: Buffer, taken?: () => void): unknown
  /** Bytes written that the kernel has not taken. */
  readonly writableLength: number
  /** Bytes that came and are held back until what they belong to is whole. */
  readonly pendingBytes?: number
  /** The CONNECT on it was accepted. */
  signedIn? (): void
  pause (): unknown
  resume (): unknown
  /** Closes once what was written is out. */
  destroySoon (): void
  destroy (): unknown
}

/** Where a connection came in. */
export interface Origin {
  /** IP address without port. */
  address: string
  /** `mqtts:8883`. */
  listener: string
  /** The client's TLS certificate, when the listener checked one. */
  certificate?: ClientCertificate
  /** SSL-CN of a PROXY v2 header. */
  proxyCommonName?: string
}
