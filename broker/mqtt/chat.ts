import { isUtf8 } from 'node:buffer'
import { Outgoing } from '../core/outgoing.js'
import type { Message, Outcome, Publisher } from '../core/publish.js'
import type { Receipts } from '../core/receipts.js'
import type { Signals } from '../core/signals.js'
import { asParleyError, mqttReason, ParleyError } from '../domain/errors.js'
import { nameOf } from '../domain/ids.js'
import { isOurs, keyOf, parsePublish, type Publish, type Target } from '../domain/topics.js'
import type { Logger } from '../ports/logger.js'
import type { Pending } from './ack-queue.js'
import { acknowledge, isFirst } from './answers.js'
import type { Arrived } from './arrived.js'
import type { Connection } from './connection.js'
import type { Rpc } from './rpc.js'
import type { AppState } from './app-state.js'

/** MQTT 5 reason for a topic of ours outside the grammar [MQTT-3.4.2.1]. */
const TOPIC_NAME_INVALID = 0x90
/** A refused topic is repeated to its sender up to this length. */
const MAX_ECHO = 1024

/** Publishes on our topics: what they ask for, and how they are answered. */
export class Chat {
  constructor (private readonly deps: {
    publisher: Publisher, receipts: Receipts, signals: Signals, rpc: Rpc, state: AppState, logger: Logger
    count: { published (kind: string): void, refused (code: string): void }
  }) {}

  parse (c: Connection, topic: string): Publish | null {
    c.lastTopic = topic
    return c.lastPublish = parsePublish(topic)
  }

  /** A PUBLISH that is not of the common shape: MQTT 5 properties, QoS 2, retain. */
  slow (c: Connection, m: Arrived): void {
    const kind = this.parse(c, m.topic)
    if (kind === null) this.refuse(c, m, new ParleyError('bad-request', 'no topic of Parley: see "What a client publishes" in its protocol'), TOPIC_NAME_INVALID)
    else if (c.identity!.anonymous === true) this.refuse(c, m, new ParleyError('forbidden', 'who comes without credentials has ordinary topics only'))
    else if (m.retain) this.refuse(c, m, new ParleyError('bad-request', 'a message to an inbox cannot be retained'), undefined, kind)
    else this.publish(c, kind, m)
  }

  publish (c: Connection, kind: Publish, m: Arrived): void {
    this.deps.count.published(kind.kind)
    const pending = c.acks.open(m.packetId, m.qos, m.payload.length)
    c.throttled(() => this.handle(c, kind, m, pending))
  }

  private handle (c: Connection, kind: Publish, m: Arrived, pending: Pending): void {
    switch (kind.kind) {
      case 'msg': case 'raw': this.message(c, kind.to, kind.kind === 'raw', kind.cid, m, pending); return
      case 'sig': this.answerTo(c, m, pending, this.deps.signals.send(c.session, keyOf(kind.to, c.session.user), m.payload)); return
      case 'rcpt': this.answerTo(c, m, pending, this.deps.receipts.fromDevice(c.session, keyOf(kind.to, c.session.user), m.payload)); return
      case 'state': this.answerTo(c, m, pending, this.deps.state.set(c.session, m.payload, m.dup)); return
      case 'rpc': this.answerTo(c, m, pending, this.deps.rpc.request(c, kind.method, m))
    }
  }

  private message (c: Connection, to: Target, raw: boolean, cid: string | undefined, m: Arrived, pending: Pending): void {
    const message: Message = { to, raw, payload: m.payload, packetId: m.packetId, dup: m.dup }
    if (cid !== undefined) message.cid = cid
    const props = m.properties
    if (props !== undefined) {
      message.contentType = props.contentType
      message.expirySeconds = props.expirySeconds
      message.user = props.user
    }
    this.deps.publisher.publish(c.lane!, message, outcome => this.outcome(c, m, pending, outcome))
  }

