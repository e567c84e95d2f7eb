import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { isUserId } from '../domain/ids.js'
import { isFilter } from '../domain/topics.js'
import { readAuthorities } from './authority.js'
import { whyUnreadable } from './read-file.js'
import type { Config, ListenerConfig } from './schema.js'

/** Tells one mistake: dotted path, and what is wrong there. */
export type Report = (path: string, message: string) => void

/** Values that failed the schema are simply absent here, although `Config` says otherwise. */
type Loose<T> = T extends readonly (infer I)[] ? (Loose<I> | undefined)[] : T extends object ? { [K in keyof T]?: Loose<T[K]> } : T | undefined

/** Whether an address is reached from this machine alone. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/i.test(host)

/** An address as it is written before a port. */
export const showAddress = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

/** Checks what the schema alone cannot say: files, keys that need each other, ports, sign-in by name alone. */
export function checkTogether (config: Config, devByDefault: boolean, report: Report): void {
  const loose = config as Loose<Config>
  loose.listeners?.forEach((listener, i) => { if (listener !== undefined) checkListener(listener, `listeners[${i}]`, report) })
  checkPorts(config, report)
  if (loose.auth?.dev === true) checkDev(config, devByDefault, report)
  if (loose.redis !== undefined && loose.mongo === undefined) report('redis', 'carries news between nodes, which keep their messages in MongoDB: set mongo.url, or leave redis out')
  const { keepAliveMinSeconds: min = 0, keepAliveMaxSeconds: max = 0 } = loose.limits ?? {}
  if (max > 0 && min > max) report('limits.keepAliveMinSeconds', `is ${min}, more than limits.keepAliveMaxSeconds (${max})`)
  loose.acl?.forEach((rule, i) => {
    if (rule === undefined) return
    if ((rule.allow === undefined) === (rule.deny === undefined)) report(`acl[${i}]`, 'needs either allow or deny')
    if (rule.topic !== undefined && !isFilter(rule.topic)) report(`acl[${i}].topic`, 'is no topic filter: # stands alone on the last level, + alone on any')
  })
  const anonymous = loose.auth?.anonymous
  if (anonymous !== undefined && !isUserId(anonymous)) report('auth.anonymous', 'is not a user id: 1 to 128 of A-Z a-z 0-9 . _ - @ = | : ~ !')
  readable(loose.auth?.jwt?.publicKeyFile, 'auth.jwt.publicKeyFile', report)
  readable(loose.auth?.static?.file, 'auth.static.file', report)
  checkUrl(loose.auth?.jwt?.jwksUrl, 'auth.jwt.jwksUrl', report)
  checkUrl(loose.auth?.http?.url, 'auth.http.url', report)
  checkCertificateSource(loose, report)
  checkFolder(loose.dataDir, 'dataDir', report)
}

function checkUrl (url: string | undefined, path: string, report: Report): void {
  if (url !== undefined && !URL.canParse(url)) report(path, 'is no URL')
}

function checkCertificateSource ({ auth, listeners }: Loose<Config>, report: Report): void {
  const from = auth?.mtls?.userFrom
  if (from === undefined) return
  const has = (key: 'clientCa' | 'proxyProtocol'): boolean => listeners?.some(l => l?.[key] !== undefined && l[key] !== false) === true
  if (from === 'proxy-cn' && !has('proxyProtocol')) report('auth.mtls.userFrom', 'proxy-cn needs a listener with proxyProtocol')
  if (from !== 'proxy-cn' && !has('clientCa')) report('auth.mtls', 'needs a listener with clientCa, the authority that client certificates are checked with')
}

function checkFolder (folder: string | undefined, path: string, report: Report): void {
  if (folder === undefined) return
  try {
    if (!statSync(folder).isDirectory()) report(path, 'is a file, not a folder')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return // made at the start
    report(path, code === 'ENOTDIR' ? 'lies below a file, not a folder' : whyUnreadable(error))
  }
}

