import type { TopicMessage } from '../../domain/topic-message.js'
import type { Clock } from '../../ports/clock.js'
import type { TopicChange, TopicStore } from '../../ports/topics.js'
import type { Orders } from './orders.js'
import { TopicIndex } from './topic-index.js'

/** Which topics have a retained message; the messages themselves are in the store. */
export class Retained {
  private readonly index = new TopicIndex<{ expiresMs: number }>()
  /** Those of them that expire. */
  private readonly expiring = new Set<string>()
  /** Kept here until the store has them: who subscribes meanwhile sees them all the same. */
  private readonly fresh = new Map<string, { message: TopicMessage, version: number }>()
  private lastVersion = 0

  constructor (private readonly store: Pick<TopicStore, 'retained' | 'retainedTopics'>, private readonly clock: Clock, private readonly orders: Orders,
    /** 0: no limit. */
    private readonly most: number) {}

  /** Takes up what is stored; again when news was lost. */
  async load (): Promise<void> {
    const stored = await this.store.retainedTopics()
    const known = new Set(stored.map(r => r.topic))
    for (const topic of this.index.matching('#')) if (!known.has(topic) && !this.fresh.has(topic)) this.drop(topic)
    for (const { topic, expiresMs } of stored) if (!this.fresh.has(topic)) this.note(topic, expiresMs)
  }

  get count (): number { return this.index.size }

  /** Whether one more topic may have a retained message. */
  mayKeep (topic: string): boolean { return this.most === 0 || this.index.size < this.most || this.index.get(topic) !== undefined }

  /** Keeps the message, or with an empty one forgets what is there [MQTT-3.3.1-5] [MQTT-3.3.1-6]. Gives what the store has to do; then {@link stored}. */
  keep (m: TopicMessage): (TopicChange & { kind: 'retain' | 'unretain' }) | null {
    if (m.payload.length === 0) {
      if (this.index.get(m.topic) === undefined) return null
      this.drop(m.topic)
      return { kind: 'unretain', topic: m.topic, version: this.version() }
    }
    const version = this.version()
    this.noteFresh(m, version)
    return { kind: 'retain', message: m, version }
  }

  /** Another node keeps it, or has forgotten what was there. */
  heard (m: TopicMessage, version: number): void {
    this.lastVersion = Math.max(this.lastVersion, version)
    if ((this.fresh.get(m.topic)?.version ?? 0) > version) return
    if (m.payload.length === 0) this.drop(m.topic)
    else this.noteFresh({ ...m, payload: Buffer.from(m.payload) }, version)
  }

  private version (): number { return this.lastVersion = this.orders.next(this.lastVersion) }

  private noteFresh (message: TopicMessage, version: number): void {
    this.note(message.topic, message.expiresMs)
    this.fresh.set(message.topic, { message, version })
  }

  private note (topic: string, expiresMs: number): void {
    this.index.set(topic, { expiresMs })
    if (expiresMs === 0) this.expiring.delete(topic)
    else this.expiring.add(topic)
  }

  private drop (topic: string): void {
    this.fresh.delete(topic)
    this.index.delete(topic)
    this.expiring.delete(topic)
  }

  /** The store has this version, or a newer one. */
  stored (topic: string, version: number): void { if ((this.fresh.get(topic)?.version ?? Infinity) <= version) this.fresh.delete(topic) }

  /** In the order of the topics; undefined: nothing is retained there. */
  async get (topics: readonly string[]): Promise<(TopicMessage | undefined)[]> {
    const there = topics.filter(t => this.index.get(t) !== undefined && !this.fresh.has(t))
    const read = there.length === 0 ? [] : await this.store.retained(there)
    const byTopic = new Map(there.map((t, i) => [t, read[i]]))
    return topics.map(t => {
      const m = this.fresh.get(t)?.message ?? byTopic.get(t)
      return m === undefined || this.over(m.expiresMs) ? undefined : m
    })
  }

  matching (filter: string): string[] { return this.index.matching(filter) }

  /** Takes away what has expired [MQTT-3.3.2-5]; gives what the store has to do. */
  sweep (): TopicChange[] {
    const over = [...this.expiring].filter(topic => this.over(this.index.get(topic)!.expiresMs))
    return over.map(topic => {
      this.drop(topic)
      return { kind: 'unretain', topic, version: this.version() }
    })
  }

  private over (expiresMs: number): boolean { return expiresMs !== 0 && expiresMs <= this.clock.now() }
}
