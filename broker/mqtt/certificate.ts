import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type Server, type TlsOptions } from 'node:tls'
import { readAuthorities } from '../config/authority.js'
import type { Logger } from '../ports/logger.js'

const LOOK_EVERY_MS = 2000
/** Tickets of TLS: the name of the key and two keys. */
const TICKET_KEYS_BYTES = 48

/** Where a listener's certificate, its key and the authority of its clients' certificates stand (PEM). */
export interface CertificateFiles { cert: string, key: string, clientCa?: string }
type Contents = { [K in keyof CertificateFiles]: Buffer }
const PARTS = ['cert', 'key', 'clientCa'] as const

/**
 * A certificate, its key and the authority of the clients', read again when the files change: as Kubernetes swaps them
 * (a `..data` link) or in place. What is half written or does not fit together leaves the old ones in use, and the log
 * says so. Live connections stay.
 */
export class Certificate {
  /** What was found bad the last time; said once. */
  private refused = ''
  private timer: NodeJS.Timeout | null = null
  private server: Server | null = null
  private ticketKeys = randomBytes(TICKET_KEYS_BYTES)

  private constructor (private readonly files: CertificateFiles, private current: Contents, private readonly logger: Logger) {}

  /** @throws Error when the files cannot be read or do not fit together */
  static async open (files: CertificateFiles, logger: Logger): Promise<Certificate> {
    return new Certificate(files, checked(await read(files)), logger)
  }

  /** For a TLS server. Tickets let a phone resume in one round trip. */
  options (): TlsOptions { return { ...context(this.current), ticketKeys: this.ticketKeys, sessionTimeout: 86_400 } }

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
      const found = await read(this.files)
      seen = PARTS.map(part => found[part]?.toString('latin1')).join()
      const changed = PARTS.filter(part => found[part]?.equals(this.current[part]!) === false)
      if (changed.length === 0) { this.refused = ''; return }
      if (seen !== this.refused) this.use(checked(found), changed)
    } catch (err) {
      const bad = seen === '' ? String(err) : seen
      if (bad === this.refused) return
      this.refused = bad
      this.logger.warn({ err, ...this.files }, 'the new certificate cannot be used; the old one stays')
    }
  }

  private use (contents: Contents, changed: readonly (typeof PARTS)[number][]): void {
    // a ticket carries whom the client's certificate named, and TLS does not check it again: not past another authority
    if (changed.includes('clientCa')) this.ticketKeys = randomBytes(TICKET_KEYS_BYTES)
    this.server!.setSecureContext({ ...context(contents), ticketKeys: this.ticketKeys })
    this.current = contents
    this.refused = ''
    this.logger.info({ changed: changed.map(part => this.files[part]) }, 'a new certificate is in use')
  }
}

const context = ({ cert, key, clientCa }: Contents): TlsOptions => ({ cert, key, ca: clientCa, minVersion: 'TLSv1.2' })

/** @throws Error when they cannot be used together */
function checked (contents: Contents): Contents {
  if (contents.clientCa !== undefined) readAuthorities(contents.clientCa)
  createSecureContext(context(contents))
  return contents
}

async function read ({ cert, key, clientCa }: CertificateFiles): Promise<Contents> {
  // one after the other: the same trouble then has the same words each time
  const contents: Contents = { cert: await readFile(cert), key: await readFile(key) }
  if (clientCa !== undefined) contents.clientCa = await readFile(clientCa)
  return contents
}
