import { randomBytes } from 'node:crypto'
import { localBus } from './bus/local.js'
import { openRedis } from './bus/redis/open.js'
import type { Config } from './config/schema.js'
import type { Bus, NodeId } from './ports/bus.js'
import type { Clock } from './ports/clock.js'
import type { SharedLog } from './ports/log.js'
import type { Logger } from './ports/logger.js'
import type { Presence } from './ports/presence.js'
import type { Stores } from './ports/stores.js'
import type { SharedTopicStore } from './ports/topics.js'
import { openLmdb } from './stores/lmdb/open.js'
import { openMongo } from './stores/mongo/open.js'

/** What a node stands on. */
export interface Base {
  stores: Stores
  bus: Bus
  /** Null: the node is alone. */
  shared: { log: SharedLog, topics: SharedTopicStore, presence: Presence & { close (): Promise<void> } } | null
}

/** One process with its own store, or one node of several. @throws Error, a sentence for the operator */
export async function openBase (config: Config, logger: Logger, clock: Clock, count: { published: number, dropped: number }): Promise<Base> {
  if (config.mongo === undefined) return { stores: await openLmdb(config.dataDir, { log: logger, now: () => clock.now() }), bus: localBus, shared: null }
  const node = randomBytes(8).toString('base64url') as NodeId
  const stores = await openMongo(config.mongo.url!, { log: logger, hasBus: config.redis !== undefined, node })
  if (config.redis === undefined) return { stores, bus: localBus, shared: null }
  try {
    const { bus, presence } = await openRedis({ url: config.redis.url!, keyPrefix: config.redis.keyPrefix, node, clock, logger, count })
    return { stores, bus, shared: { log: stores.log, topics: stores.topics, presence } }
  } catch (e) {
    await stores.close()
    throw e
  }
}
