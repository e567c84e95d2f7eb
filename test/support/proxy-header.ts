import { crc32c } from '../../broker/mqtt/crc32c.js'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

/** A type-length-value of PROXY v2. */
export function tlv (type: number, value: Buffer | string): Buffer {
  const b = Buffer.from(value as string)
  return Buffer.concat([Buffer.from([type, b.length >> 8, b.length & 255]), b])
}

/** PP2_TYPE_SSL: what the balancer says of the client's certificate. */
export const ssl = (commonName: string | Buffer, { client = 0x07, verify = 0 } = {}): Buffer =>
  tlv(0x20, Buffer.concat([Buffer.from([client, verify >> 24, verify >> 16 & 255, verify >> 8 & 255, verify & 255]), tlv(0x21, 'TLSv1.3'), tlv(0x22, commonName)]))

/** A PROXY v2 header. `command` 1 is PROXY, 0 LOCAL; `rest` stands behind the header's first 16 bytes. */
export function v2 (family: number, rest: Buffer, command = 1): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([0x20 | command, family, rest.length >> 8, rest.length & 255]), rest])
}

const PORTS = Buffer.from([0xdc, 0x04, 0x22, 0xb3])

/** From an IPv4 address. */
export const tcp4 = (address: string, ...tlvs: Buffer[]): Buffer =>
  v2(0x11, Buffer.concat([Buffer.from(address.split('.').map(Number)), Buffer.from([10, 0, 0, 1]), PORTS, ...tlvs]))

/** From an IPv6 address of 32 hexadecimal digits. */
export const tcp6 = (hex: string, ...tlvs: Buffer[]): Buffer =>
  v2(0x21, Buffer.concat([Buffer.from(hex, 'hex'), Buffer.alloc(16, 1), PORTS, ...tlvs]))

export const LOCAL = v2(0x00, Buffer.alloc(0), 0)

/** The header with its checksum behind all else. */
export function withChecksum (header: Buffer): Buffer {
  const b = Buffer.concat([header, tlv(0x03, Buffer.alloc(4))])
  b.writeUInt16BE(b.length - 16, 14)
  b.writeUInt32BE(crc32c(b), b.length - 4)
  return b
}
