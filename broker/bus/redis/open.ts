import { randomBytes } from 'node:crypto'
import type { NodeId } from '../../ports/bus.js'
import type { Clock } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import { RedisBus } from './bus.js'
import { connection, parseAddress } from './connections.js'

export interface RedisOptions {
  url: string
  keyPrefix: string
  clock: Clock
  logger: Logger
  count: { published: number, dropped: number }
}

/** @throws Error, a sentence for the operator without a secret in it */
export async function openRedis ({ url, keyPrefix, ...rest }: RedisOptions): Promise<{ bus: RedisBus }> {
  const address = parseAddress(url)
  const [publisher, subscriber] = [connection(address, { pipelined: true }), connection(address, { pipelined: false })]
  let last: Error | null = null
  for (const c of [publisher, subscriber]) c.on('error', (e: Error) => { last = e }) // which says more than that the connection is closed
  const bus = new RedisBus({ ...rest, node: randomBytes(8).toString('base64url') as NodeId, prefix: keyPrefix, publisher, subscriber, sharded: address.kind === 'cluster' })
  try {
    await bus.connect()
  } catch (e) {
    await bus.close()
    throw new Error(`Redis at ${address.nodes.map(n => `${n.host}:${n.port}`).join(', ')} cannot be used: ${reason(last ?? e as Error)}. Check redis.url`)
  }
  return { bus }
}

function reason (e: Error): string {
  if (/WRONGPASS|NOAUTH|invalid username-password|ERR AUTH/.test(e.message)) return 'it refuses the user or the password'
  return e.message
}
