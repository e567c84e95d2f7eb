import { randomBytes } from 'node:crypto'
import { type Binary, MongoBulkWriteError } from 'mongodb'
import { ParleyError } from '../../domain/errors.js'
import type { SessionId } from '../../domain/ids.js'
import { unpackMessage } from '../../domain/message-bytes.js'
import type { TopicMessage, TopicSubscription } from '../../domain/topic-message.js'
import type { NodeId } from '../../ports/bus.js'
import type { QueuedMessage, QueueEnds, SharedTopicStore, StoredSession, StoredWill, TopicChange } from '../../ports/topics.js'
import { type Calls, isDuplicate, unavailable } from './calls.js'
import type { Database, TopicSessionDoc, TopicSubscriptionDoc, WillDoc } from './database.js'
import type { Nodes } from './nodes.js'
import { hashOf, TopicBatch } from './topic-batch.js'

interface Waiting { changes: readonly TopicChange[], resolve (): void, reject (e: unknown): void }

/** Of one batch. */
const [MOST_CHANGES, MOST_BYTES] = [2000, 4 << 20]
/** After a write whose outcome is unknown; doubled with each. */
const [RETRY_MS, MAX_RETRY_MS] = [20, 1000]
const NO_QUEUE: QueueEnds = { count: 0, last: 0 }

/**
 * Ordinary topics of several nodes. What comes while a batch is on its way makes the next one, so all changes of a node
 * take effect in their order, and many share one wait for the majority.
 */
export class MongoTopicStore implements SharedTopicStore {
  private readonly waiting: Waiting[] = []
  private running: Promise<void> | null = null
  /** The last call: who reads waits for it. */
  private last: Promise<void> = Promise.resolve()
  private closed = false
  private wake: (() => void) | null = null

  constructor (private readonly db: Database, private readonly calls: Calls, private readonly alive: Nodes) {}

  commit (changes: readonly TopicChange[]): Promise<void> {
    if (this.closed) return Promise.reject(unavailable('the store is closed'))
    const done = new Promise<void>((resolve, reject) => { this.waiting.push({ changes, resolve, reject }) })
    this.last = done.catch(() => {}) // it is told to who committed
    this.running ??= this.run()
    return done
  }

  private async run (): Promise<void> {
    await new Promise(resolve => { setImmediate(resolve) }) // what one turn of the event loop brings goes together
    while (this.waiting.length > 0) {
      const batch = new TopicBatch(this.alive.id)
      let n = 0
      while (n < this.waiting.length && batch.size < MOST_CHANGES && batch.bytes < MOST_BYTES && batch.takes(this.waiting[n]!.changes)) batch.add(this.waiting[n++]!.changes)
      const calls = this.waiting.splice(0, n)
      const failed = await this.write(batch)
      for (const c of calls) if (failed === null) c.resolve(); else c.reject(failed)
    }
    this.running = null // in the same turn in which nothing waited: who commits next begins anew
  }

