import type { Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { Certificate } from './certificate.js'
import type { MqttWorld } from './connection.js'
import { Descriptors } from './descriptors.js'
import { Entrance, type EntranceDeps } from './entrance.js'
import { Seldom } from './seldom.js'

/** One address to listen on (docs/config.md, listeners). */
export interface ListenerOptions {
  protocol: 'mqtt' | 'mqtts' | 'ws' | 'wss'
  host: string
  port: number
  proxyProtocol: boolean
  path: string
  origins: readonly string[]
  pingSeconds: number
  cert?: string
  key?: string
  clientCa?: string
  clientCert?: 'required' | 'optional'
  /** A machine without this address goes on without it. */
  optional?: boolean
}

/**
 * TCP asks a peer that was silent this long whether it is still there, ten times in ten seconds: clients with
 * keep-alive 0 have nothing else. Longer than the keep-alive that phones are told to use, whose radio it would wake.
 */
const PROBE_AFTER_MS = 300_000

/** Opens the listeners and hands what they accept to their entrances. */
export class Listeners {
  readonly addresses: { protocol: string, url: string }[] = []
  private readonly servers: Server[] = []
  private readonly certificates: Certificate[] = []
  private readonly entrances: Entrance[] = []
  private readonly noRoom: Seldom
  private readonly acceptFailed: Seldom

  constructor (private readonly world: MqttWorld, private readonly deps: EntranceDeps, private readonly descriptors = new Descriptors()) {
    this.noRoom = new Seldom(world.clock, fields => { deps.logger.warn(fields, 'connections are turned away: the process may not open more files (ulimit -n)') })
    this.acceptFailed = new Seldom(world.clock, fields => { deps.logger.error(fields, 'connections cannot be accepted') })
  }

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
    const { cert, key, clientCa } = l
    const certificate = l.protocol === 'mqtts' || l.protocol === 'wss' ? await Certificate.open({ cert: cert!, key: key!, clientCa }, this.deps.logger) : null
    const name = `${l.protocol}:${l.port}`
    const entrance = new Entrance(name, this.world, this.deps)
    const webSocket = l.protocol === 'ws' || l.protocol === 'wss' ? l : null
    const tls = entrance.build({ proxyProtocol: l.proxyProtocol, certificate, clientCert: clientCa === undefined ? undefined : l.clientCert, webSocket })
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS }, socket => {
      if (this.descriptors.take(socket, 'mqtt')) { entrance.accept(socket); return }
      this.full(name)
      socket.destroy()
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: l.host, port: l.port, backlog: 4096, ipv6Only: l.host === '::1' }, () => { server.off('error', reject); resolve() })
    })
    server.on('error', err => { this.acceptFailed.happened({ err, listener: name }) })
    this.servers.push(server)
    this.entrances.push(entrance)
    if (certificate !== null) {
      certificate.watch(tls!)
      this.certificates.push(certificate)
    }
    const { port } = server.address() as AddressInfo
    const host = l.host.includes(':') ? `[${l.host}]` : l.host
    this.addresses.push({ protocol: l.protocol, url: `${l.protocol}://${host}:${port}${webSocket === null ? '' : l.path}` })
  }

  private full (listener: string): void {
    this.deps.turnedAway('descriptors')
    this.noRoom.happened({ listener })
  }

  /** MQTT over WebSocket at `/mqtt` of an HTTP server that is not ours. */
  share (server: HttpServer, name: string): void {
    server.on('connection', socket => {
      socket.setKeepAlive(true, PROBE_AFTER_MS)
      if (this.descriptors.take(socket, 'http')) return
      this.full(name)
      socket.destroy()
    })
    const entrance = new Entrance(name, this.world, this.deps)
    entrance.share(server)
    this.entrances.push(entrance)
  }

  /** Certificates and authorities, at SIGHUP. */
  async reload (): Promise<void> { await Promise.all(this.certificates.map(c => c.look())) }

  /** No new connections; those that are signed in stay. */
  stop (): void {
    for (const s of this.servers) s.close()
    for (const c of this.certificates) c.stop()
    for (const e of this.entrances) e.stop()
  }
}
