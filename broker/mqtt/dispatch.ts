import type { IDisconnectPacket, IPubrecPacket, ISubscribePacket, IUnsubscribePacket, Packet } from 'mqtt-packet'
import type { Session } from '../core/session.js'
import type { Subscriber } from '../core/topics/subscriber.js'
import { shareOf } from '../domain/filters.js'
import type { Identity } from '../domain/identity.js'
import { isFilter, isOurs, type Publish } from '../domain/topics.js'
import { type Answering, isFirst } from './answers.js'
import type { Arrived } from './arrived.js'
import { ackFrame, decode, encode, PINGRESP } from './frames.js'
import { Malformed } from './walk.js'
import { readPublish } from './publish-packet.js'
import { TopicAliases } from './topic-aliases.js'

/** A connection that is signed in, as its packets see it. */
export interface Receiver extends Answering {
  readonly identity: Identity | null
  readonly session: Session
  readonly topics: Subscriber | null
  readonly clientReceiveMaximum: number
  readonly topicAliasMaximum: number
  readonly askedExpirySeconds: number
  aliases: TopicAliases | null
  expirySeconds: number
  leaving: 'no' | 'with will' | 'for good'
  /** The last topic published to and what it means: senders repeat themselves. */
  lastTopic: string
  lastPublish: Publish | null
  /** SUBSCRIBE, UNSUBSCRIBE or DISCONNECT goes to Aedes. */
  handOver (packet: Packet): void
}

/** Who does what the packets of a connection ask for. */
export interface Destinations<C> {
  readonly connector: { sessionExpiry (askedSeconds: number): number }
  readonly chat: {
    parse (c: C, topic: string): Publish | null
    publish (c: C, kind: Publish, m: Arrived): void
    slow (c: C, m: Arrived): void
  }
  readonly ordinary: {
    publish (c: C, m: Arrived): void
    completed (c: C, packetId: number): void
    failed (c: C, err: unknown): void
  }
}

/** Of a smaller Receive Maximum each packet that comes back counts for the other side, too. */
const LARGE_RECEIVE_MAXIMUM = 1024

/** Takes one whole packet of a client that is signed in: its fixed header begins at `start`, its body at `body`. */
export function dispatch<C extends Receiver> (c: C, to: Destinations<C>, b: Buffer, start: number, body: number, end: number): void {
  const type = b[start]! >> 4
  if (type === 3) {
    if (!publishFast(c, to, b, start, body, end)) publish(c, to, readPublish(b, start, body, end, c.version === 5))
    return
  }
  if (type === 4 && end === body + 2 && (b[start]! & 15) === 0 && (b[body]! | b[body + 1]!) !== 0) { acknowledged(c, b[body]! << 8 | b[body + 1]!); return }
  if (type === 12 && end === body && (b[start]! & 15) === 0) { c.send(PINGRESP); return }
  const packet = decode(b.subarray(start, end), c.version)
  if (packet instanceof Malformed) c.malformed(packet.why, packet.code)
  else slow(c, to, packet)
}

/** A PUBLISH on one of our topics, read without mqtt-packet. False: leave it to the slow path. */
function publishFast<C extends Receiver> (c: C, to: Destinations<C>, b: Buffer, start: number, body: number, end: number): boolean {
  const flags = b[start]!
  const qos = flags >> 1 & 3
  if (qos > 1 || (flags & 1) === 1 || (flags & 15) === 8 || end - body < 2) return false
  const topicEnd = body + 2 + (b[body]! << 8 | b[body + 1]!)
  const first = b[body + 2]
  if (topicEnd > end || (first !== 117 && first !== 103) || b[body + 3] !== 47) return false
  let at = topicEnd
  let packetId = 0
  if (qos === 1) {
    if (at + 2 > end) return false
    packetId = b[at]! << 8 | b[at + 1]!
    if (packetId === 0) return false
    at += 2
  }
  if ((c.version === 5 && b[at++] !== 0) || c.identity!.anonymous === true) return false
  const topic = b.toString('latin1', body + 2, topicEnd)
  const known = topic === c.lastTopic ? c.lastPublish : to.chat.parse(c, topic)
  if (known === null || at > end) return false
  to.chat.publish(c, known, { topic, payload: b.subarray(at, end), qos: qos as 0 | 1, dup: qos === 1 && (flags & 8) !== 0, retain: false, packetId })
  return true
}

