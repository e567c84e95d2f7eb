import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import { plainAddress } from './address.js'
import { crc32c } from './crc32c.js'

/** What a balancer says of the connection that it passes on. */
export interface ProxyHeader {
  /** Length of the header: what follows is the client's. */
  bytes: number
  /** The client's IP address. Absent: the socket's own counts (LOCAL, UNKNOWN, UNSPEC, UNIX). */
  address?: string
  /** Common name of a client certificate that the balancer has verified. */
  commonName?: string
}

/** Longest v1 line, with its end [2.1]. */
const MAX_LINE_BYTES = 107
/** Longest v2 header taken; the standard has 65,551. Room for a client's certificate in a TLV. */
export const MAX_HEADER_BYTES = 16_384

const LINE = Buffer.from('PROXY ')
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n')
const FIXED_BYTES = SIGNATURE.length + 4
const VERSION_2 = 0x20
const LOCAL = 0
const PROXY = 1
const UNSPEC = 0x00
/** Bytes of addresses and ports, by family and transport. */
const ADDRESS_BYTES = new Map([[UNSPEC, 0], [0x11, 12], [0x12, 12], [0x21, 36], [0x22, 36], [0x31, 216], [0x32, 216]])
const CRC32C = 0x03
const SSL = 0x20
const SSL_CN = 0x22
/** The client gave a certificate, on this connection or in this TLS session. */
const WITH_CERTIFICATE = 0x02 | 0x04

/**
 * Reads a PROXY header, v1 or v2 (www.haproxy.org/download/3.2/doc/proxy-protocol.txt), at the beginning of `b`.
 * Null: it is cut off, more has to come. Error: it is none.
 */
export function parseProxyHeader (b: Buffer): ProxyHeader | Error | null {
  if (begins(b, LINE)) return b.length < LINE.length ? null : line(b)
  if (begins(b, SIGNATURE)) return b.length < FIXED_BYTES ? null : binary(b)
  return new Error('there is no PROXY header')
}

const begins = (b: Buffer, mark: Buffer): boolean => mark.subarray(0, b.length).equals(b.subarray(0, mark.length))

function line (b: Buffer): ProxyHeader | Error | null {
  const end = b.subarray(0, MAX_LINE_BYTES).indexOf('\r\n')
  if (end < 0) return b.length < MAX_LINE_BYTES ? null : new Error('the line has no end')
  const bytes = end + 2
  const [, family, ...rest] = b.toString('latin1', 0, end).split(' ')
  if (family === 'UNKNOWN') return { bytes } // what follows in the line is ignored [2.1]
  const is = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : null
  if (is === null) return new Error('the protocol is none of TCP4, TCP6, UNKNOWN')
  const [source, destination, ...ports] = rest
  if (rest.length !== 4 || !is(source!) || !is(destination!)) return new Error('the addresses are none')
  if (!ports.every(isPort)) return new Error('the ports are none')
  return { bytes, address: family === 'TCP4' ? source! : usual(source!) }
}

const isPlainIPv6 = (s: string): boolean => isIPv6(s) && !s.includes('%')
const isPort = (s: string): boolean => /^(0|[1-9]\d{0,4})$/.test(s) && Number(s) <= 65_535

/** An IPv6 address as the system writes it, so that one client has one address. */
const usual = (address: string): string => plainAddress(new SocketAddress({ address, family: 'ipv6' }).address)

function binary (b: Buffer): ProxyHeader | Error | null {
  const command = b[12]! ^ VERSION_2
  const family = b[13]!
  const bytes = FIXED_BYTES + b.readUInt16BE(14)
  if (command > PROXY) return new Error('the version or the command is unknown')
  const tlvsAt = FIXED_BYTES + (ADDRESS_BYTES.get(family) ?? Infinity)
  if (command === PROXY && tlvsAt === Infinity) return new Error('the address family is unknown')
  if (command === PROXY && tlvsAt > bytes) return new Error('the addresses are cut off')
  if (bytes > MAX_HEADER_BYTES) return new Error('the header is too long')
  if (b.length < bytes) return null
  if (command === LOCAL || family === UNSPEC) return { bytes } // the rest is ignored [2.2]
  const header = b.subarray(0, bytes)
  const commonName = extensions(header, tlvsAt)
  if (commonName instanceof Error) return commonName
  return { bytes, ...address(header, family), ...(commonName === undefined ? {} : { commonName }) }
}

function address (header: Buffer, family: number): { address?: string } {
  switch (family >> 4) {
    case 1: return { address: header.subarray(FIXED_BYTES, FIXED_BYTES + 4).join('.') }
    case 2: return { address: usual(header.toString('hex', FIXED_BYTES, FIXED_BYTES + 16).replace(/.{4}(?=.)/g, '$&:')) }
    default: return {}
  }
}

/** Checks the checksum, if there is one, and gives the certificate's common name. */
function extensions (header: Buffer, at: number): string | undefined | Error {
  const all = tlvs(header.subarray(at), [CRC32C, SSL])
  if (all instanceof Error) return all
  const sum = all.get(CRC32C)
  if (sum !== undefined && !isChecksum(sum, header)) return new Error('the checksum does not match')
  const ssl = all.get(SSL)
  return ssl === undefined ? undefined : verifiedName(ssl)
}

function isChecksum (sum: Buffer, header: Buffer): boolean {
  if (sum.length !== 4) return false
  const blank = Buffer.from(header)
  const at = sum.byteOffset - header.byteOffset
  return crc32c(blank.fill(0, at, at + 4)) === sum.readUInt32BE() // over the header with zeros in its place [2.2.3]
}

function verifiedName (ssl: Buffer): string | undefined | Error {
  if (ssl.length < 5) return new Error('the TLS information is cut off')
  const all = tlvs(ssl.subarray(5), [SSL_CN])
  if (all instanceof Error) return all
  const name = all.get(SSL_CN)
  // a balancer that lets unverified certificates pass names them as well: `verify` is 0 only for good ones [2.2.5]
  if (name === undefined || (ssl[0]! & WITH_CERTIFICATE) === 0 || ssl.readUInt32BE(1) !== 0) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(name)
  } catch { return new Error('the common name is no UTF-8') }
}

/** Values by type, of which those in `once` may not come twice: one could hide the other. */
function tlvs (b: Buffer, once: readonly number[]): Map<number, Buffer> | Error {
  const all = new Map<number, Buffer>()
  for (let at = 0; at < b.length;) {
    const end = at + 3 > b.length ? Infinity : at + 3 + b.readUInt16BE(at + 1)
    if (end > b.length) return new Error('a TLV is cut off')
    const type = b[at]!
    if (all.has(type) && once.includes(type)) return new Error('a TLV is given twice')
    all.set(type, b.subarray(at + 3, end))
    at = end
  }
  return all
}
