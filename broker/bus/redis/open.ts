import { randomBytes } from 'node:crypto'
import type { NodeId } from '../../ports/bus.js'
import type { Clock } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import { RedisBus } from './bus.js'
import { connection, parseAddress } from './connections.js'
import { RedisPresence } from './presence.js'

export interface RedisOptions {
  url: string
  keyPrefix: string
  /** Default: a new one. */
  node?: NodeId
  clock: Clock
  logger: Logger
  count: { published: number, dropped: number }
}

/** @throws Error, a sentence for the operator without a secret in it */
export async function openRedis ({ url, keyPrefix, node = randomBytes(8).toString('base64url') as NodeId, ...rest }: RedisOptions): Promise<{ bus: RedisBus, presence: RedisPresence }> {
  const address = parseAddress(url)
  const [publisher, subscriber] = [connection(address, { pipelined: true }), connection(address, { pipelined: false })]
  let last: Error | null = null
  for (const c of [publisher, subscriber]) c.on('error', (e: Error) => { last = e }) // which says more than that the connection is closed
  const bus = new RedisBus({ ...rest, node, prefix: keyPrefix, publisher, subscriber, sharded: address.kind === 'cluster' })
  const presence = new RedisPresence({ ...rest, node, prefix: keyPrefix, redis: publisher })
  try {
    await bus.connect()
    await presence.start()
  } catch (e) {
    await bus.close()
    throw new Error(`Redis at ${address.nodes.map(n => `${n.host}:${n.port}`).join(', ')} cannot be used: ${reason(last ?? e as Error)}. Check redis.url`)
  }
  return { bus, presence }
}

function reason (e: Error): string {
  if (/WRONGPASS|NOAUTH|invalid username-password|ERR AUTH/.test(e.message)) return 'it refuses the user or the password'
  return e.message
}
