import type { Socket } from 'node:net'

/** IPv4 addresses as they are written, also on a socket of both families; empty for a socket that is gone. */
export const plainAddress = (a: string | undefined): string => a === undefined ? '' : a.startsWith('::ffff:') ? a.slice(7) : a

/** Names a socket by its other end; the same for a TLS socket and the one it runs over. */
export const peerOf = (s: Pick<Socket, 'remoteAddress' | 'remotePort'>): string => `${s.remoteAddress ?? ''} ${s.remotePort ?? ''}`
