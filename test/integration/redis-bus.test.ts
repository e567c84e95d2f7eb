import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRedis } from '../../broker/bus/redis/open.js'
import type { RedisBus } from '../../broker/bus/redis/bus.js'
import { ALL, type Channel, type News } from '../../broker/ports/bus.js'
import { systemClock } from '../../broker/ports/clock.js'
import type { ServerProcess } from '../servers/server-process.js'
import { newRedis } from '../servers/shared.js'
import { startRedis } from '../servers/valkey.js'
import { recordingLogger } from '../support/recording-logger.js'

interface Ear { bus: RedisBus, heard: [Channel, News][], states: string[], count: { published: number, dropped: number } }
const ears: Ear[] = []
afterEach(async () => { for (const e of ears.splice(0)) await e.bus.close() })

async function ear (at: { url: string, keyPrefix: string }): Promise<Ear> {
  const e: Ear = { bus: null as never, heard: [], states: [], count: { published: 0, dropped: 0 } }
  const { bus } = await openRedis({ ...at, clock: systemClock, logger: recordingLogger(), count: e.count })
  e.bus = bus
  bus.serve({ heard: (channel, news) => { e.heard.push([channel, news]) }, lost: () => { e.states.push('lost') }, back: () => { e.states.push('back') } })
  ears.push(e)
  await until(() => bus.health().ok)
  return e
}