/** Any other PUBLISH. */
function publish<C extends Receiver> (c: C, to: Destinations<C>, m: Arrived | Malformed): void {
  if (m instanceof Malformed) { c.malformed(m.why, m.code); return }
  const alias = m.properties?.topicAlias
  if (alias !== undefined) {
    const topic = (c.aliases ??= new TopicAliases(c.topicAliasMaximum)).resolve(m.topic, alias)
    if (topic instanceof Malformed) { c.malformed(topic.why, topic.code); return }
    m.topic = topic
  }
  if (m.qos === 2 && !isFirst(c, m)) return
  if (isOurs(m.topic)) to.chat.slow(c, m)
  else to.ordinary.publish(c, m)
}

/** PUBACK, PUBCOMP: the ids of the inbox and of ordinary topics are apart. */
function acknowledged (c: Receiver, packetId: number): void {
  if (c.topics?.acknowledge(packetId) === true) {
    if (c.clientReceiveMaximum < LARGE_RECEIVE_MAXIMUM) c.session.opened()
  } else if (c.session.ack(packetId) && c.topics?.holdsBack === true) c.topics.pump()
}

/** PUBREC. */
function receipt<C extends Receiver> (c: C, to: Destinations<C>, packet: IPubrecPacket): void {
  const { messageId: id, reasonCode = 0 } = packet
  if (reasonCode >= 0x80) { acknowledged(c, id!); return } // [MQTT-4.3.3-4]
  const unknown = (): void => { c.send(c.version === 5 ? encode({ cmd: 'pubrel', messageId: id, reasonCode: 0x92 }, 5) : ackFrame(0x62, id!)) }
  if (c.topics === null) { unknown(); return }
  c.topics.received(id!).then(known => known ? c.send(ackFrame(0x62, id!)) : unknown(), (err: unknown) => to.ordinary.failed(c, err))
}

function slow<C extends Receiver> (c: C, to: Destinations<C>, packet: Packet): void {
  switch (packet.cmd) {
    case 'pubrel': to.ordinary.completed(c, packet.messageId!); return
    case 'puback': case 'pubcomp': acknowledged(c, packet.messageId!); return
    case 'pubrec': receipt(c, to, packet); return
    case 'pingreq': c.send(PINGRESP); return
    case 'connect': c.malformed('a second CONNECT', 0x82); return // [MQTT-3.1.0-2]
    case 'disconnect': disconnect(c, to, packet); return
    case 'subscribe': case 'unsubscribe': subscribe(c, packet); return
    default: c.malformed(`a client sends no ${packet.cmd}`, 0x82)
  }
}

function subscribe (c: Receiver, packet: ISubscribePacket | IUnsubscribePacket): void {
  const filters = packet.cmd === 'subscribe' ? packet.subscriptions.map(s => s.topic) : packet.unsubscriptions
  if (packet.cmd === 'subscribe') {
    if (packet.subscriptions.some(s => s.nl === true && shareOf(s.topic) !== null)) { c.malformed('No Local on a shared subscription', 0x82); return } // [MQTT-3.8.3-4]
  }
  if (!filters.every(isFilter)) { c.malformed('wildcards where none may stand', 0x8f); return } // [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1]
  c.handOver(packet)
}

function disconnect<C extends Receiver> (c: C, to: Destinations<C>, packet: IDisconnectPacket): void {
  const asked = packet.properties?.sessionExpiryInterval
  if (asked !== undefined) {
    if (asked > 0 && c.askedExpirySeconds === 0) { c.malformed('a Session Expiry Interval where CONNECT had none', 0x82); return } // [MQTT-3.14.2-2]
    c.expirySeconds = to.connector.sessionExpiry(asked)
    if (c.session.record !== null) c.session.record.sessionExpirySeconds = c.expirySeconds
  }
  c.leaving = (packet.reasonCode ?? 0) === 0 ? 'for good' : 'with will' // [MQTT-3.14.4-3]
  c.handOver(packet)
}