  private outcome (c: Connection, m: Arrived, pending: Pending, o: Outcome): void {
    switch (o.kind) {
      case 'stored':
        c.settle(pending, () => {
          if (c.session.grants.holds('ack')) {
            const name = o.cid === '' ? `"conv":"${nameOf(o.conv, c.session.user)}"` : `"cid":${JSON.stringify(o.cid)}`
            this.meAck(c, Buffer.from(`{${name},"seq":${o.seq},"ts":${o.ts}}`))
          }
          acknowledge(c, m, 0, { userProperties: { seq: String(o.seq), ts: String(o.ts) } })
        })
        return
      case 'refused': {
        this.deps.count.refused(o.error.code)
        const name = o.cid === '' ? { conv: nameOf(o.conv, c.session.user) } : { cid: o.cid }
        c.settle(pending, () => this.refusal(c, m, name, o.error, mqttReason(o.error.code)))
        return
      }
      case 'dropped':
        c.settle(pending, null)
        c.close('broker', 0x88, 'the store does not answer') // the library comes back and sends again
    }
  }

  /** What has no answer of its own on `me/ack` unless it is refused. */
  private answerTo (c: Connection, m: Arrived, pending: Pending, done: Promise<void>): void {
    done.then(
      () => c.settle(pending, () => acknowledge(c, m, 0)),
      (e: unknown) => {
        const error = asParleyError(e)
        if (error.code === 'internal') this.deps.logger.error({ err: error.cause ?? error, user: c.session.user }, 'a publish failed')
        this.deps.count.refused(error.code)
        c.settle(pending, () => this.refusal(c, m, { topic: m.topic.slice(0, MAX_ECHO) }, error, mqttReason(error.code)))
      })
  }

  private refuse (c: Connection, m: Arrived, error: ParleyError, reason = mqttReason(error.code), kind?: Publish): void {
    this.deps.count.refused(error.code)
    const message = kind !== undefined && (kind.kind === 'msg' || kind.kind === 'raw') ? kind : undefined
    const name = message === undefined ? { topic: m.topic.slice(0, MAX_ECHO) } : message.cid === undefined ? { conv: nameOf(keyOf(message.to, c.session.user), c.session.user) } : { cid: message.cid }
    c.settle(c.acks.open(m.packetId, m.qos, 0), () => this.refusal(c, m, name, error, reason))
  }

  private refusal (c: Connection, m: Arrived, name: object, error: ParleyError, reason: number): void {
    const body = { code: error.code, message: error.message }
    if (c.session.grants.holds('ack')) this.meAck(c, Buffer.from(JSON.stringify({ ...name, error: body })))
    acknowledge(c, m, reason, { userProperties: { code: error.code }, reasonString: error.message })
  }

  private meAck (c: Connection, bytes: Buffer): void {
    c.deliver(new Outgoing('ack', bytes), 0, 0, false, c.session.grants.isLong('ack'))
  }

  /** A PUBLISH over the limit of a packet, of which only the beginning was kept. */
  tooLarge (c: Connection, head: Buffer): void {
    let at = 1
    while (head[at]! > 127) at++
    const topicEnd = at + 3 + head.readUInt16BE(at + 1)
    const qos = (head[0]! >> 1 & 3) as 0 | 1 | 2
    const topic = head.subarray(at + 3, topicEnd)
    if (topicEnd + 2 > head.length || !isUtf8(topic) || qos as number === 3) { c.malformed('a bad PUBLISH'); return }
    const m: Arrived = { topic: topic.toString(), payload: head.subarray(0, 0), qos, dup: (head[0]! & 8) !== 0, retain: false, packetId: qos === 0 ? 0 : head.readUInt16BE(topicEnd) }
    if (qos === 2 && !isFirst(c, m)) return
    if (!isOurs(m.topic)) { // 3.x has no way to say it
      this.deps.count.refused('too-large')
      c.settle(c.acks.open(m.packetId, m.qos, 0), () => acknowledge(c, m, 0))
      return
    }
    this.refuse(c, m, new ParleyError('too-large', 'the packet is larger than the broker takes'), undefined, this.parse(c, m.topic) ?? undefined)
  }
}