async function until (what: () => boolean): Promise<void> {
  const late = Date.now() + 15_000
  while (!what()) {
    if (Date.now() > late) throw new Error(`never: ${String(what)}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

const event = (n: number): News => ({ kind: 'event', event: { type: `n${n}` } })
const conv = 'd/alice/bob' as never
const entry = (fields: Buffer, bytes: Buffer | null, push: Buffer): News => ({
  kind: 'entry', afterMs: 5, effects: { members: [{ user: 'x' as never, role: null }] },
  entry: { conv, seq: 7, ts: 9, counts: [1, 2], from: 'alice' as never, dev: 'é\u{1F4F1}' as never, cid: 'c', type: 'text', fields, bytes, exp: 0, hash: 2 ** 52, packetId: 3, push }
})

describe('news', () => {
  test('goes in order to all nodes that listen, and not to its own', async () => {
    const at = await newRedis()
    const [a, b, c] = [await ear(at), await ear(at), await ear(at)]
    await Promise.all([a, b].map(async e => { await e.bus.listen('u:bob' as Channel) }))
    const sent = Array.from({ length: 200 }, (_, i) => event(i))
    for (const n of sent) a.bus.publish('u:bob' as Channel, n)
    a.bus.publish(ALL, event(-1))
    await until(() => b.heard.length === 201 && c.heard.length === 1)
    expect(b.heard.slice(0, 200)).toEqual(sent.map(n => ['u:bob', n]))
    expect([a.heard, c.heard]).toEqual([[], [['all', event(-1)]]])
    b.bus.ignore('u:bob' as Channel)
    await b.bus.listen('u:carol' as Channel) // answered after it
    a.bus.publish('u:bob' as Channel, event(1))
    a.bus.publish('u:carol' as Channel, event(2))
    await until(() => b.heard.length === 202)
    expect(b.heard[201]).toEqual(['u:carol', event(2)])
  })

  test('of an entry brings all of it, to the byte', async () => {
    const at = await newRedis()
    const [a, b] = [await ear(at), await ear(at)]
    await b.bus.listen('u:bob' as Channel)
    const all = [entry(Buffer.from('"body":"é"'), null, Buffer.alloc(0)), entry(Buffer.alloc(0), Buffer.alloc(70_000, 7), Buffer.from('{}')), entry(Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(3))]
    for (const n of all) a.bus.publish('u:bob' as Channel, n)
    await until(() => b.heard.length === 3)
    expect(b.heard.map(([, n]) => n)).toEqual(all)
  })

  test('of another prefix, of another version or of no node of ours is not heard', async () => {
    const at = await newRedis()
    const [a, b] = [await ear(at), await ear({ ...at, keyPrefix: `${at.keyPrefix}x` })]
    await a.bus.listen(ALL)
    b.bus.publish(ALL, event(1))
    const raw = (a.bus as unknown as { deps: { publisher: { publish (channel: string, m: Buffer | string): Promise<number> } } }).deps.publisher
    for (const bad of ['', 'x', Buffer.from([255, 255, 255, 255]), Buffer.from('\0\0\0\x02{}'), Buffer.from('\0\0\0\x0f{"v":2,"node":1}')]) await raw.publish(`${at.keyPrefix}all`, bad)
    const c = await ear(at)
    c.bus.publish(ALL, event(2))
    await until(() => a.heard.length > 0)
    expect(a.heard).toEqual([['all', event(2)]])
  })

  test('many thousand channels are asked for at once', async () => {
    const at = await newRedis()
    const [a, b] = [await ear(at), await ear(at)]
    const channels = Array.from({ length: 5000 }, (_, i) => `u:user-${i}` as Channel)
    await Promise.all(channels.map(async c => { await b.bus.listen(c) }))
    for (const c of channels) a.bus.publish(c, event(0))
    await until(() => b.heard.length === 5000)
  })
})

describe('a server that goes away', () => {
  let dir: string
  let server: ServerProcess
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'parley-redis-'))
    server = await startRedis(dir)
  })
  afterEach(async () => {
    await server.kill9()
    rmSync(dir, { recursive: true })
  })

  test.each(['killed', 'frozen'])('%s: nodes hear of it within seconds, and when it is back what they listen to is heard again', async how => {
    const at = { url: `redis://127.0.0.1:${server.port}`, keyPrefix: 'p:' }
    const [a, b] = [await ear(at), await ear(at)]
    await b.bus.listen('u:bob' as Channel)
    if (how === 'killed') await server.kill9()
    else server.signal('SIGSTOP')
    await until(() => [a, b].every(e => e.states.at(-1) === 'lost'))
    expect(a.bus.health()).toMatchObject({ ok: false })
    for (let i = 0; i < 20_000; i++) a.bus.publish('u:bob' as Channel, event(i)) // waits for nobody, and keeps nothing
    await b.bus.listen('u:later' as Channel)
    expect(a.count.dropped).toBeGreaterThan(10_000)
    if (how === 'killed') await server.start()
    else server.signal('SIGCONT')
    await until(() => [a, b].every(e => e.states.at(-1) === 'back' && e.bus.health().ok))
    // whose news was lost says so to all
    await until(() => b.heard.some(([channel, n]) => channel === 'all' && n.kind === 'lost'))
    for (const c of ['u:bob' as Channel, 'u:later' as Channel]) a.bus.publish(c, event(-1))
    await until(() => b.heard.filter(([, n]) => n.kind === 'event' && n.event.type === 'n-1').length === 2)
  })
})

test.each([
  ['redis://127.0.0.1:1', 'ECONNREFUSED'], ['redis://h:x', 'no host:port'], ['http://x', 'redis.url is none of'], ['redis+sentinel://h:1', 'mymaster'], ['redis://h/x', 'the database is a number']
])('%s is refused in a sentence', async (url, says) => {
  await expect(openRedis({ url, keyPrefix: '', clock: systemClock, logger: recordingLogger(), count: { published: 0, dropped: 0 } })).rejects.toThrow(says)
})

test('a wrong password is refused, and not told', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'parley-redis-'))
  const server = await startRedis(dir, 'redis', ['--requirepass', 'right'])
  try {
    const refused = openRedis({ url: `redis://:wrong@127.0.0.1:${server.port}`, keyPrefix: '', clock: systemClock, logger: recordingLogger(), count: { published: 0, dropped: 0 } })
    await expect(refused).rejects.toThrow(/^Redis at 127\.0\.0\.1:\d+ cannot be used: it refuses the user or the password/)
    await expect(refused).rejects.not.toThrow('wrong')
    await (await ear({ url: `redis://:right@127.0.0.1:${server.port}`, keyPrefix: '' })).bus.close()
  } finally {
    await server.kill9()
    rmSync(dir, { recursive: true })
  }
})
