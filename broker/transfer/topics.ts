import type { SessionId } from '../domain/ids.js'
import type { TopicMessage, TopicSubscription } from '../domain/topic-message.js'
import type { QueuedMessage, TopicChange, TopicStore } from '../ports/topics.js'
import { Fields } from './fields.js'

/** Messages of a queue read at once. */
const PAGE = 100
/** Older than whatever a node retains. */
const IMPORTED = 1
const byText = <T>(of: (x: T) => string) => (a: T, b: T): number => of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : 0

/** All that ordinary topics keep, as lines: a session with its subscriptions, its queue, its packet ids; then retained messages and wills. */
export async function * topicLines (store: TopicStore): AsyncGenerator<string[]> {
  for (const { id, endsMs, expirySeconds, subscriptions } of (await store.sessions()).sort(byText(s => s.id))) {
    yield [line('session', { session: id, endsMs, expirySeconds, subscriptions: subscriptions.sort(byText(s => s.filter)).map(plain), receivedIds: await store.receivedIds(id) })]
    for (let page, after = 0; (page = await store.queue(id, after, PAGE)).length > 0; after = page.at(-1)!.order) {
      yield page.map(({ order, message, qos, retain, ids, released }) => line('queued', { session: id, order, qos, retain, ids, released, message: toJson(message) }))
    }
  }
  for (const { topic } of (await store.retainedTopics()).sort(byText(r => r.topic))) {
    const [message] = await store.retained([topic])
    if (message !== undefined) yield [line('retained', { message: toJson(message) })]
  }
  for (const { session, message, messageExpirySeconds, delaySeconds, expirySeconds } of (await store.wills()).sort(byText(w => w.session))) {
    yield [line('will', { session, messageExpirySeconds, delaySeconds, expirySeconds, message: toJson(message) })]
  }
}

export async function hasTopics (store: TopicStore): Promise<boolean> {
  for await (const _lines of topicLines(store)) return true
  return false
}

/** Puts what the lines say; again, it changes nothing. @throws Error, what is wrong with a line */
export async function putTopics (store: TopicStore, lines: readonly string[]): Promise<void> {
  const changes: TopicChange[] = []
  for (const text of lines) changes.push(...await changesOf(store, Fields.ofLine(text)))
  if (changes.length > 0) await store.commit(changes)
}

async function changesOf (store: TopicStore, f: Fields): Promise<TopicChange[]> {
  const kind = f.oneOf('kind', ['session', 'queued', 'retained', 'will'])
  if (kind === 'retained') return [{ kind: 'retain', message: fromJson(f), version: IMPORTED }]
  const session = f.string('session') as SessionId
  if (kind === 'session') {
    return [
      { kind, session, endsMs: f.whole('endsMs'), expirySeconds: f.whole('expirySeconds') },
      ...(f.list('subscriptions') as TopicSubscription[]).map(subscription => ({ kind: 'subscribe' as const, session, subscription })),
      ...(f.list('receivedIds') as number[]).map(packetId => ({ kind: 'received' as const, session, packetId }))
    ]
  }
  if (kind === 'will') return [{ kind, will: { session, message: fromJson(f), messageExpirySeconds: f.whole('messageExpirySeconds'), delaySeconds: f.whole('delaySeconds'), expirySeconds: f.whole('expirySeconds') } }]
  const order = f.whole('order', undefined, 1)
  if ((await store.queue(session, order - 1, 1))[0]?.order === order) return [] // a body is kept for each time it is queued
  const place = { session, order, qos: f.whole('qos', 2, 1) as QueuedMessage['qos'], retain: f.flag('retain'), ids: f.list('ids') as number[] }
  return [{ kind: 'enqueue', message: fromJson(f), to: [place] }, ...(f.flag('released') ? [{ kind: 'release' as const, session, order }] : [])]
}

const line = (kind: string, rest: object): string => JSON.stringify({ kind, ...rest })
const plain = ({ filter, qos, noLocal, keepRetain, id }: TopicSubscription): TopicSubscription => ({ filter, qos, noLocal, keepRetain, id })
const toJson = (m: TopicMessage): object =>
  ({ topic: m.topic, qos: m.qos, retain: m.retain, from: m.from, expiresMs: m.expiresMs, properties: m.properties.toString('base64'), payload: m.payload.toString('base64') })

function fromJson (of: Fields): TopicMessage {
  const f = new Fields(of.get('message'))
  return {
    topic: f.string('topic'), qos: f.whole('qos', 2) as 0 | 1 | 2, retain: f.flag('retain'), from: f.string('from') as SessionId, expiresMs: f.whole('expiresMs'),
    properties: Buffer.from(f.string('properties'), 'base64'), payload: Buffer.from(f.string('payload'), 'base64')
  }
}
