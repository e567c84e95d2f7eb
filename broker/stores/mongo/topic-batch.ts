import { createHash } from 'node:crypto'
import { type AnyBulkWriteOperation, Binary, type ClientSession, type Collection, type Document, MongoBulkWriteError, ObjectId, type WriteError } from 'mongodb'
import { packMessage } from '../../domain/message-bytes.js'
import type { SessionId } from '../../domain/ids.js'
import type { NodeId } from '../../ports/bus.js'
import type { TopicChange } from '../../ports/topics.js'
import type { Database, ReceivedDoc, RetainedDoc, TopicQueueDoc, TopicSessionDoc, TopicSubscriptionDoc, WillDoc } from './database.js'

type Place = Extract<TopicChange, { kind: 'enqueue' }>['to'][number]
interface Row { place: Place, doc: TopicQueueDoc }
type SessionChange = Extract<TopicChange, { kind: 'session' }>

/** Topics, filters and sessions may be longer than a key should be. */
export const hashOf = (...parts: string[]): string => createHash('sha256').update(parts.join('\0')).digest('base64url')

/** The session that a change is of, or null. */
const sessionOf = (c: TopicChange): SessionId | null => 'session' in c ? c.session : c.kind === 'will' ? c.will.session : null

/** When another node was first with an order this one goes so far on: to its own next one. */
const STEP = 64

/**
 * Changes of several calls, brought down to the last one of each document, so that they may be written in any order and
 * again. A session that was forgotten takes no more changes: they go in the next batch.
 */
export class TopicBatch {
  size = 0
  bytes = 0
  /** Calls whose changes must not be torn apart: a QoS 2 packet id, or a will, and what becomes of the message. */
  private atomic = false
  private tries = 0
  /** The last transaction ended because another node has this place. */
  private taken: Row | null = null
  private readonly forgotten = new Set<SessionId>()
  private readonly retained = new Map<string, RetainedDoc>()
  private readonly places = new Map<string, Row>()
  private readonly dequeued = new Map<SessionId, Set<number>>()
  private readonly released = new Map<SessionId, Set<number>>()
  private readonly received = new Map<string, { doc: ReceivedDoc, there: boolean }>()
  private readonly sessions = new Map<SessionId, { change: SessionChange, here: boolean }>()
  private readonly subscriptions = new Map<string, { session: SessionId, doc: TopicSubscriptionDoc | null }>()
  private readonly wills = new Map<SessionId, WillDoc | null>()

  constructor (private readonly node: NodeId) {}

  takes (changes: readonly TopicChange[]): boolean {
    return this.forgotten.size === 0 || !changes.some(c => {
      if (c.kind === 'enqueue') return c.to.some(t => this.forgotten.has(t.session))
      const session = sessionOf(c)
      return session !== null && this.forgotten.has(session)
    })
  }

  add (changes: readonly TopicChange[]): void {
    if (changes.length > 1 && changes.some(c => c.kind === 'received' || c.kind === 'no-will')) this.atomic = true
    for (const c of changes) this.apply(c)
    this.size += changes.length
  }

