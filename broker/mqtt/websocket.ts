import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Connection } from './connection.js'
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
const TOO_LARGE = 1009
/** Of a masked ping or pong, beside its payload. */
const CONTROL_BYTES = 6
/** What the kernel gives at once: that much may belong to the next frame. */
const CHUNK_BYTES = 65_536

/** MQTT in the binary frames of a WebSocket; frames may cut packets anywhere [MQTT-6.0.0-2]. */
class WebSocketWire implements Wire {
  /** Bytes of a message that is not whole. ws gives whole ones only. */
  pendingBytes = 0
  constructor (private readonly ws: WebSocket, private maxMessageBytes: number, private readonly maxFrameBytes: number) {}
  signedIn (): void { this.maxMessageBytes = this.maxFrameBytes }

  /** `whole`: a message of that many bytes, else such as no message is made of yet. */
  isTooLarge (bytes: number, whole: boolean): boolean { return bytes > this.maxMessageBytes + (whole ? 0 : CHUNK_BYTES) }

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

/** What a listener does with a new connection; null: it does not take it. */
export type Accept = (wire: Wire, socket: Socket) => Connection | null

/** Takes WebSocket upgrades of an HTTP server. Returns what stops its pings. */
export function acceptWebSockets (server: HttpServer, opts: WebSocketOptions, accept: Accept): () => void {
  const wss = new WebSocketServer({
    noServer: true, perMessageDeflate: false, maxPayload: opts.maxFrameBytes.after,
    handleProtocols: offered => SUBPROTOCOLS.find(p => offered.has(p)) ?? false
  })
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    const refusal = refused(req, opts)
    if (refusal === null) { wss.handleUpgrade(req, socket, head, ws => { carry(ws, req, opts, accept) }); return }
    socket.on('error', () => {})
    socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  })
  if (opts.pingSeconds === 0) return () => {}
  const timer = setInterval(() => { for (const ws of wss.clients) if (ws.readyState === ws.OPEN && ws.bufferedAmount === 0) ws.ping() }, opts.pingSeconds * 1000)
  timer.unref()
  return () => clearInterval(timer)
}

function carry (ws: WebSocket, { socket }: IncomingMessage, { maxFrameBytes }: WebSocketOptions, accept: Accept): void {
  ws.on('error', () => { ws.terminate() })
  const wire = new WebSocketWire(ws, maxFrameBytes.before, maxFrameBytes.after)
  const c = accept(wire, socket)
  if (c === null) { ws.terminate(); return }
  const end = (code: number, why: string): void => {
    ws.close(code, why)
    c.close('broker')
  }
  socket.prependListener('data', (chunk: Buffer) => {
    wire.pendingBytes += chunk.length
    c.stirred()
    if (wire.isTooLarge(wire.pendingBytes, false)) end(TOO_LARGE, '')
  })
  const control = (payload: Buffer): void => {
    wire.pendingBytes = Math.max(0, wire.pendingBytes - CONTROL_BYTES - payload.length)
    c.stirred()
  }
  ws.on('ping', control)
  ws.on('pong', control)
  ws.on('message', (data: Buffer, isBinary: boolean) => {
    wire.pendingBytes = 0
    if (!isBinary) end(TEXT_FRAME, 'MQTT is carried in binary frames') // [MQTT-6.0.0-1]
    else if (wire.isTooLarge(data.length, true)) end(TOO_LARGE, '')
    else c.data(data)
  })
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
