import type { TopicMessage } from '../../domain/topic-message.js'
import type { Clock, Timer } from '../../ports/clock.js'
import { TopicIndex } from './topic-index.js'

const EVERY_MS = 10_000
const NONE = Buffer.alloc(0)

/** `$SYS/broker/…`: what a node says of itself, as text, each as if it were retained. For admins only. */
export class SysTopics {
  private readonly index = new TopicIndex<() => string | number>()
  private timer: Timer | null = null

  constructor (readings: Readonly<Record<string, () => string | number>>, private readonly clock: Clock) {
    for (const [name, read] of Object.entries(readings)) this.index.set(`$SYS/broker/${name}`, read)
  }

  matching (filter: string): string[] { return this.index.matching(filter) }

  get (topic: string): TopicMessage | undefined {
    const read = topic.startsWith('$') ? this.index.get(topic) : undefined
    return read === undefined ? undefined : { topic, payload: Buffer.from(String(read())), qos: 0, retain: false, from: '', properties: NONE, expiresMs: 0 }
  }

  /** Publishes all values every ten seconds. */
  start (publish: (m: TopicMessage) => void): void {
    this.timer = this.clock.after(EVERY_MS, () => {
      for (const topic of this.index.matching('$SYS/#')) publish(this.get(topic)!)
      this.start(publish)
    })
  }

  stop (): void { this.timer?.cancel() }
}
