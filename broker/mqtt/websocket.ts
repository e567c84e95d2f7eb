import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Wire } from './wire.js'

export interface WebSocketOptions {
  /** `/` is taken beside it: MQTT.js's default. */
  path: string
  /** Empty: any. */
  origins: readonly string[]
  pingSeconds: number
  /** A browser whose page is not of this machine gets 403: with auth.dev it could speak for anybody. */
  loopbackOnly: boolean
  /** Largest frame from who has not signed in, and from who has: a client may write many packets, or one too large, as one frame. */
  maxFrameBytes: { before: number, after: number }
}

/** Subprotocols in the order of preference; none is needed. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1']
const TEXT_FRAME = 1003

/** MQTT in the binary frames of a WebSocket; frames may cut packets anywhere [MQTT-6.0.0-2]. */
class WebSocketWire implements Wire {
  constructor (private readonly ws: WebSocket, private readonly maxFrameBytes: number) {}
  signedIn (): void {
    // ws gives whole frames only, and has one limit for all connections: it is private, and read at each frame
    ;(this.ws as unknown as { _receiver: { _maxPayload: number } })._receiver._maxPayload = this.maxFrameBytes
  }

  write (bytes: Buffer, taken?: () => void): void {
    if (this.ws.readyState !== this.ws.OPEN) return
    this.ws.send(bytes, err => { if (err === undefined || err === null) taken?.() })
  }

  get writableLength (): number { return this.ws.bufferedAmount }
  pause (): void { this.ws.pause() }
  resume (): void { this.ws.resume() }
  destroySoon (): void { this.ws.close(1000) }
  destroy (): void { this.ws.terminate() }
}

/** What a listener does with a new connection. */
export type Accept = (wire: Wire, address: string) => { data (chunk: Buffer): void, wireClosed (): void }

/** Takes WebSocket upgrades of an HTTP server. Returns what stops its pings. */
export function acceptWebSockets (server: HttpServer, opts: WebSocketOptions, accept: Accept): () => void {
  const wss = new WebSocketServer({
    noServer: true, perMessageDeflate: false, maxPayload: opts.maxFrameBytes.before,
    handleProtocols: offered => SUBPROTOCOLS.find(p => offered.has(p)) ?? false
  })
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    const refusal = refused(req, opts)
    if (refusal === null) { wss.handleUpgrade(req, socket, head, ws => { carry(ws, req, new WebSocketWire(ws, opts.maxFrameBytes.after), accept) }); return }
    socket.on('error', () => {})
    socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  })
  if (opts.pingSeconds === 0) return () => {}
  const timer = setInterval(() => { for (const ws of wss.clients) if (ws.readyState === ws.OPEN && ws.bufferedAmount === 0) ws.ping() }, opts.pingSeconds * 1000)
  timer.unref()
  return () => clearInterval(timer)
}

function carry (ws: WebSocket, { socket }: IncomingMessage, wire: Wire, accept: Accept): void {
  socket.setNoDelay(true)
  const c = accept(wire, plainAddress(socket.remoteAddress))
  ws.on('message', (data: Buffer, isBinary: boolean) => {
    if (isBinary) c.data(data)
    else ws.close(TEXT_FRAME, 'MQTT is carried in binary frames') // [MQTT-6.0.0-1]
  })
  ws.on('error', () => { ws.terminate() })
  ws.on('close', () => c.wireClosed())
}

function refused (req: IncomingMessage, opts: WebSocketOptions): string | null {
  const path = (req.url ?? '/').split('?')[0]
  if (path !== opts.path && path !== '/') return '404 Not Found'
  const origin = req.headers.origin
  if (origin === undefined) return null
  if (opts.loopbackOnly && !isThisMachine(origin)) return '403 Forbidden'
  return opts.origins.length === 0 || opts.origins.includes(origin) ? null : '403 Forbidden'
}

function isThisMachine (origin: string): boolean {
  const host = URL.canParse(origin) ? new URL(origin).hostname : ''
  return host === 'localhost' || host === '[::1]' || /^127(\.\d+){3}$/.test(host)
}

/** IPv4 addresses as they are written, also on a socket of both families. */
export const plainAddress = (a: string | undefined): string => a === undefined ? '' : a.startsWith('::ffff:') ? a.slice(7) : a
