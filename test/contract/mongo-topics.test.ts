import { randomBytes } from 'node:crypto'
import { MongoClient } from 'mongodb'
import type { SessionId } from '../../broker/domain/ids.js'
import type { TopicMessage } from '../../broker/domain/topic-message.js'
import type { NodeId } from '../../broker/ports/bus.js'
import type { StoredWill, TopicChange } from '../../broker/ports/topics.js'
import { type MongoStores, openMongo } from '../../broker/stores/mongo/open.js'
import { newDatabase } from '../servers/shared.js'
import { recordingLogger } from '../support/recording-logger.js'

let database: Awaited<ReturnType<typeof newDatabase>>
let a: MongoStores
let b: MongoStores
const nodes: NodeId[] = []
beforeAll(async () => {
  database = await newDatabase()
  const open = async (): Promise<MongoStores> => {
    nodes.push(randomBytes(8).toString('base64url') as NodeId)
    return await openMongo(database.url, { log: recordingLogger(), hasBus: true, node: nodes.at(-1)! })
  }
  ;[a, b] = [await open(), await open()]
})
afterAll(async () => {
  await Promise.all([a, b].map(async s => { await s.close() }))
  await database.drop()
})

const id = (s: string): SessionId => s as SessionId
const message = (text: string, over: Partial<TopicMessage> = {}): TopicMessage =>
  ({ topic: 't', payload: Buffer.from(text), qos: 1, retain: false, from: '', properties: Buffer.alloc(0), expiresMs: 0, ...over })
const enqueue = (text: string, session: string, order: number) => ({ kind: 'enqueue' as const, message: message(text), to: [{ session: id(session), order, qos: 1 as const, retain: false, ids: [] }] })

test('two nodes that want the same place in a queue both get one, each in its own order, and are told which', async () => {
  const of = (node: string): ReturnType<typeof enqueue>[] => Array.from({ length: 50 }, (_, i) => enqueue(`${node}${i}`, 'same/s', 64 * (i + 1)))
  const [mine, theirs] = [of('a'), of('b')]
  await Promise.all([...mine.map(async c => { await a.topics.commit([c]) }), ...theirs.map(async c => { await b.topics.commit([c]) })])
  const queue = await a.topics.queue(id('same/s'), 0, 200)
  expect(queue).toHaveLength(100)
  expect(new Set(queue.map(q => q.order)).size).toBe(100)
  const byText = new Map(queue.map(q => [q.message.payload.toString(), q.order]))
  for (const c of [...mine, ...theirs]) expect(byText.get(c.message.payload.toString())).toBe(c.to[0]!.order)
  for (const node of ['a', 'b']) expect(queue.map(q => q.message.payload.toString()).filter(t => t.startsWith(node))).toEqual(Array.from({ length: 50 }, (_, i) => `${node}${i}`))
})

test('of a retained message the higher version wins, whichever comes first, also against one that was taken away', async () => {
  const retain = (text: string, version: number): TopicChange => ({ kind: 'retain', message: message(text, { retain: true }), version })
  const now = async (): Promise<string | undefined> => (await b.topics.retained(['t']))[0]?.payload.toString()
  await a.topics.commit([retain('2', 2)])
  await b.topics.commit([retain('1', 1)])
  expect(await now()).toBe('2')
  await b.topics.commit([{ kind: 'unretain', topic: 't', version: 4 }])
  await a.topics.commit([retain('3', 3)])
  expect([await now(), await a.topics.retainedTopics()]).toEqual([undefined, []])
  await a.topics.commit([retain('5', 5)])
  expect(await now()).toBe('5')
})

test('a session belongs to where it was connected last: an end that comes late from elsewhere changes nothing', async () => {
  const session = (endsMs: number): TopicChange => ({ kind: 'session', session: id('moves/s'), endsMs, expirySeconds: 9, ...(endsMs === 0 ? {} : { givenTo: 77 }) })
  await a.topics.commit([session(0)])
  await b.topics.commit([session(0)])
  await a.topics.commit([session(5)])
  expect(await a.topics.session(id('moves/s'))).toMatchObject({ endsMs: 0, node: nodes[1] })
  await b.topics.commit([session(6)])
  expect(await a.topics.session(id('moves/s'))).toMatchObject({ endsMs: 6, node: null, givenTo: 77 })
})

test('a will is of one node: claimed there or taken away by another, not both; of a node that is gone one adopts it', async () => {
  const will = (session: string): StoredWill => ({ session: id(session), message: message('gone'), messageExpirySeconds: 0, delaySeconds: 0, expirySeconds: 0 })
  const kept = async (session: string): Promise<void> => { await a.topics.commit([{ kind: 'will', will: will(session) }]) }
  await kept('w/1')
  expect([await b.topics.claimWill(id('w/1')), await a.topics.claimWill(id('w/1'))]).toEqual([false, true])
  await kept('w/2')
  expect([await b.topics.takeWill(id('w/2')), await a.topics.claimWill(id('w/2'))]).toEqual([will('w/2'), false])
  await b.topics.commit([{ kind: 'no-will', session: id('w/1') }])
  await a.topics.commit([{ kind: 'session', session: id('orphan/s'), endsMs: 0, expirySeconds: 3 }])
  expect(await b.topics.orphans(1000)).toEqual([])
  // the server's clock says who lives
  const client = await MongoClient.connect(database.url)
  await client.db().collection<{ _id: string, at: Date }>('nodes').updateOne({ _id: nodes[0]! }, { $set: { at: new Date(0) } })
  await client.close()
  const adopted = await Promise.all([b.topics.orphans(1000), b.topics.orphans(1000)])
  expect(adopted.flat().map(w => w.session)).toEqual(['w/1'])
  expect(await b.topics.session(id('orphan/s'))).toMatchObject({ endsMs: 4000, node: null })
})

test('a packet id and its message are stored together or not at all', async () => {
  await b.topics.commit([{ kind: 'received', session: id('twice/s'), packetId: 5 }, enqueue('x', 'other/s', 64)])
  await Promise.all([a, b].map(async (s, i) => { await s.topics.commit([{ kind: 'received', session: id('twice/s'), packetId: 6 + i }, enqueue(`${i}`, 'other/s', 64)]) }))
  expect(await b.topics.receivedIds(id('twice/s'))).toEqual([5, 6, 7])
  expect((await b.topics.queue(id('other/s'), 0, 9)).map(q => q.message.payload.toString()).sort()).toEqual(['0', '1', 'x'])
})
