import type { TopicMessage } from '../../domain/topic-message.js'
import type { Clock } from '../../ports/clock.js'
import type { TopicChange, TopicStore } from '../../ports/topics.js'
import { TopicIndex } from './topic-index.js'

/** Which topics have a retained message; the messages themselves are in the store. */
export class Retained {
  private readonly index = new TopicIndex<{ expiresMs: number }>()
  /** Those of them that expire. */
  private readonly expiring = new Set<string>()
  /** Kept here until the store has them: who subscribes meanwhile sees them all the same. */
  private readonly fresh = new Map<string, TopicMessage>()

  constructor (private readonly store: Pick<TopicStore, 'retained' | 'retainedTopics'>, private readonly clock: Clock,
    /** 0: no limit. */
    private readonly most: number) {}

  async load (): Promise<void> {
    for (const { topic, expiresMs } of await this.store.retainedTopics()) this.note(topic, expiresMs)
  }

  get count (): number { return this.index.size }

  /** Whether one more topic may have a retained message. */
  mayKeep (topic: string): boolean { return this.most === 0 || this.index.size < this.most || this.index.get(topic) !== undefined }

  /** Keeps the message, or with an empty one forgets what is there [MQTT-3.3.1-5] [MQTT-3.3.1-6]. Gives what the store has to do; then {@link stored}. */
  keep (m: TopicMessage): TopicChange | null {
    if (m.payload.length === 0) return this.drop(m.topic)
    this.note(m.topic, m.expiresMs)
    this.fresh.set(m.topic, m)
    return { kind: 'retain', message: m }
  }

  private note (topic: string, expiresMs: number): void {
    this.index.set(topic, { expiresMs })
    if (expiresMs === 0) this.expiring.delete(topic)
    else this.expiring.add(topic)
  }

  private drop (topic: string): TopicChange | null {
    this.fresh.delete(topic)
    if (this.index.get(topic) === undefined) return null
    this.index.delete(topic)
    this.expiring.delete(topic)
    return { kind: 'unretain', topic }
  }

  stored (m: TopicMessage): void { if (this.fresh.get(m.topic) === m) this.fresh.delete(m.topic) }

  get (topic: string): TopicMessage | undefined {
    const expiresMs = this.index.get(topic)?.expiresMs
    if (expiresMs === undefined || this.over(expiresMs)) return undefined
    return this.fresh.get(topic) ?? this.store.retained(topic)
  }

  matching (filter: string): string[] { return this.index.matching(filter) }

  /** Takes away what has expired [MQTT-3.3.2-5]; gives what the store has to do. */
  sweep (): TopicChange[] {
    return [...this.expiring].filter(topic => this.over(this.index.get(topic)!.expiresMs)).flatMap(topic => this.drop(topic) ?? [])
  }

  private over (expiresMs: number): boolean { return expiresMs !== 0 && expiresMs <= this.clock.now() }
}
