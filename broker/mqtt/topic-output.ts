import type { TopicLink } from '../core/topics/link.js'
import type { TopicMessage } from '../domain/topic-message.js'
import type { Clock } from '../ports/clock.js'
import type { Connection } from './connection.js'
import { ackFrame } from './frames.js'
import { TopicAliases } from './topic-aliases.js'
import { sharedFrame, type TopicFrame, topicFrame } from './topic-frames.js'

/** What a session is given of ordinary topics, on its way to the connection's end of turn. */
export class TopicOutput implements TopicLink {
  constructor (private readonly c: Connection, private readonly clock: Clock) {}

  /** Half of a Receive Maximum stays for the inbox of who has one. */
  get quota (): number {
    const { clientReceiveMaximum: most, session } = this.c
    return Math.min(most - session.flights.size, session.grants.any ? Math.max(1, most >> 1) : most)
  }

  get unsentBytes (): number { return this.c.unsentBytes }

  give (m: TopicMessage, qos: 0 | 1 | 2, packetId: number, dup: boolean, retain: boolean, ids: readonly number[]): boolean {
    const { c } = this
    if (c.phase !== 'ready') return true
    const v5 = c.version === 5
    const nowMs = m.expiresMs === 0 ? 0 : this.clock.now()
    const frame = v5 && (ids.length > 0 || c.topicAliasMaximum > 0)
      ? this.ownFrame(m, { v5, qos, dup, retain, ids, alias: 0, aliasKnown: false }, nowMs)
      : sharedFrame(m, qos, dup, retain, v5, nowMs)
    if (!c.fits(frame)) return false // [MQTT-3.1.2-25]
    c.push(frame, qos === 0 ? 0 : packetId)
    return true
  }

  /** With a topic alias, if there is one for its topic. A new one makes the packet longer: not if it is then too long. */
  private ownFrame (m: TopicMessage, f: TopicFrame, nowMs: number): Buffer {
    const { c } = this
    const { alias, known } = (c.aliases ??= new TopicAliases(c.topicAliasMaximum)).for(m.topic)
    if (alias !== 0) {
      const frame = topicFrame(m, { ...f, alias, aliasKnown: known }, nowMs)
      if (known) return frame
      if (c.fits(frame)) {
        c.aliases.used(m.topic, alias)
        return frame
      }
    }
    return f.ids.length > 0 ? topicFrame(m, f, nowMs) : sharedFrame(m, f.qos, f.dup, f.retain, f.v5, nowMs)
  }

  release (packetId: number): void { this.c.send(ackFrame(0x62, packetId)) }
}
