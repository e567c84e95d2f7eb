import type { Socket } from 'node:net'

/** IPv4 addresses as they are written, also on a socket of both families; empty for a socket that is gone. */
export const plainAddress = (a: string | undefined): string => a === undefined ? '' : a.startsWith('::ffff:') ? a.slice(7) : a

/** Names a socket by its other end; the same for a TLS socket and the one it runs over. */
export const peerOf = (s: Pick<Socket, 'remoteAddress' | 'remotePort'>): string => `${s.remoteAddress ?? ''} ${s.remotePort ?? ''}`

/** Who counts as one: an IPv4 address, or the first 64 bits of an IPv6 address, as every host has 2^64 of them. */
export function networkOf (address: string): string {
  if (!address.includes(':')) return address
  const [left = '', right] = address.split('::')
  const groups = left === '' ? [] : left.split(':')
  if (right !== undefined) groups.push(...Array.from({ length: 8 - groups.length - (right === '' ? 0 : right.split(':').length) }, () => '0'))
  return groups.slice(0, 4).join(':')
}
