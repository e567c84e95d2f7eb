import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import type { ClientCertificate } from '../domain/identity.js'
import type { Timer } from '../ports/clock.js'
import type { Logger } from '../ports/logger.js'
import { peerOf, plainAddress } from './address.js'
import type { Certificate } from './certificate.js'
import { clientCertificate } from './client-certificate.js'
import { Connection, MAX_SKIP_BYTES, type MqttWorld } from './connection.js'
import { type Newcomer, Newcomers } from './newcomers.js'
import { takeProxyHeader } from './proxied.js'
import { Seldom } from './seldom.js'
import { acceptWebSockets, type WebSocketOptions } from './websocket.js'
import type { Origin, Wire } from './wire.js'

/** How connections come in. */
export interface EntranceOptions {
  proxyProtocol: boolean
  /** TLS, with that certificate. */
  certificate: Certificate | null
  /** With an authority for client certificates. */
  clientCert: 'required' | 'optional' | undefined
  /** MQTT in WebSockets. */
  webSocket: Pick<WebSocketOptions, 'path' | 'origins' | 'pingSeconds'> | null
}

/** Why a socket was closed before it was a connection. */
export type TurnedAway = 'crowded' | 'guessing' | 'descriptors' | 'proxy-header' | 'tls' | 'certificate' | 'slow'

export interface EntranceDeps {
  logger: Logger
  /** A page that is not of this machine is turned away. */
  loopbackOnly: boolean
  /** False: too many guesses came from that address; it is gone before TLS or HTTP begin, where the cost is. */
  admits (address: string): boolean
  opened (): void
  closed (): void
  turnedAway (why: TurnedAway): void
}

/** From the socket's opening to the end of what comes before MQTT: PROXY header, TLS, WebSocket upgrade. */
const HANDSHAKES_TIMEOUT_MS = 10_000
/** From there to a whole CONNECT packet. */
const CONNECT_TIMEOUT_MS = 10_000
const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'

/** One listener's way in: what happens to a socket from accept to sign-in, one stage after the other. */
export class Entrance {
  private readonly guests = new Map<string, Guest>()
  private readonly newcomers: Newcomers
  private readonly noHeader: Seldom
  private proxies = false
  private readonly stages: ((socket: Socket, guest: Guest) => void)[] = []
  private readonly stops: (() => void)[] = []

  constructor (private readonly name: string, private readonly world: MqttWorld, private readonly deps: EntranceDeps) {
    const full = new Seldom(world.clock, fields => { deps.logger.warn({ listener: name, ...fields }, 'too many sockets have not signed in; the address with most of them gives way') })
    this.newcomers = new Newcomers(guest => {
      deps.turnedAway('crowded')
      full.happened({ address: (guest as Guest).origin.address })
    })
    this.noHeader = new Seldom(world.clock, fields => { deps.logger.info({ listener: name, ...fields }, 'closed for want of a PROXY header, which proxyProtocol requires') })
  }

  /** Builds the stages of a listener of our own. Returns its TLS server, if it has one: whose certificate may be changed. */
  build (o: EntranceOptions): TlsServer | null {
    const tls = o.certificate === null ? null : this.tlsServer(o.certificate, o.clientCert, o.webSocket !== null)
    this.proxies = o.proxyProtocol
    if (o.proxyProtocol) this.stages.push((socket, guest) => { this.proxied(socket, guest) })
    if (tls !== null) this.stages.push(socket => { tls.emit('connection', socket) })
    if (o.webSocket === null) this.stages.push((socket, guest) => { this.carry(socket, guest) })
    else {
      const http = createHttpServer(notFound)
      this.webSockets(http, o.webSocket, socket => this.guests.get(peerOf(socket)) ?? null)
      this.stages.push(socket => { http.emit('connection', socket) })
    }
    return tls
  }

  /** MQTT over WebSocket at `/mqtt` of an HTTP server that is not ours. */
  share (server: HttpServer): void {
    this.webSockets(server, { path: '/mqtt', origins: [], pingSeconds: 45 }, socket => this.enter(socket))
  }

  /** A socket was accepted. */
  accept (socket: Socket): void {
    socket.on('error', () => { socket.destroy() }) // reset: that it ends is all
    const guest = this.enter(socket)
    if (guest !== null) this.next(socket, guest)
  }

  /** Null: it was turned away, or is gone. */
  private enter (socket: Socket): Guest | null {
    const guest = new Guest(socket, { address: plainAddress(socket.remoteAddress), listener: this.name })
    const peer = peerOf(socket)
    this.guests.set(peer, guest)
    this.deps.opened()
    guest.deadline = this.world.clock.after(HANDSHAKES_TIMEOUT_MS, () => {
      this.deps.turnedAway('slow')
      socket.destroy()
    })
    socket.once('close', () => {
      guest.deadline?.cancel()
      if (this.guests.get(peer) === guest) this.guests.delete(peer)
      this.newcomers.leave(guest)
      this.deps.closed()
    })
    this.newcomers.enter(guest, guest.origin.address)
    if (!this.proxies) this.admit(socket, guest)
    return socket.destroyed ? null : guest
  }

