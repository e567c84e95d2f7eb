import type { Socket } from 'node:net'
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Registry } from 'prom-client'
import type { Logger } from '../ports/logger.js'

/** A part of the node and whether it works now. */
export interface Part { name: string, ok: boolean, why?: string }

export interface HttpDeps {
  parts (): Part[]
  metrics: Registry
  logger: Logger
}

/** A request comes whole within this time, or its socket is closed with 408. */
const REQUEST_MS = 30_000
/** A socket on which nothing moves. */
const IDLE_MS = 60_000

/** Health and metrics: `/healthz` (alive), `/readyz` (503 and which part is not), `/metrics` (Prometheus). */
export function httpApi (deps: HttpDeps): FastifyInstance {
  const app = fastify({
    logger: false, forceCloseConnections: true, requestTimeout: REQUEST_MS, connectionTimeout: IDLE_MS,
    // what is no HTTP, or no URL, is refused before there is a route; fastify would say so in words of its own
    clientErrorHandler: (err, socket) => { refuse(socket, err) },
    frameworkErrors: (err, _req, reply: FastifyReply) => { void reply.code(err.statusCode ?? 400).send(badRequest(err.message)) }
  })
  app.get('/healthz', async () => ({ ok: true }))
  app.get('/readyz', async (_req, reply) => {
    const parts = deps.parts()
    const ok = parts.every(p => p.ok)
    return await reply.code(ok ? 200 : 503).send({ ok, parts })
  })
  app.get('/metrics', async (_req, reply) => await reply.type(deps.metrics.contentType).send(await deps.metrics.metrics()))
  app.setErrorHandler(async (err, _req, reply) => {
    const status = (err as { statusCode?: number }).statusCode ?? 500
    if (status >= 500) deps.logger.error({ err }, 'an HTTP request failed')
    return await reply.code(status).send(status >= 500 ? { error: { code: 'internal', message: 'the broker failed to do this; its log says why' } } : badRequest((err as Error).message))
  })
  app.setNotFoundHandler(async (_req, reply) => await reply.code(404).send({ error: { code: 'not-found', message: 'there is nothing at this path: /healthz, /readyz, /metrics' } }))
  return app
}

const badRequest = (message: string): object => ({ error: { code: 'bad-request', message } })

function refuse (socket: Socket, err: { code?: string }): void {
  if (!socket.writable) { socket.destroy(); return }
  const tooLong = err.code === 'HPE_HEADER_OVERFLOW'
  const body = JSON.stringify(badRequest(tooLong ? 'the headers are too large' : 'this is no HTTP request'))
  socket.end(`HTTP/1.1 ${tooLong ? '431 Request Header Fields Too Large' : '400 Bad Request'}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`)
}
