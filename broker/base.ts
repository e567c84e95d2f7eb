import { localBus } from './bus/local.js'
import { openRedis } from './bus/redis/open.js'
import type { Config } from './config/schema.js'
import type { Bus } from './ports/bus.js'
import type { Clock } from './ports/clock.js'
import type { SharedLog } from './ports/log.js'
import type { Logger } from './ports/logger.js'
import type { Presence } from './ports/presence.js'
import type { Stores } from './ports/stores.js'
import { openLmdb } from './stores/lmdb/open.js'
import { openMongo } from './stores/mongo/open.js'

/** What a node stands on. */
export interface Base {
  stores: Stores
  bus: Bus
  /** Null: the node is alone. */
  shared: { log: SharedLog, presence: Presence & { close (): Promise<void> } } | null
}

/** One process with its own store, or one node of several. @throws Error, a sentence for the operator */
export async function openBase (config: Config, logger: Logger, clock: Clock, count: { published: number, dropped: number }): Promise<Base> {
  const local = await openLmdb(config.dataDir, { log: logger, now: () => clock.now() })
  if (config.mongo === undefined) return { stores: local, bus: localBus, shared: null }
  try {
    const mongo = await openMongo(config.mongo.url!, { log: logger, hasBus: config.redis !== undefined })
    const stores: Stores = { ...mongo, topics: local.topics, close: async () => { await mongo.close(); await local.close() } }
    if (config.redis === undefined) return { stores, bus: localBus, shared: null }
    try {
      const { bus, presence } = await openRedis({ url: config.redis.url!, keyPrefix: config.redis.keyPrefix, clock, logger, count })
      return { stores, bus, shared: { log: mongo.log, presence } }
    } catch (e) {
      await mongo.close()
      throw e
    }
  } catch (e) {
    await local.close()
    throw e
  }
}
