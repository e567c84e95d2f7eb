import type { SessionId } from '../../broker/domain/ids.js'
import type { TopicMessage } from '../../broker/domain/topic-message.js'
import type { StoredWill, TopicChange } from '../../broker/ports/topics.js'
import type { Open, Opened } from './opened.js'

const NONE = Buffer.alloc(0)
const message = (topic: string, over: Partial<TopicMessage> = {}): TopicMessage =>
  ({ topic, payload: Buffer.from(`of ${topic}`), qos: 1, retain: false, from: 'alice/phone' as SessionId, properties: NONE, expiresMs: 0, ...over })
const id = (s: string): SessionId => s as SessionId
const to = (session: string, order: number, over: object = {}) => ({ session: id(session), order, qos: 1 as const, retain: false, ids: [], ...over })
/** Topics and filters that a careless store confuses, or that are too long for a key. */
const ODD = ['__proto__', '/', '//', ' ', 'é', 'e\u0301', '\u{1F4F1}', '\u00ff', '\u00ff\u00ffx', 'a', 'a/', 'x'.repeat(256), 'x'.repeat(257), `${'x'.repeat(65_534)}y`, 'x'.repeat(65_535)]

/** What any {@link TopicStore} keeps. */
export function topicStoreContract (name: string, open: Open): void {
  describe(`${name}: ordinary topics`, () => {
    let opened: Opened
    beforeAll(async () => { opened = await open() })
    afterAll(async () => { await opened.close() })

    test('keeps retained messages whole, across a restart, under any topic', async () => {
      const all = ODD.map((topic, i) => message(topic, { retain: true, qos: (i % 3) as 0 | 1 | 2, properties: Buffer.from([1, i]), expiresMs: i * 1e12, payload: Buffer.alloc(i * 1000, i) }))
      await opened.stores.topics.commit(all.map(m => ({ kind: 'retain', message: m, version: 1 })))
      await opened.reopen()
      const { topics } = opened.stores
      expect(await topics.retained(all.map(m => m.topic))).toEqual(all)
      expect((await topics.retainedTopics()).sort((a, b) => a.topic < b.topic ? -1 : 1)).toEqual(all.map(({ topic, expiresMs }) => ({ topic, expiresMs })).sort((a, b) => a.topic < b.topic ? -1 : 1))
      await topics.commit([{ kind: 'unretain', topic: 'a', version: 2 }, { kind: 'unretain', topic: 'not there', version: 2 }])
      expect(await topics.retained(['a', 'a/'])).toEqual([undefined, all.find(m => m.topic === 'a/')])
      await topics.commit(ODD.map(topic => ({ kind: 'unretain', topic, version: 3 })))
      expect(await topics.retainedTopics()).toEqual([])
    })

    test('a queue is given in order, in pages, and only its own', async () => {
      const m = message('t', { properties: Buffer.from([1, 1]), expiresMs: 5 })
      const changes: TopicChange[] = Array.from({ length: 300 }, (_, i) => ({ kind: 'enqueue', message: { ...m, payload: Buffer.from(`${i + 1}`) }, to: [to('q/a', i + 1, { ids: i === 0 ? [1, 268_435_455] : [], qos: i === 1 ? 2 : 1, retain: i === 2 }), to('q/ab', i + 1)] }))
      await opened.stores.topics.commit(changes)
      await opened.reopen()
      const { topics } = opened.stores
      const page = await topics.queue(id('q/a'), 0, 250)
      expect(page.map(q => [q.order, q.message.payload.toString()])).toEqual(Array.from({ length: 250 }, (_, i) => [i + 1, `${i + 1}`]))
      expect(page.slice(0, 3).map(({ order: _, message: __, ...how }) => how)).toEqual([
        { qos: 1, retain: false, ids: [1, 268_435_455], released: false }, { qos: 2, retain: false, ids: [], released: false }, { qos: 1, retain: true, ids: [], released: false }])
      expect(page[0]!.message).toEqual({ ...m, payload: Buffer.from('1') })
      expect((await topics.queue(id('q/a'), 250, 250)).map(q => q.order)).toEqual(Array.from({ length: 50 }, (_, i) => 251 + i))
      expect(await topics.queue(id('q/'), 0, 1)).toEqual([])
      for (const s of ['q/a', 'q/']) await topics.commit([{ kind: 'session', session: id(s), endsMs: 0, expirySeconds: 1 }])
      const ends = new Map((await topics.sessions()).map(s => [s.id as string, s.queue]))
      expect([ends.get('q/a'), ends.get('q/')]).toEqual([{ count: 300, last: 300 }, { count: 0, last: 0 }])
      await topics.commit([{ kind: 'dequeue', session: id('q/a'), order: 1 }, { kind: 'dequeue', session: id('q/a'), order: 1 }, { kind: 'release', session: id('q/a'), order: 2 }, { kind: 'release', session: id('q/a'), order: 999 }])
      expect((await topics.queue(id('q/a'), 0, 2)).map(q => [q.order, q.released])).toEqual([[2, true], [3, false]])
      expect((await topics.queue(id('q/ab'), 0, 1))[0]!.message.payload.toString()).toBe('1') // the body is shared, and stays for the other
    })

    test('forgets a session whole, and nothing of another', async () => {
      const { topics } = opened.stores
      const both = ['gone/a', 'gone/ab'].map(id)
      for (const session of both) {
        await topics.commit([
          { kind: 'session', session, endsMs: 7, expirySeconds: 4_294_967_295 },
          ...ODD.map((filter): TopicChange => ({ kind: 'subscribe', session, subscription: { filter, qos: 2, noLocal: true, keepRetain: false, id: 9 } })),
          { kind: 'received', session, packetId: 1 }, { kind: 'received', session, packetId: 65_535 }, { kind: 'received', session, packetId: 77 }, { kind: 'completed', session, packetId: 77 }
        ])
      }
      await topics.commit([{ kind: 'enqueue', message: message('m'), to: both.map(s => to(s, 1)) }])
      await topics.commit([{ kind: 'forget', session: both[0]! }])
      await opened.reopen()
      const now = opened.stores.topics
      expect([await now.receivedIds(both[0]!), await now.receivedIds(both[1]!)]).toEqual([[], [1, 65_535]])
      expect([(await now.queue(both[0]!, 0, 9)).length, (await now.queue(both[1]!, 0, 9)).length]).toEqual([0, 1])
      const [left, ...none] = (await now.sessions()).filter(s => both.includes(s.id))
      expect(none).toEqual([])
      expect(left).toMatchObject({ id: both[1], endsMs: 7, expirySeconds: 4_294_967_295 })
      expect(left!.subscriptions.map(s => s.filter).sort()).toEqual([...ODD].sort())
      await now.commit(ODD.slice(1).map(filter => ({ kind: 'unsubscribe', session: both[1]!, filter })))
      expect((await now.sessions()).find(s => s.id === both[1])!.subscriptions).toEqual([{ filter: ODD[0], qos: 2, noLocal: true, keepRetain: false, id: 9 }])
    })

    test('keeps one will for a session, until it is taken away', async () => {
      const will = (over: Partial<StoredWill> = {}): StoredWill => ({ session: id('w/a'), message: message('will', { retain: true, qos: 2 }), messageExpirySeconds: 4_294_967_295, delaySeconds: 1, expirySeconds: 2, ...over })
      await opened.stores.topics.commit([{ kind: 'will', will: will() }, { kind: 'will', will: will({ delaySeconds: 9 }) }, { kind: 'will', will: will({ session: id('w/b') }) }])
      await opened.reopen()
      const { topics } = opened.stores
      expect(await topics.wills()).toEqual([will({ delaySeconds: 9 }), will({ session: id('w/b') })])
      await topics.commit([{ kind: 'no-will', session: id('w/a') }, { kind: 'forget', session: id('w/b') }])
      expect(await topics.wills()).toEqual([will({ session: id('w/b') })])
    })

    test('waits while it cannot commit, and keeps the order', async () => {
      const { topics } = opened.stores
      const goOn = opened.stall()
      const done: number[] = []
      const all = [1, 2, 3].map(async n => {
        await topics.commit([{ kind: 'retain', message: message('stalled', { payload: Buffer.from(`${n}`) }), version: n }])
        done.push(n)
      })
      while (opened.stores.health().ok) await new Promise(resolve => setImmediate(resolve))
      expect([done, await topics.retained(['stalled'])]).toEqual([[], [undefined]])
      goOn()
      await Promise.all(all)
      expect([done, (await topics.retained(['stalled']))[0]!.payload.toString()]).toEqual([[1, 2, 3], '3'])
    })

    test('what waits when the store is closed is refused, and so is what comes after', async () => {
      const one = await open()
      one.stall()
      const { topics } = one.stores
      const waiting = topics.commit([{ kind: 'retain', message: message('x'), version: 1 }])
      const closing = one.stores.close()
      await expect(waiting).rejects.toMatchObject({ code: 'unavailable' })
      await closing
      await expect(topics.commit([{ kind: 'retain', message: message('x'), version: 1 }])).rejects.toMatchObject({ code: 'unavailable' })
      await one.close()
    })
  })
}