function checkListener (listener: Loose<ListenerConfig>, path: string, report: Report): void {
  const { protocol, cert, key, clientCa, clientCert } = listener
  if (protocol === 'mqtts' || protocol === 'wss') {
    if (cert === undefined) report(`${path}.cert`, `is required for ${protocol}`)
    if (key === undefined) report(`${path}.key`, `is required for ${protocol}`)
  }
  if (clientCert !== undefined && clientCa === undefined) report(`${path}.clientCert`, 'needs clientCa, the authority to check with')
  const chain = readable(cert, `${path}.cert`, report)
  const secret = readable(key, `${path}.key`, report)
  const authorities = readable(clientCa, `${path}.clientCa`, report)
  parsed(authorities, `${path}.clientCa`, 'holds no certificate (PEM), or one that is cut off', readAuthorities, report)
  const certificate = parsed(chain, `${path}.cert`, 'holds no certificate (PEM)', (pem) => new X509Certificate(pem), report)
  const privateKey = parsed(secret, `${path}.key`, 'holds no private key (PEM, without a passphrase)', createPrivateKey, report)
  if (certificate !== undefined && privateKey !== undefined && !certificate.checkPrivateKey(privateKey)) report(`${path}.key`, 'does not belong to the certificate in cert')
}

function parsed<T> (pem: Buffer | undefined, path: string, message: string, parse: (pem: Buffer) => T, report: Report): T | undefined {
  if (pem === undefined) return undefined
  try {
    return parse(pem)
  } catch {
    report(path, message)
    return undefined
  }
}

function readable (file: string | undefined, path: string, report: Report): Buffer | undefined {
  if (file === undefined) return undefined
  try {
    return readFileSync(file)
  } catch (error) {
    report(path, `${file}: ${whyUnreadable(error)}`)
    return undefined
  }
}

interface Bound { path: string, host: string, port: number }

/** Every address that the configuration binds. */
function boundAddresses (config: Config): Bound[] {
  const all: { path: string, at: { host?: string, port?: number } | undefined }[] = [
    ...config.listeners.map((at, i) => ({ path: `listeners[${i}]`, at: at as Loose<ListenerConfig> | undefined })),
    { path: 'http', at: config.http },
    { path: 'admin', at: config.admin },
  ]
  return all.flatMap(({ path, at }) => at?.host !== undefined && at.port !== undefined ? [{ path, host: at.host, port: at.port }] : [])
}

const isAll = (host: string): boolean => host === '::' || host === '0.0.0.0'
// Node binds :: for both families, so it also takes every IPv4 address.
const overlap = (a: string, b: string): boolean =>
  a.toLowerCase() === b.toLowerCase() || a === '::' || b === '::' || (isAll(a) && !b.includes(':')) || (isAll(b) && !a.includes(':'))

function checkPorts (config: Config, report: Report): void {
  const seen: Bound[] = []
  for (const bound of boundAddresses(config)) {
    const earlier = seen.find((other) => bound.port !== 0 && other.port === bound.port && overlap(other.host, bound.host))
    if (earlier !== undefined) report(`${bound.path}.port`, `${showAddress(bound.host, bound.port)} is already taken by ${earlier.path}`)
    seen.push(bound)
  }
}

function checkDev (config: Config, byDefault: boolean, report: Report): void {
  const open = boundAddresses(config).filter(({ host }) => !isLoopback(host))
  if (open.length === 0) return
  const where = open.map(({ path, host, port }) => `${path} (${showAddress(host, port)})`).join(', ')
  const does = byDefault ? 'nothing is set, so a user name alone would sign in' : 'a user name alone signs in'
  const instead = `${byDefault ? 'S' : 'Leave it out and s'}et auth.jwt (\`jwt: {}\` for a generated secret), or listen on 127.0.0.1 only`
  report(byDefault ? 'auth' : 'auth.dev', `${does}, which is refused while other machines can connect: ${where}. ${instead}`)
}
