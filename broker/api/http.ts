import fastify, { type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import type { Logger } from '../ports/logger.js'

/** A part of the node and whether it works now. */
export interface Part { name: string, ok: boolean, why?: string }

export interface HttpDeps {
  parts (): Part[]
  metrics: Registry
  logger: Logger
}

/** Health and metrics: `/healthz` (alive), `/readyz` (503 and which part is not), `/metrics` (Prometheus). */
export function httpApi (deps: HttpDeps): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true })
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
    return await reply.code(status).send({ error: { code: status >= 500 ? 'internal' : 'bad-request', message: status >= 500 ? 'the broker failed to do this; its log says why' : (err as Error).message } })
  })
  app.setNotFoundHandler(async (_req, reply) => await reply.code(404).send({ error: { code: 'not-found', message: 'there is nothing at this path: /healthz, /readyz, /metrics' } }))
  return app
}
