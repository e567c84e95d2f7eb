import { createHash } from 'node:crypto'
import type { SessionId } from '../../domain/ids.js'
import { expiryOf, packMessage, unpackMessage } from '../../domain/message-bytes.js'
import type { TopicMessage, TopicSubscription } from '../../domain/topic-message.js'
import type { QueuedMessage, QueueEnds, StoredSession, StoredWill, TopicChange, TopicStore } from '../../ports/topics.js'
import type { Committer, Tx } from './committer.js'
import type { Databases } from './database.js'
import { firstSeqOf, join, type Key, rangeOf, u48 } from './keys.js'
import { packU48, unpackU48 } from './rows.js'
import { scan } from './scan.js'
import { bodyOf, packPlace, unpackPlace } from './topic-rows.js'

/** A topic or filter up to this many bytes is its own key, behind a session id of up to 1,665; of a longer one the hash is. */
const MAX_PLAIN_BYTES = 256
const NONE = Buffer.alloc(0)
const WILL_FIELDS = 18

/** Behind every plain topic, which begins with no such byte. */
function topicKey (topic: string): Key {
  const bytes = Buffer.from(topic)
  return bytes.length <= MAX_PLAIN_BYTES ? bytes.toString('latin1') : `\u00ff${createHash('sha256').update(bytes).digest('base64')}`
}

/** Ordinary topics in the same environment as the log. */
export class LmdbTopicStore implements TopicStore {
  private nextBody: number

  constructor (private readonly dbs: Databases, private readonly committer: Committer) {
    const [last] = dbs.topicBodies.getKeys({ start: '\u00ff', end: '', reverse: true, limit: 1 })
    this.nextBody = last === undefined ? 1 : firstSeqOf(last) + 1
  }

  commit (changes: readonly TopicChange[]): Promise<void> {
    return this.committer.write(tx => { for (const c of changes) this.apply(tx, c) }, { waits: true })
  }

  private apply (tx: Tx, c: TopicChange): void {
    const { retained, topicSessions, topicSubscriptions, receivedIds, wills, topicQueues } = this.dbs
    switch (c.kind) {
      case 'retain': tx.put(retained, topicKey(c.message.topic), packMessage(c.message)); return
      case 'unretain': tx.remove(retained, topicKey(c.topic)); return
      case 'enqueue': this.enqueue(tx, c.message, c.to); return
      case 'dequeue': this.dequeue(tx, join(c.session, u48(c.order))); return
      case 'release': this.release(tx, join(c.session, u48(c.order))); return
      case 'received': tx.put(receivedIds, join(c.session, u48(c.packetId)), NONE); return
      case 'completed': tx.remove(receivedIds, join(c.session, u48(c.packetId))); return
      case 'session': tx.put(topicSessions, c.session, packU48([c.endsMs, c.expirySeconds])); return
      case 'subscribe': tx.put(topicSubscriptions, join(c.session, topicKey(c.subscription.filter)), Buffer.from(JSON.stringify(c.subscription))); return
      case 'unsubscribe': tx.remove(topicSubscriptions, join(c.session, topicKey(c.filter))); return
      case 'will': tx.put(wills, c.will.session, Buffer.concat([packU48([c.will.messageExpirySeconds, c.will.delaySeconds, c.will.expirySeconds]), packMessage(c.will.message)])); return
      case 'no-will': tx.remove(wills, c.session); return
      case 'forget':
        for (const db of [topicSubscriptions, receivedIds]) for (const key of tx.keys(db, rangeOf(c.session))) tx.remove(db, key)
        for (const key of tx.keys(topicQueues, rangeOf(c.session))) this.dequeue(tx, key)
        tx.remove(topicSessions, c.session)
    }
  }

