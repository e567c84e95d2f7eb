import { X509Certificate } from 'node:crypto'

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/**
 * The certificates in a PEM file, one at least.
 * @throws Error for a file with none, or with one that is damaged or cut off: TLS would silently trust the others alone
 */
export function readAuthorities (pem: Buffer): X509Certificate[] {
  const text = pem.toString('latin1')
  const blocks = text.match(BLOCK) ?? []
  if (blocks.length === 0 || blocks.length !== text.split('-----BEGIN CERTIFICATE').length - 1) throw new Error('holds no certificate, or one that is cut off')
  return blocks.map(block => new X509Certificate(block))
}
