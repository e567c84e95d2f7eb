import type { TLSSocket } from 'node:tls'
import type { ClientCertificate } from '../domain/identity.js'

/**
 * Whom the certificate of a TLS client names; null when it has none.
 * @throws Error, with the reason, when it does not stand
 */
export function clientCertificate (socket: TLSSocket, nowMs: number): ClientCertificate | null {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return null
  if (!socket.authorized) throw new Error(String(socket.authorizationError))
  // a resumed session was checked when it began
  if (Date.parse(certificate.validTo) < nowMs) throw new Error('CERT_HAS_EXPIRED')
  const commonName: unknown = socket.getPeerCertificate().subject.CN
  return { ...(typeof commonName === 'string' ? { commonName } : {}), alternativeNames: alternativeNames(certificate.subjectAltName ?? '') }
}

const NAME = /([^:,"]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y
const KINDS = ['DNS', 'email', 'URI']

/**
 * The names of kind DNS, e-mail and URI in Node's text of the extension, `DNS:a.example, email:"odd, \"one\""`. What is
 * not of this form is taken for no names at all: part of a name could read like another one.
 */
export function alternativeNames (text: string): string[] {
  const names: string[] = []
  NAME.lastIndex = 0
  while (NAME.lastIndex < text.length) {
    const found = NAME.exec(text)
    if (found === null) return []
    const [, kind, value] = found
    if (KINDS.includes(kind!)) names.push(value!.startsWith('"') ? JSON.parse(value!) as string : value!)
  }
  return names
}
