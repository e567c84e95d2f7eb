import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import type { Logger } from '../ports/logger.js'
import { Certificate } from './certificate.js'
import { Connection, MAX_SKIP_BYTES, type MqttWorld } from './connection.js'
import { type Accept, acceptWebSockets, plainAddress } from './websocket.js'
import type { Wire } from './wire.js'

/** One address to listen on (docs/config.md, listeners). */
export interface ListenerOptions {
  protocol: 'mqtt' | 'mqtts' | 'ws' | 'wss'
  host: string
  port: number
  path: string
  origins: readonly string[]
  pingSeconds: number
  cert?: string
  key?: string
  /** A machine without this address goes on without it. */
  optional?: boolean
}

/** From the socket's opening to a CONNECT packet. */
const CONNECT_TIMEOUT_MS = 10_000
/** Sockets that have not signed in, of one listener; more are closed at once. */
const MAX_UNKNOWN = 10_000

/** Opens the listeners and makes connections of their sockets. */
export class Listeners {
  readonly addresses: { protocol: string, url: string }[] = []
  private readonly servers: Server[] = []
  private readonly certificates: Certificate[] = []
  private readonly stops: (() => void)[] = []

  constructor (private readonly world: MqttWorld, private readonly deps: { logger: Logger, loopbackOnly: boolean, admits (address: string): boolean, opened (): void, closed (): void }) {}

  /** @throws Error of the first one that cannot listen */
  async open (all: readonly ListenerOptions[]): Promise<void> {
    for (const l of all) {
      try { await this.listen(l) } catch (err) {
        const code = (err as NodeJS.ErrnoException).code
        if (l.optional !== true || (code !== 'EADDRNOTAVAIL' && code !== 'EAFNOSUPPORT')) throw err
      }
    }
  }

  private async listen (l: ListenerOptions): Promise<void> {
    const certificate = l.protocol === 'mqtts' || l.protocol === 'wss' ? await Certificate.open({ cert: l.cert!, key: l.key! }, this.deps.logger) : null
    const server = guarded(this.server(l, certificate), this.deps.admits)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: l.host, port: l.port, backlog: 4096, ipv6Only: l.host === '::1' }, () => { server.off('error', reject); resolve() })
    })
    server.on('error', err => { this.deps.logger.error({ err, listener: l.protocol }, 'a listener failed') })
    this.servers.push(server)
    if (certificate !== null) {
      certificate.watch(server as TlsServer)
      this.certificates.push(certificate)
    }
    const { port } = server.address() as AddressInfo
    const host = l.host.includes(':') ? `[${l.host}]` : l.host
    this.addresses.push({ protocol: l.protocol, url: `${l.protocol}://${host}:${port}${l.protocol.startsWith('ws') ? l.path : ''}` })
  }

  private server (l: ListenerOptions, certificate: Certificate | null): Server {
    const accept = this.acceptor(`${l.protocol}:${l.port}`)
    const socket = (s: Socket): void => { carry(s, accept) }
    switch (l.protocol) {
      case 'mqtt': return createServer({ noDelay: true }, socket)
      case 'mqtts': return quiet(createTlsServer({ ...certificate!.options(), noDelay: true }, socket), this.deps.logger)
      case 'ws': return this.webSockets(createHttpServer(notFound), l, accept)
      case 'wss': return quiet(this.webSockets(createHttpsServer(certificate!.options(), notFound), l, accept), this.deps.logger)
    }
  }

  /** MQTT over WebSocket at `/mqtt` of an HTTP server that is not ours. */
  share (server: HttpServer, name: string): void {
    this.webSockets(server, { path: '/mqtt', origins: [], pingSeconds: 45 }, this.acceptor(name))
  }

  private webSockets<S extends Server> (server: S, l: Pick<ListenerOptions, 'path' | 'origins' | 'pingSeconds'>, accept: Accept): S {
    this.stops.push(acceptWebSockets(server as unknown as HttpServer, { ...l, loopbackOnly: this.deps.loopbackOnly, maxFrameBytes: { before: this.world.maxPacketBytes, after: MAX_SKIP_BYTES } }, accept))
    return server
  }

  private acceptor (listener: string): Accept {
    const unknown = new Set<Connection>()
    this.stops.push(() => { for (const c of unknown) c.close('broker') })
    return (wire: Wire, address: string) => {
      const c = new Connection(wire, { address, listener }, this.world, CONNECT_TIMEOUT_MS)
      this.deps.opened()
      unknown.add(c)
      c.signedIn = () => { unknown.delete(c) }
      c.gone = () => { unknown.delete(c); this.deps.closed() }
      if (unknown.size > MAX_UNKNOWN) c.close('broker')
      return c
    }
  }

  /** Certificates, at SIGHUP. */
  async reload (): Promise<void> { await Promise.all(this.certificates.map(c => c.look())) }

  /** No new connections; those that are signed in stay. */
  stop (): void {
    for (const s of this.servers) s.close()
    for (const c of this.certificates) c.stop()
    for (const stop of this.stops) stop()
  }
}

function carry (s: Socket, accept: Accept): void {
  const c = accept(s, plainAddress(s.remoteAddress))
  s.on('data', (chunk: Buffer) => c.data(chunk))
  s.on('error', () => { s.destroy() })
  s.on('end', () => { c.wireClosed(); s.destroySoon() })
  s.on('close', () => c.wireClosed())
}

/** Whom `admits` does not let in is gone before TLS or HTTP begin: that is where the cost is. */
function guarded<S extends Server> (server: S, admits: (address: string) => boolean): S {
  const begin = server.listeners('connection') as ((s: Socket) => void)[]
  server.removeAllListeners('connection')
  return server.on('connection', (s: Socket) => {
    if (!admits(plainAddress(s.remoteAddress))) { s.destroy(); return }
    for (const listener of begin) listener.call(server, s)
  })
}

/** A failed handshake (a port scan, a plain client on the TLS port) is the client's matter. */
function quiet<S extends Server> (server: S, logger: Logger): S {
  server.on('tlsClientError', (err: Error) => { logger.debug({ err }, 'TLS handshake failed') })
  return server
}

function notFound (_req: unknown, res: { writeHead (code: number, headers: Record<string, string>): { end (text: string): void } }): void {
  res.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' }).end('MQTT over WebSocket\n')
}
