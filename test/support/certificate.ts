import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** Self-signed, good for localhost and 127.0.0.1, in PEM. Node makes keys but no certificates; ours needs 40 lines of DER [RFC 5280, 4.1]. */
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
const DAY_MS = 86_400_000

export function selfSigned (commonName: string): Pair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = seq(tlv(0x31, seq(COMMON_NAME, tlv(0x0c, Buffer.from(commonName)))))
  const names = seq(tlv(0x82, Buffer.from('localhost')), tlv(0x87, Buffer.from([127, 0, 0, 1])))
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)])
  const body = seq(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // version 3
    tlv(0x02, serial), ECDSA_WITH_SHA256, name, seq(time(Date.now() - DAY_MS), time(Date.now() + DAY_MS)), name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, seq(seq(SUBJECT_ALT_NAME, tlv(0x04, names))))
  )
  const der = seq(body, ECDSA_WITH_SHA256, tlv(0x03, Buffer.from([0]), sign('sha256', body, privateKey)))
  const base64 = der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  return { cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}
