import type { NodeId } from '../../ports/bus.js'
import type { Logger } from '../../ports/logger.js'
import { guarded } from './calls.js'
import type { Database } from './database.js'

/** A node says so often that it uses the database; not heard of for so long, it is gone. By the server's clock. */
const [BEAT_MS, GONE_MS] = [5000, 15_000]

/**
 * The nodes that use a database. Without a bus there may be one only: a second one would not hear of what the first
 * appends. One that died is remembered for 15 s.
 */
export class Nodes {
  private timer: NodeJS.Timeout | undefined
  private constructor (readonly id: NodeId, private readonly db: Database, private readonly hasBus: boolean, private readonly logger: Logger, private readonly importing: boolean) {}

  /** @throws Error, a sentence for the operator, when this one cannot run beside those that are there */
  static async join (id: NodeId, db: Database, hasBus: boolean, logger: Logger, { importing = false } = {}): Promise<Nodes> {
    const node = new Nodes(id, db, hasBus, logger, importing)
    await node.beat()
    const others = await guarded(db.nodes.find({ _id: { $ne: node.id }, $expr: { $gt: ['$at', { $subtract: ['$$NOW', GONE_MS] }] } }).toArray())
    const alone = others.some(o => !o.bus)
    if (others.length > 0 && (alone || !hasBus)) {
      await node.leave()
      if (importing) throw new Error('a node, or another import, uses this MongoDB database: import while none does (one that was killed is remembered for 15 s)')
      if (others.some(o => o.importing)) throw new Error('`parley import` writes to this MongoDB database: start when it has ended (one that was killed is remembered for 15 s)')
      throw new Error(hasBus
        ? 'a node that has no Redis runs on this MongoDB database: it would not hear of what this one stores. Give it redis.url too, or stop it (one that was killed is remembered for 15 s)'
        : 'another node runs on this MongoDB database: several need Redis to hear of each other. Set redis.url on all of them, or stop the other one (one that was killed is remembered for 15 s)')
    }
    node.timer = setInterval(() => {
      node.beat().catch((err: unknown) => { logger.debug({ err }, 'MongoDB: the node could not say that it is there') })
    }, BEAT_MS).unref()
    return node
  }

  /** Those that were heard of lately, and this one. */
  async alive (): Promise<Set<NodeId>> {
    const found = await this.db.nodes.find({ $expr: { $gt: ['$at', { $subtract: ['$$NOW', GONE_MS] }] } }, { projection: { _id: 1 } }).toArray()
    return new Set([this.id, ...found.map(n => n._id as NodeId)])
  }

  private async beat (): Promise<void> {
    await guarded(this.db.nodes.updateOne({ _id: this.id }, [{ $set: { bus: this.hasBus, importing: this.importing, at: '$$NOW' } }], { upsert: true }))
  }

  /** Never rejects. */
  async leave (): Promise<void> {
    clearInterval(this.timer)
    await guarded(this.db.nodes.deleteMany({ $or: [{ _id: this.id }, { $expr: { $lt: ['$at', { $subtract: ['$$NOW', 10 * GONE_MS] }] } }] })).catch((err: unknown) => {
      this.logger.debug({ err }, 'MongoDB: the node could not sign off')
    })
  }
}