  private admit (socket: Socket, guest: Guest): void {
    if (this.deps.admits(guest.origin.address)) return
    this.deps.turnedAway('guessing')
    socket.destroy()
  }

  private next (socket: Socket, guest: Guest): void { this.stages[guest.stage++]!(socket, guest) }

  private proxied (socket: Socket, guest: Guest): void {
    takeProxyHeader(socket, header => {
      if (header instanceof Error) {
        this.deps.turnedAway('proxy-header')
        this.noHeader.happened({ address: guest.origin.address, why: header.message })
        socket.destroy()
        return
      }
      if (header.commonName !== undefined) guest.origin.proxyCommonName = header.commonName
      if (header.address !== undefined) {
        guest.origin.address = header.address
        this.newcomers.enter(guest, header.address)
      }
      this.admit(socket, guest)
      if (!socket.destroyed) this.next(socket, guest)
    })
  }

  private tlsServer (certificate: Certificate, clientCert: 'required' | 'optional' | undefined, http: boolean): TlsServer {
    const server = createTlsServer({
      ...certificate.options(),
      ALPNProtocols: http ? ['http/1.1', 'mqtt'] : ['mqtt'],
      handshakeTimeout: 0, // what comes before MQTT has one limit
      requestCert: clientCert !== undefined,
      rejectUnauthorized: clientCert === 'required'
    })
    server.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => { socket.destroy() })
      const guest = this.guests.get(peerOf(socket))
      if (guest === undefined || !this.identified(socket, guest, clientCert)) socket.destroy()
      else this.next(socket, guest)
    })
    server.on('tlsClientError', (err: NodeJS.ErrnoException, socket: TLSSocket) => { this.failed(err, socket) })
    return server
  }

  /** Takes whom the client's certificate names. False: it does not stand. */
  private identified (socket: TLSSocket, guest: Guest, clientCert: 'required' | 'optional' | undefined): boolean {
    if (clientCert === undefined) return true
    let named: ClientCertificate | null
    try { named = clientCertificate(socket, this.world.clock.now()) } catch (err) {
      this.refused(guest.origin.address, (err as Error).message, { subject: socket.getPeerCertificate().subject })
      return false
    }
    if (named !== null) guest.origin.certificate = named
    else if (clientCert === 'required') {
      this.refused(guest.origin.address, NO_CERTIFICATE)
      return false
    }
    return true
  }

  /** A handshake that came to nothing: a port scan, a plain client on the TLS port, a certificate that does not stand. */
  private failed (err: NodeJS.ErrnoException, socket: TLSSocket): void {
    // when Node has closed it the address is known only by the socket below, which nothing public leads to
    const below = (socket as { _parent?: Socket | null })._parent ?? socket
    const address = plainAddress(below.remoteAddress)
    if (err.code === NO_CERTIFICATE) this.refused(address, NO_CERTIFICATE)
    else if (typeof socket.authorizationError === 'string') this.refused(address, socket.authorizationError)
    else {
      if (err.code !== 'ECONNRESET') this.deps.turnedAway('tls')
      this.deps.logger.debug({ err, listener: this.name, address }, 'TLS handshake failed')
    }
  }

  private refused (address: string, why: string, more: object = {}): void {
    this.deps.turnedAway('certificate')
    this.deps.logger.info({ listener: this.name, address, why, ...more }, 'client certificate refused')
  }

  private webSockets (server: HttpServer, o: Pick<WebSocketOptions, 'path' | 'origins' | 'pingSeconds'>, guestOf: (socket: Socket) => Guest | null): void {
    this.stops.push(acceptWebSockets(server, { ...o, loopbackOnly: this.deps.loopbackOnly, maxFrameBytes: { before: this.world.maxPacketBytes, after: MAX_SKIP_BYTES } }, (wire, socket) => {
      const guest = guestOf(socket)
      return guest === null ? null : this.connection(wire, guest)
    }))
  }

  private carry (s: Socket, guest: Guest): void {
    const c = this.connection(s, guest)
    s.on('data', (chunk: Buffer) => c.data(chunk))
    s.on('end', () => { c.close('closed') })
    s.on('close', () => c.wireClosed())
  }

  private connection (wire: Wire, guest: Guest): Connection {
    guest.deadline?.cancel()
    const c = guest.connection = new Connection(wire, guest.origin, this.world, CONNECT_TIMEOUT_MS)
    c.leavesDoor = () => { this.newcomers.leave(guest) }
    return c
  }

  /** Who has not signed in is sent away. */
  stop (): void {
    for (const stop of this.stops) stop()
    this.newcomers.closeAll()
  }
}

/** One socket on its way in. */
class Guest implements Newcomer {
  stage = 0
  deadline: Timer | null = null
  connection: Connection | null = null
  constructor (private readonly socket: Socket, readonly origin: Origin) {}
  close (): void {
    if (this.connection === null) this.socket.destroy()
    else this.connection.close('broker')
  }
}

function notFound (_req: unknown, res: { writeHead (code: number, headers: Record<string, string>): { end (text: string): void } }): void {
  res.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket', connection: 'close' }).end('MQTT over WebSocket\n')
}
