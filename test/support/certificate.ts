import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

/** A certificate and its private key in PEM. Node makes keys but no certificates; ours needs some DER [RFC 5280, 4.1]. */
export interface Pair { cert: string, key: string }

const tlv = (tag: number, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  const n = body.length
  const length = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
const seq = (...parts: Buffer[]): Buffer => tlv(0x30, ...parts)
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'))
const time = (ms: number): Buffer => tlv(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]|\..*/g, '').slice(2)}Z`)) // UTCTime
const ECDSA_WITH_SHA256 = seq(oid('2a8648ce3d040302'))
const COMMON_NAME = oid('550403')
const SUBJECT_ALT_NAME = oid('551d11')
const BASIC_CONSTRAINTS = oid('551d13')
const TRUE = tlv(0x01, Buffer.from([255]))
const DAY_MS = 86_400_000

const nameOf = (commonName: string): Buffer => seq(tlv(0x31, seq(COMMON_NAME, tlv(0x0c, Buffer.from(commonName)))))
const dns = (name: string): Buffer => tlv(0x82, Buffer.from(name))
const email = (address: string): Buffer => tlv(0x81, Buffer.from(address))
const uri = (text: string): Buffer => tlv(0x86, Buffer.from(text))
const LOCAL = [dns('localhost'), tlv(0x87, Buffer.from([127, 0, 0, 1]))]

interface Request { commonName: string, extension: Buffer, from?: number, until?: number }

function certificate (r: Request, issuer: string, issuerKey: KeyObject | null): Pair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const body = seq(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // version 3
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])), ECDSA_WITH_SHA256, nameOf(issuer),
    seq(time(r.from ?? Date.now() - DAY_MS), time(r.until ?? Date.now() + DAY_MS)), nameOf(r.commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, seq(r.extension))
  )
  const der = seq(body, ECDSA_WITH_SHA256, tlv(0x03, Buffer.from([0]), sign('sha256', body, issuerKey ?? privateKey)))
  const base64 = der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  return { cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/** Self-signed, good for localhost and 127.0.0.1. */
export const selfSigned = (commonName: string): Pair =>
  certificate({ commonName, extension: seq(SUBJECT_ALT_NAME, tlv(0x04, seq(...LOCAL))) }, commonName, null)

/** Signs the certificates of clients. */
export class Authority {
  private readonly pair: Pair
  constructor (private readonly name: string) {
    this.pair = certificate({ commonName: name, extension: seq(BASIC_CONSTRAINTS, TRUE, tlv(0x04, seq(TRUE))) }, name, null)
  }

  get cert (): string { return this.pair.cert }

  /** A client's. Times in ms since the epoch; default: good from yesterday until tomorrow. */
  issue (commonName: string, o: { from?: number, until?: number } = {}): Pair {
    const names = [dns(`${commonName}.example`), email(`${commonName}@example.org`), uri(`urn:x:${commonName}`)]
    return certificate({ commonName, extension: seq(SUBJECT_ALT_NAME, tlv(0x04, seq(...names))), ...o }, this.name, createPrivateKey(this.pair.key))
  }
}
