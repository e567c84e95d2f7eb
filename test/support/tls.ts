import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { type Pair, selfSigned } from './certificate.js'

/** A folder with a certificate and its key, as a listener reads them. */
export class CertificateFiles {
  private readonly dir = mkdtempSync(join(tmpdir(), 'parley-tls-'))
  readonly cert = join(this.dir, 'tls.crt')
  readonly key = join(this.dir, 'tls.key')
  constructor (public pair: Pair = selfSigned('first')) { this.put(pair) }

  put (pair: Pair): void {
    this.pair = pair
    writeFileSync(this.cert, pair.cert)
    writeFileSync(this.key, pair.key)
  }

  remove (): void { rmSync(this.dir, { recursive: true, force: true }) }
}

/** A TLS socket after its handshake. @throws Error when there is none */
export async function tlsSocket (port: number, files: CertificateFiles, options: ConnectionOptions & { localAddress?: string } = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: files.pair.cert, ALPNProtocols: ['mqtt'], ...options })
  await once(socket, 'secureConnect')
  return socket
}
