import { Malformed } from './walk.js'

/** Topic Alias Maximum announced to clients: aliases that one of them may set [MQTT-3.2.2-18]. */
export const TOPIC_ALIASES = 16
/** Aliases set for a client, if it takes as many. */
const MOST_OUT = 64
/** A topic shorter than this is no longer than the property that stands for it. */
const WORTH = 6

/** The topics that a connection's aliases stand for, in both directions; they end with it [MQTT-3.3.2-7]. */
export class TopicAliases {
  private readonly incoming = new Map<number, string>()
  private readonly outgoing = new Map<string, number>()
  private readonly most: number

  /** @param clientMaximum Topic Alias Maximum of the CONNECT [MQTT-3.1.2-26] [MQTT-3.1.2-27] */
  constructor (clientMaximum: number) { this.most = Math.min(clientMaximum, MOST_OUT) }

  /** The topic that is meant by a received one with an alias. */
  resolve (topic: string, alias: number): string | Malformed {
    if (alias === 0 || alias > TOPIC_ALIASES) return new Malformed(`topic alias ${alias}; 1 to ${TOPIC_ALIASES} are offered`, 0x94) // [MQTT-3.3.2-8] [MQTT-3.3.2-9]
    if (topic !== '') { this.incoming.set(alias, topic); return topic }
    return this.incoming.get(alias) ?? new Malformed(`topic alias ${alias} stands for nothing yet`, 0x82)
  }

  /** The alias to use for a topic, and whether the client knows it; 0: none. {@link used} when it is on its way. */
  for (topic: string): { alias: number, known: boolean } {
    const known = this.outgoing.get(topic)
    if (known !== undefined) return { alias: known, known: true }
    return { alias: this.outgoing.size < this.most && topic.length >= WORTH ? this.outgoing.size + 1 : 0, known: false }
  }

  used (topic: string, alias: number): void { this.outgoing.set(topic, alias) }
}
