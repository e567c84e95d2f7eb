import { openRedis } from './bus/redis/open.js'
import { localBus } from './bus/local.js'
import type { Config } from './config/schema.js'
import type { Bus } from './ports/bus.js'
import type { Clock } from './ports/clock.js'
import type { SharedLog } from './ports/log.js'
import type { Logger } from './ports/logger.js'
import type { Stores } from './ports/stores.js'
import { openLmdb } from './stores/lmdb/open.js'
import { openMongo } from './stores/mongo/open.js'

/** What a node stands on. */
export interface Base {
  stores: Stores
  bus: Bus
  /** Null: the node is alone. */
  shared: SharedLog | null
}

/** One process with its own store, or one node of several. @throws Error, a sentence for the operator */
export async function openBase (config: Config, logger: Logger, clock: Clock, count: { published: number, dropped: number }): Promise<Base> {
  if (config.mongo === undefined || config.redis === undefined) {
    return { stores: await openLmdb(config.dataDir, { log: logger, now: () => clock.now() }), bus: localBus, shared: null }
  }
  const local = await openLmdb(config.dataDir, { log: logger, now: () => clock.now() })
  const mongo = await openMongo(config.mongo.url!, { log: logger })
  try {
    const { bus } = await openRedis({ url: config.redis.url!, keyPrefix: config.redis.keyPrefix, clock, logger, count })
    return { stores: { ...mongo, topics: local.topics, close: async () => { await mongo.close(); await local.close() } }, bus, shared: mongo.log }
  } catch (e) {
    await mongo.close()
    await local.close()
    throw e
  }
}