  private apply (c: TopicChange): void {
    switch (c.kind) {
      case 'retain': this.retain({ _id: hashOf(c.message.topic), t: c.message.topic, v: c.version, e: c.message.expiresMs, m: this.bytesOf(packMessage(c.message)) }); return
      case 'unretain': this.retain({ _id: hashOf(c.topic), t: c.topic, v: c.version, e: 0, at: new Date() }); return
      case 'enqueue': {
        const m = this.bytesOf(packMessage(c.message))
        for (const place of c.to) {
          this.places.set(`${place.session}\0${place.order}`, { place, doc: { _id: new ObjectId().toHexString(), s: place.session, o: place.order, q: place.qos, r: place.retain, i: [...place.ids], rel: false, m } })
        }
        this.size += c.to.length
        return
      }
      case 'dequeue': if (!this.places.delete(`${c.session}\0${c.order}`)) among(this.dequeued, c.session, c.order); return
      case 'release': {
        const mine = this.places.get(`${c.session}\0${c.order}`)
        if (mine === undefined) among(this.released, c.session, c.order)
        else mine.doc.rel = true
        return
      }
      case 'received':
      case 'completed': {
        const _id = hashOf(c.session, String(c.packetId))
        this.received.set(_id, { doc: { _id, s: c.session, p: c.packetId }, there: c.kind === 'received' })
        return
      }
      case 'session': this.sessions.set(c.session, { change: c, here: c.endsMs === 0 || this.sessions.get(c.session)?.here === true }); return
      case 'subscribe': {
        const { filter, qos, noLocal, keepRetain, id } = c.subscription
        const _id = hashOf(c.session, filter)
        this.subscriptions.set(_id, { session: c.session, doc: { _id, s: c.session, f: filter, q: qos, nl: noLocal, rap: keepRetain, id } })
        return
      }
      case 'unsubscribe': this.subscriptions.set(hashOf(c.session, c.filter), { session: c.session, doc: null }); return
      case 'will': {
        const { session, message, messageExpirySeconds, delaySeconds, expirySeconds } = c.will
        this.wills.set(session, { _id: session, n: this.node, m: this.bytesOf(packMessage(message)), expiry: messageExpirySeconds, delay: delaySeconds, life: expirySeconds })
        return
      }
      case 'no-will': this.wills.set(c.session, null); return
      case 'forget': this.forget(c.session)
    }
  }

  private bytesOf (b: Buffer): Binary {
    this.bytes += b.length
    return new Binary(b)
  }

  private retain (doc: RetainedDoc): void {
    const old = this.retained.get(doc._id)
    if (old === undefined || old.v < doc.v) this.retained.set(doc._id, doc)
  }

  private forget (session: SessionId): void {
    this.forgotten.add(session)
    for (const [key, { place }] of this.places) if (place.session === session) this.places.delete(key)
    for (const [key, { doc }] of this.received) if (doc.s === session) this.received.delete(key)
    for (const [key, s] of this.subscriptions) if (s.session === session) this.subscriptions.delete(key)
    for (const changes of [this.dequeued, this.released, this.sessions]) changes.delete(session)
  }

  // ---- writing

  /** Durable when it resolves. When it rejects, it may be called again. */
  async write (db: Database): Promise<void> {
    const again = this.tries++ > 0
    if (!this.atomic) {
      // all of them end before it is tried again
      const results = await Promise.allSettled(this.steps(db, again).map(async step => { await step() }))
      for (const r of results) if (r.status === 'rejected') throw r.reason
      return
    }
    if (this.taken !== null) {
      const placed = [...this.places.values()]
      await goOn(db, placed.slice(placed.indexOf(this.taken)))
      this.taken = null
    }
    await db.client.withSession(async session => {
      session.startTransaction()
      try {
        for (const step of this.steps(db, again, session)) await step()
      } catch (e) {
        await session.abortTransaction()
        throw e
      }
      await session.commitTransaction()
    })
  }

