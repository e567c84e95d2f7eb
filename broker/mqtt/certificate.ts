import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type Server, type TlsOptions } from 'node:tls'
import type { Logger } from '../ports/logger.js'

const LOOK_EVERY_MS = 2000
/** Longest time a client may take for the TLS handshake. */
const HANDSHAKE_MS = 10_000

/**
 * A certificate and its key, read again when the files change: as Kubernetes swaps them (a `..data` link) or in place.
 * What is half written or does not fit together leaves the old pair in use, and the log says so. Live connections stay.
 */
export class Certificate {
  private current: { cert: Buffer, key: Buffer }
  /** What was found bad the last time; said once. */
  private refused = ''
  private timer: NodeJS.Timeout | null = null
  private server: Server | null = null

  private constructor (private readonly files: { cert: string, key: string }, pair: { cert: Buffer, key: Buffer }, private readonly logger: Logger) { this.current = pair }

  /** @throws Error when the files cannot be read or do not fit together */
  static async open (files: { cert: string, key: string }, logger: Logger): Promise<Certificate> {
    const pair = await read(files)
    createSecureContext(pair)
    return new Certificate(files, pair, logger)
  }

  /** Tickets let a phone resume in one round trip; the keys stay when the certificate changes. */
  options (): TlsOptions {
    return { ...this.current, minVersion: 'TLSv1.2', ALPNProtocols: ['mqtt', 'http/1.1'], ticketKeys: randomBytes(48), sessionTimeout: 86_400, handshakeTimeout: HANDSHAKE_MS }
  }

  watch (server: Server): void {
    this.server = server
    this.timer = setInterval(() => { void this.look() }, LOOK_EVERY_MS)
    this.timer.unref()
  }

  stop (): void { if (this.timer !== null) clearInterval(this.timer) }

  /** Never rejects. */
  async look (): Promise<void> {
    let seen = ''
    try {
      const pair = await read(this.files)
      seen = pair.cert.toString('latin1') + pair.key.toString('latin1')
      if (pair.cert.equals(this.current.cert) && pair.key.equals(this.current.key)) { this.refused = ''; return }
      if (seen === this.refused) return
      createSecureContext(pair)
      const keys = this.server!.getTicketKeys()
      this.server!.setSecureContext({ ...pair, minVersion: 'TLSv1.2' })
      this.server!.setTicketKeys(keys)
      this.current = pair
      this.refused = ''
      this.logger.info({ cert: this.files.cert }, 'a new certificate is in use')
    } catch (err) {
      const bad = seen === '' ? String(err) : seen
      if (bad === this.refused) return
      this.refused = bad
      this.logger.warn({ err, cert: this.files.cert }, 'the new certificate cannot be used; the old one stays')
    }
  }
}

async function read (files: { cert: string, key: string }): Promise<{ cert: Buffer, key: Buffer }> {
  const cert = await readFile(files.cert) // one after the other: the same trouble then has the same words each time
  return { cert, key: await readFile(files.key) }
}