  /** Again until it is stored; not null: it never will be. */
  private async write (batch: TopicBatch): Promise<unknown> {
    for (let tries = 0; ; tries++) {
      try {
        await this.calls.write(async () => { await batch.write(this.db) })
        return null
      } catch (e) {
        const known = isDuplicate(e) || (e instanceof MongoBulkWriteError && e.code === 11000)
        if (!known && !(e instanceof ParleyError && e.code === 'unavailable')) return e
        if (this.closed) return unavailable('the store was closed', e)
        await this.pause(Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(tries, 6)) * (0.5 + Math.random() / 2))
      }
    }
  }

  private async pause (ms: number): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, ms)
      this.wake = () => { clearTimeout(timer); resolve() }
    })
    this.wake = null
  }

  /** Once more tries what waits; what then is not stored is refused. */
  async close (): Promise<void> {
    this.closed = true
    this.wake?.()
    await this.running
  }

  // ---- reads

  async sessions (): Promise<StoredSession[]> {
    const { topicSessions, topicSubscriptions } = this.db
    return await this.calls.read(async () => {
      const [sessions, subscriptions, ends] = await Promise.all([topicSessions.find().toArray(), topicSubscriptions.find().toArray(), this.ends({})])
      const all = new Map(sessions.map(s => [s._id, toSession(s, ends)]))
      for (const s of subscriptions) all.get(s.s)?.subscriptions.push(toSubscription(s))
      return [...all.values()]
    })
  }

  async session (session: SessionId): Promise<StoredSession | undefined> {
    await this.last
    const { topicSessions, topicSubscriptions } = this.db
    const [doc, subscriptions, ends] = await this.calls.read(() => Promise.all([topicSessions.findOne({ _id: session }), topicSubscriptions.find({ s: session }).toArray(), this.ends({ s: session })]))
    return doc === null ? undefined : { ...toSession(doc, ends), subscriptions: subscriptions.map(toSubscription) }
  }

  async queueEnds (sessions: readonly SessionId[]): Promise<Map<SessionId, QueueEnds>> {
    await this.last
    return await this.calls.read(() => this.ends({ s: { $in: [...sessions] as string[] } }))
  }

  private async ends (match: object): Promise<Map<SessionId, QueueEnds>> {
    const found = await this.db.topicQueue.aggregate<{ _id: SessionId } & QueueEnds>([{ $match: match }, { $group: { _id: '$s', count: { $sum: 1 }, last: { $max: '$o' } } }]).toArray()
    return new Map(found.map(({ _id, count, last }) => [_id, { count, last }]))
  }

  async retainedTopics (): Promise<{ topic: string, expiresMs: number }[]> {
    const found = await this.calls.read(() => this.db.retained.find({ m: { $exists: true } }, { projection: { t: 1, e: 1 } }).toArray())
    return found.map(r => ({ topic: r.t, expiresMs: r.e }))
  }

  async retained (topics: readonly string[]): Promise<(TopicMessage | undefined)[]> {
    const ids = topics.map(t => hashOf(t))
    const found = await this.calls.read(() => this.db.retained.find({ _id: { $in: ids } }).toArray())
    const byId = new Map(found.map(r => [r._id, r.m]))
    return ids.map(id => {
      const m = byId.get(id)
      return m === undefined ? undefined : toMessage(m)
    })
  }

  async queue (session: SessionId, after: number, limit: number): Promise<QueuedMessage[]> {
    await this.last
    const found = await this.calls.read(() => this.db.topicQueue.find({ s: session, o: { $gt: after } }).sort({ o: 1 }).limit(limit).toArray())
    return found.map(q => ({ order: q.o, message: toMessage(q.m), qos: q.q, retain: q.r, ids: q.i, released: q.rel }))
  }

  async receivedIds (session: SessionId): Promise<number[]> {
    const found = await this.calls.read(() => this.db.receivedIds.find({ s: session }, { projection: { p: 1 } }).sort({ p: 1 }).toArray())
    return found.map(r => r.p)
  }

  // ---- nodes and wills

  async nodes (): Promise<Set<NodeId>> { return await this.calls.read(() => this.alive.alive()) }

  async wills (): Promise<StoredWill[]> {
    await this.adopt()
    await this.last
    return (await this.calls.read(() => this.db.wills.find({ n: this.alive.id }).sort({ _id: 1 }).toArray())).map(toWill)
  }

  async orphans (nowMs: number): Promise<StoredWill[]> {
    const alive = [...await this.nodes()]
    const { topicSessions, wills } = this.db
    await this.calls.write(() => topicSessions.updateMany({ n: { $nin: alive }, ends: 0 }, [{ $set: { ends: { $add: [nowMs, { $multiply: ['$expiry', 1000] }] } } }]))
    const by = await this.adopt()
    return by === null ? [] : (await this.calls.read(() => wills.find({ n: this.alive.id, by }).toArray())).map(toWill)
  }

  /** Each will of a node that is gone goes to one of those that ask. Null: there was none. */
  private async adopt (): Promise<string | null> {
    const alive = [...await this.nodes()]
    const by = randomBytes(8).toString('base64url')
    const { modifiedCount } = await this.calls.write(() => this.db.wills.updateMany({ n: { $nin: alive } }, { $set: { n: this.alive.id, by } }))
    return modifiedCount === 0 ? null : by
  }

  async takeWill (session: SessionId): Promise<StoredWill | undefined> {
    await this.last
    const doc = await this.calls.write(() => this.db.wills.findOneAndDelete({ _id: session }))
    return doc === null ? undefined : toWill(doc)
  }

  async claimWill (session: SessionId): Promise<boolean> {
    await this.last
    // written, so that of this and another node's takeWill one comes first; the will stays until it is published
    const { matchedCount } = await this.calls.write(() => this.db.wills.updateOne({ _id: session, n: this.alive.id }, { $set: { by: 'due' } }))
    return matchedCount === 1
  }
}

const toMessage = (m: Binary): TopicMessage => unpackMessage(Buffer.from(m.buffer.subarray(0, m.position)))

const toSession = (s: TopicSessionDoc, ends: Map<SessionId, QueueEnds>): StoredSession => ({
  id: s._id as SessionId, endsMs: s.ends, expirySeconds: s.expiry, subscriptions: [], queue: ends.get(s._id as SessionId) ?? NO_QUEUE,
  node: s.ends === 0 ? s.n as NodeId : null, ...(s.g === undefined ? {} : { givenTo: s.g })
})

const toSubscription = (s: TopicSubscriptionDoc): TopicSubscription => ({ filter: s.f, qos: s.q, noLocal: s.nl, keepRetain: s.rap, id: s.id })

const toWill = (w: WillDoc): StoredWill => ({ session: w._id as SessionId, message: toMessage(w.m), messageExpirySeconds: w.expiry, delaySeconds: w.delay, expirySeconds: w.life })