  private steps (db: Database, again: boolean, session?: ClientSession): (() => Promise<unknown>)[] {
    const options = { ordered: false, session }
    const steps: (() => Promise<unknown>)[] = []
    const bulk = <T extends Document>(to: Collection<T>, ops: AnyBulkWriteOperation<T>[]): void => {
      if (ops.length > 0) steps.push(async () => await to.bulkWrite(ops, options))
    }
    const placed = [...this.places.values()]
    if (placed.length > 0) steps.push(async () => { await this.place(db, placed, again, session) })
    bulk(db.topicQueue, [
      ...[...this.dequeued].map(([s, orders]) => ({ deleteMany: { filter: { s, o: { $in: [...orders] } } } })),
      ...[...this.released].map(([s, orders]) => ({ updateMany: { filter: { s, o: { $in: [...orders] } }, update: { $set: { rel: true } } } }))
    ])
    bulk(db.retained, [...this.retained.values()].map(doc => ({
      updateOne: { filter: { _id: doc._id }, upsert: true, update: [{ $replaceWith: { $cond: [{ $gt: [{ $ifNull: ['$v', -1] }, doc.v] }, '$$ROOT', { $literal: doc }] } }] }
    })))
    bulk(db.receivedIds, [...this.received.values()].map(({ doc, there }) => there
      ? { replaceOne: { filter: { _id: doc._id }, replacement: doc, upsert: true } }
      : { deleteOne: { filter: { _id: doc._id } } }))
    bulk(db.topicSessions, [...this.sessions.values()].map(s => this.session(s)))
    bulk(db.topicSubscriptions, [...this.subscriptions].map(([_id, { doc }]) => doc === null
      ? { deleteOne: { filter: { _id } } }
      : { replaceOne: { filter: { _id }, replacement: doc, upsert: true } }))
    bulk(db.wills, [...this.wills].map(([_id, doc]) => doc === null
      ? { deleteOne: { filter: { _id, n: this.node } } } // another node's is of a newer connection
      : { replaceOne: { filter: { _id }, replacement: doc, upsert: true } }))
    if (this.forgotten.size > 0) {
      const all = { $in: [...this.forgotten] as string[] }
      steps.push(
        async () => await db.topicQueue.deleteMany({ s: all }, { session }), async () => await db.topicSubscriptions.deleteMany({ s: all }, { session }),
        async () => await db.receivedIds.deleteMany({ s: all }, { session }), async () => await db.topicSessions.deleteMany({ _id: all }, { session })
      )
    }
    return steps
  }

  private session ({ change: { session, endsMs, expirySeconds, givenTo }, here }: { change: SessionChange, here: boolean }): AnyBulkWriteOperation<TopicSessionDoc> {
    const doc: TopicSessionDoc = { _id: session, ends: endsMs, expiry: expirySeconds, n: this.node, ...(givenTo === undefined ? {} : { g: givenTo }) }
    const kept = { $mergeObjects: ['$$ROOT', { $literal: doc }] }
    const update = here ? kept : { $cond: [{ $eq: [{ $ifNull: ['$n', this.node] }, this.node] }, kept, '$$ROOT'] }
    return { updateOne: { filter: { _id: session }, update: [{ $replaceWith: update }], upsert: true } }
  }

  /** In order: of a session's messages the earlier one is there first. */
  private async place (db: Database, placed: readonly Row[], again: boolean, session: ClientSession | undefined): Promise<void> {
    for (let at = 0; ;) {
      try {
        await db.topicQueue.bulkWrite(placed.slice(at).map(({ doc: { _id, ...rest } }) => again
          ? { updateOne: { filter: { _id }, update: { $setOnInsert: rest }, upsert: true } }
          : { insertOne: { document: { _id, ...rest } } }), { ordered: true, session })
        return
      } catch (e) {
        const taken = takenPlace(e)
        if (taken === null) throw e
        at += taken
        if (session !== undefined) { // which is over with that
          this.taken = placed[at]!
          throw e
        }
        await goOn(db, placed.slice(at))
      }
    }
  }
}

/** Which one could not be stored because another node has its place; null: it is not that, or not only that. */
function takenPlace (e: unknown): number | null {
  if (!(e instanceof MongoBulkWriteError) || e.result.getWriteConcernError() !== undefined) return null
  const [first] = [e.writeErrors].flat() as WriteError[]
  return first?.code === 11000 && first.errmsg?.includes('by_order') === true ? first.index : null
}

/** Another node has the place of the first: it and the session's messages behind it go behind all that is stored. */
async function goOn (db: Database, rows: readonly Row[]): Promise<void> {
  const { s } = rows[0]!.doc
  let last = (await db.topicQueue.findOne({ s }, { sort: { o: -1 }, projection: { o: 1 } }))?.o ?? 0
  for (const { place, doc } of rows) {
    if (doc.s !== s) continue
    if (doc.o <= last) (place as { order: number }).order = doc.o = last + STEP
    last = doc.o
  }
}

function among (of: Map<SessionId, Set<number>>, session: SessionId, order: number): void {
  const known = of.get(session)
  if (known === undefined) of.set(session, new Set([order]))
  else known.add(order)
}