  private enqueue (tx: Tx, message: TopicMessage, to: Extract<TopicChange, { kind: 'enqueue' }>['to']): void {
    const body = this.nextBody++
    tx.put(this.dbs.topicBodies, u48(body), packMessage(message))
    if (to.length > 1) tx.put(this.dbs.topicBodyUses, u48(body), packU48([to.length]))
    for (const t of to) tx.put(this.dbs.topicQueues, join(t.session, u48(t.order)), packPlace(body, t))
  }

  private dequeue (tx: Tx, key: Key): void {
    const place = tx.get(this.dbs.topicQueues, key)
    if (place === undefined) return
    tx.remove(this.dbs.topicQueues, key)
    const body = u48(bodyOf(place))
    const stored = tx.get(this.dbs.topicBodyUses, body)
    const uses = stored === undefined ? 1 : unpackU48(stored, 0)
    if (uses > 1) { tx.put(this.dbs.topicBodyUses, body, packU48([uses - 1])); return }
    tx.remove(this.dbs.topicBodies, body)
    if (stored !== undefined) tx.remove(this.dbs.topicBodyUses, body)
  }

  private release (tx: Tx, key: Key): void {
    const place = tx.get(this.dbs.topicQueues, key)
    if (place !== undefined) tx.put(this.dbs.topicQueues, key, packPlace(bodyOf(place), { ...unpackPlace(place), released: true }))
  }

  async sessions (): Promise<StoredSession[]> {
    const all = new Map<SessionId, StoredSession>()
    for (const s of await scan(this.dbs.topicSessions, null, (key, b) => ({ id: key as SessionId, endsMs: unpackU48(b, 0), expirySeconds: unpackU48(b, 1), subscriptions: [], queue: this.queueEnds(key as SessionId), node: null }))) all.set(s.id, s)
    await scan(this.dbs.topicSubscriptions, null, (key, b) => {
      all.get(key.slice(0, key.indexOf('\u0000')) as SessionId)?.subscriptions.push(JSON.parse(b.toString()) as TopicSubscription)
    })
    return [...all.values()]
  }

  async retainedTopics (): Promise<{ topic: string, expiresMs: number }[]> {
    return await scan(this.dbs.retained, null, (key, b) => ({ topic: key.startsWith('\u00ff') ? unpackMessage(b).topic : Buffer.from(key, 'latin1').toString(), expiresMs: expiryOf(b) }))
  }

  async wills (): Promise<StoredWill[]> {
    return await scan(this.dbs.wills, null, (key, b) => ({
      session: key as SessionId, messageExpirySeconds: unpackU48(b, 0), delaySeconds: unpackU48(b, 1), expirySeconds: unpackU48(b, 2),
      message: unpackMessage(Buffer.from(b.subarray(WILL_FIELDS)))
    }))
  }

  async retained (topics: readonly string[]): Promise<(TopicMessage | undefined)[]> {
    return topics.map(topic => {
      const b = this.dbs.retained.getBinary(topicKey(topic))
      return b === undefined ? undefined : unpackMessage(b)
    })
  }

  async queue (session: SessionId, after: number, limit: number): Promise<QueuedMessage[]> {
    const out: QueuedMessage[] = []
    for (const { key, value } of this.dbs.topicQueues.getRange({ start: join(session, u48(after + 1)), end: rangeOf(session).end, limit })) {
      const body = this.dbs.topicBodies.getBinary(u48(bodyOf(value)))
      if (body !== undefined) out.push({ order: firstSeqOf(key), message: unpackMessage(body), ...unpackPlace(value) })
    }
    return out
  }

  private queueEnds (session: SessionId): QueueEnds {
    const range = rangeOf(session)
    const [last] = this.dbs.topicQueues.getKeys({ start: range.end, end: range.start, reverse: true, limit: 1 })
    return { count: this.dbs.topicQueues.getKeysCount(range), last: last === undefined ? 0 : firstSeqOf(last) }
  }

  async receivedIds (session: SessionId): Promise<number[]> { return [...this.dbs.receivedIds.getKeys(rangeOf(session)).map(firstSeqOf)] }
}
