import type { IPublishPacket } from 'mqtt-packet'
import { Client } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

afterEach(closeAll)
const ALL = { acl: [{ allow: ['publish', 'subscribe'], topic: '#' }] }
const publisher = async (p: Parley): Promise<Client> => await p.client({ user: 'pub', device: `pub${Math.random()}`, clean: true, version: 5 })
const texts = (c: Client, topic = 'q'): string[] => c.on(topic).map(d => String(d.packet.payload))
const numbers = (from: number, to: number): string[] => range(from, to).map(String)

describe.each([['in the same process', false], ['after a restart', true]])('a persistent session, %s', (_name, restarts) => {
  const again = async (p: Parley): Promise<void> => { if (restarts) await p.restart() }

  test.each([4, 5] as const)('gets what came while it was away, in order, with subscriptions kept (version byte %i)', async version => {
    const p = await startParley(ALL)
    const me = { user: 'me', device: 'd', version }
    const first = await p.client({ ...me, subscribe: ['q/#'] })
    await first.subscribe('two', 2)
    await first.end()
    const pub = await publisher(p)
    for (let i = 1; i <= 200; i++) pub.publish('q/a', `${i}`, { properties: i === 7 ? { contentType: 'seven' } : undefined })
    await pub.say('two', '2', { qos: 1 })
    pub.publish('q/a', 'lost: QoS 0 is not kept', { qos: 0 })
    await pub.settled()
    await again(p)
    const second = await p.client(me)
    expect(second.connack.sessionPresent).toBe(true)
    await second.got('q/a', 200)
    await second.got('two', 1)
    expect(texts(second)).toEqual(numbers(1, 200))
    if (version === 5) expect(second.on('q/a')[6]!.packet.properties).toMatchObject({ contentType: 'seven' })
    await second.settled()
    await second.end()
    await again(p)
    const third = await p.client(me)
    await (await publisher(p)).say('q/a', 'new')
    await third.got('q/a', 1)
    expect(texts(third)).toEqual(['new'])
    expect(await unsubscribed(third, 'q/#')).toBe(true)
  })

  test('what was not acknowledged comes again with its packet id and DUP, before what is new [MQTT-4.4.0-1]', async () => {
    const p = await startParley(ALL)
    const me = { user: 'me', device: 'd', acks: false }
    const first = await p.client(me)
    await first.subscribe('q', 1)
    const pub = await publisher(p)
    for (const i of range(1, 5)) await pub.say('q', `${i}`)
    const ids = (await first.got('q', 5)).map(d => d.id)
    first.send({ cmd: 'puback', messageId: ids[1]! })
    await first.settled()
    first.destroy()
    await again(p)
    await (await publisher(p)).say('q', '6')
    const second = await p.client(me)
    expect((await second.got('q', 5)).map(d => [String(d.packet.payload), d.id, d.dup]).slice(0, 4)).toEqual([1, 3, 4, 5].map(i => [`${i}`, ids[i - 1], true]))
    expect(texts(second)[4]).toBe('6')
  })

  test('QoS 2 to a client is exactly once, wherever the exchange was cut', async () => {
    const p = await startParley(ALL)
    const me = { user: 'me', device: 'd', acks: false }
    let c = await p.client(me)
    await c.subscribe('q', 2)
    const pub = await publisher(p)
    const id = pub.publish('q', 'once', { qos: 2 })
    await pub.answer('pubrec', id)
    pub.send({ cmd: 'pubrel', messageId: id })
    const [{ id: mine } = { id: 0 }] = await c.got('q', 1)
    c.destroy() // before PUBREC
    await again(p)
    c = await p.client(me)
    expect((await c.got('q', 1)).map(d => [d.id, d.dup])).toEqual([[mine, true]])
    c.send({ cmd: 'pubrec', messageId: mine })
    await c.answer('pubrel', mine)
    c.destroy() // before PUBCOMP
    await again(p)
    c = await p.client(me)
    await c.answer('pubrel', mine)
    expect(texts(c)).toEqual([])
    c.send({ cmd: 'pubcomp', messageId: mine })
    await c.settled()
    await c.end()
    await again(p)
    c = await p.client(me)
    await c.settled()
    expect(c.heard.filter(h => h.cmd !== 'connack' && h.cmd !== 'pingresp')).toEqual([])
  })

  test('QoS 2 from a client is exactly once, wherever the exchange was cut', async () => {
    const p = await startParley(ALL)
    const watcher = { user: 'watcher', device: 'w' }
    const me = { user: 'me', device: 'd' }
    await (await p.client({ ...watcher, subscribe: ['q'] })).end()
    let c = await p.client(me)
    await c.answer('pubrec', c.publish('q', 'once', { qos: 2, id: 7 }))
    c.destroy()
    await again(p)
    c = await p.client(me)
    expect(c.connack.sessionPresent).toBe(true)
    await c.answer('pubrec', c.publish('q', 'once', { qos: 2, id: 7, dup: true }))
    c.send({ cmd: 'pubrel', messageId: 7 })
    await c.answer('pubcomp', 7)
    c.destroy()
    await again(p)
    c = await p.client(me)
    await c.answer('pubrec', c.publish('q', 'another with that id', { qos: 2, id: 7 }))
    c.send({ cmd: 'pubrel', messageId: 7 })
    await c.answer('pubcomp', 7)
    const w = await p.client(watcher)
    await w.got('q', 2)
    expect(texts(w)).toEqual(['once', 'another with that id'])
  })

  test('a clean start forgets all of it: queue, subscriptions, packet ids', async () => {
    const p = await startParley(ALL)
    const me = { user: 'me', device: 'd' }
    const first = await p.client({ ...me, subscribe: ['q'] })
    await first.answer('pubrec', first.publish('x', 'old', { qos: 2, id: 7 }))
    first.destroy()
    await (await publisher(p)).say('q', 'queued')
    await again(p)
    const second = await p.client({ ...me, clean: true, subscribe: ['x'] })
    expect(second.connack.sessionPresent).toBe(false)
    await second.answer('pubrec', second.publish('x', 'new', { qos: 2, id: 7 }))
    await second.got('x', 1)
    expect(second.heard.filter(h => h.cmd === 'publish')).toHaveLength(1)
    await second.end()
    await (await publisher(p)).say('q', 'nobody is there')
    await again(p)
    const third = await p.client(me)
    expect(third.connack.sessionPresent).toBe(false)
    await third.settled()
    expect(third.on('q')).toEqual([])
  })

  test('retained messages stay, until an empty one takes them away', async () => {
    const p = await startParley(ALL)
    const pub = await publisher(p)
    await pub.say('r/a', 'first', { retain: true })
    await pub.say('r/a', 'second', { retain: true, properties: { userProperties: { k: 'v' } } })
    await pub.answer('pubrec', pub.publish('r/b', 'b', { qos: 2, retain: true }))
    pub.publish('r/c', 'c', { qos: 0, retain: true })
    await pub.say('r/d', 'd', { retain: true })
    await pub.say('r/d', '', { retain: true })
    await again(p)
    const sub = await p.client({ user: 'sub', clean: true, version: 5 })
    await sub.subscribe('r/#', 1)
    const got = await sub.got('r', 3)
    await sub.settled()
    expect(got.map(d => [d.topic, String(d.packet.payload), d.qos, d.packet.retain]).sort()).toEqual([['r/a', 'second', 1, true], ['r/b', 'b', 1, true], ['r/c', 'c', 0, true]])
    expect(got.find(d => d.topic === 'r/a')!.packet.properties?.userProperties).toEqual({ k: 'v' })
    expect(sub.on('r')).toHaveLength(3)
  })
})

async function unsubscribed (c: Client, filter: string): Promise<boolean> {
  const messageId = c.id()
  c.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [filter] })
  const ack = await c.answer('unsuback', messageId) as { granted?: number[] }
  return c.version < 5 || ack.granted?.[0] === 0
}

test('a session ends when its expiry has passed, also the one that DISCONNECT names, and after a restart', async () => {
  const clock = new FakeClock()
  const p = await startParley(ALL, clock)
  const session = async (device: string, seconds: number, more: object = {}): Promise<Client> =>
    await p.client({ user: 'me', device, version: 5, properties: { sessionExpiryInterval: seconds }, subscribe: ['q'], ...more })
  for (const [device, seconds] of [['short', 10], ['long', 1000], ['none', 0]] as const) await (await session(device, seconds)).end()
  const named = await session('named', 1000)
  named.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5 } })
  await named.untilClosed()
  await (await publisher(p)).say('q', 'x')
  clock.advance(11_000)
  await p.restart()
  for (const [device, present] of [['short', false], ['long', true], ['none', false], ['named', false]] as const) {
    const c = await session(device, 1000, { subscribe: [] })
    expect([device, c.connack.sessionPresent]).toEqual([device, present])
    if (present) await c.got('q', 1)
    await c.settled()
    expect(texts(c)).toEqual(present ? ['x'] : [])
  }
})

test('a session that is over is forgotten although it never comes back', async () => {
  const clock = new FakeClock()
  const p = await startParley(ALL, clock)
  await (await p.client({ user: 'me', device: 'd', version: 5, properties: { sessionExpiryInterval: 30 }, subscribe: ['q'] })).end()
  const metric = async (): Promise<string | undefined> => /parley_topic_sessions (\d+)/.exec(await (await p.http('/metrics')).text())?.[1]
  expect(await metric()).toBe('1')
  clock.advance(120_000)
  while (await metric() !== '0') await new Promise(resolve => setImmediate(resolve))
})

test('a Session Expiry Interval in DISCONNECT where CONNECT had none is an error', async () => {
  const p = await startParley(ALL)
  const c = await p.client({ user: 'me', version: 5, clean: true })
  c.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5 } })
  await c.untilClosed()
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
})

test('messages expire in the queue and among the retained; what is left of the time is told [MQTT5-3.3.2-5 3.3.2-6]', async () => {
  const clock = new FakeClock()
  const p = await startParley(ALL, clock)
  await (await p.client({ user: 'me', device: 'd', version: 5, subscribe: ['q'] })).end()
  const pub = await publisher(p)
  for (const seconds of [10, 100]) {
    await pub.say('q', `${seconds}`, { properties: { messageExpiryInterval: seconds } })
    await pub.say(`r/${seconds}`, `${seconds}`, { retain: true, properties: { messageExpiryInterval: seconds } })
  }
  clock.advance(10_500)
  const c = await p.client({ user: 'me', device: 'd', version: 5, subscribe: ['r/#'] })
  await c.got('q', 1)
  await c.got('r', 1)
  await c.settled()
  expect((c.heard.filter(h => h.cmd === 'publish') as IPublishPacket[]).map(h => [h.topic, h.properties?.messageExpiryInterval])).toEqual([['q', 90], ['r/100', 90]])
})

test('a queue is bounded: what is over the limit is dropped and counted, and the rest arrives', async () => {
  const p = await startParley({ ...ALL, limits: { queuedMessages: 20 } })
  const me = { user: 'me', device: 'd' }
  await (await p.client({ ...me, subscribe: ['q'] })).end()
  const pub = await publisher(p)
  for (const i of range(1, 50)) await pub.say('q', `${i}`)
  const c = await p.client(me)
  await c.got('q', 20)
  await c.settled()
  expect(texts(c)).toEqual(numbers(1, 20))
  expect(await (await p.http('/metrics')).text()).toContain('parley_topic_dropped_total{reason="queue"} 30')
  await pub.say('q', 'room again')
  await c.got('q', 21)
})

test('more than a window and a page of a queue arrives whole and in order', async () => {
  const p = await startParley({ ...ALL, limits: { queuedMessages: 0 } })
  const me = { user: 'me', device: 'd' }
  await (await p.client({ ...me, subscribe: ['q'] })).end()
  const pub = await publisher(p)
  for (const i of range(1, 1500)) { const id = pub.publish('q', `${i}`); if (i % 50 === 0) await pub.answer('puback', id) }
  const c = await p.client(me)
  for (const i of range(1501, 1600)) pub.publish('q', `${i}`)
  await c.got('q', 1600)
  expect(texts(c)).toEqual(numbers(1, 1600))
})

test('more retained messages than a queue holds are all given to a new subscription', async () => {
  const p = await startParley({ ...ALL, limits: { queuedMessages: 100 } })
  const pub = await publisher(p)
  for (const i of range(1, 600)) { const id = pub.publish(`r/${i}`, `${i}`, { retain: true }); if (i % 50 === 0) await pub.answer('puback', id) }
  for (const clean of [true, false]) {
    const c = await p.client({ user: 'sub', device: `${clean}`, clean })
    await c.subscribe('r/+', 1)
    await c.got('r', 600)
    expect(new Set(c.on('r').map(d => d.topic)).size).toBe(600)
  }
})

test('over the limit of retained messages, MQTT 5 is told, and subscribers get the message all the same', async () => {
  const p = await startParley({ ...ALL, limits: { retainedMessages: 2 } })
  const pub = await publisher(p)
  const sub = await p.client({ user: 'sub', clean: true, subscribe: ['r/#'] })
  for (const t of ['r/1', 'r/2']) expect(await pub.say(t, 'x', { retain: true })).toMatchObject({ reasonCode: 0 })
  expect(await pub.say('r/3', 'x', { retain: true })).toMatchObject({ reasonCode: 0x97 })
  expect(await pub.say('r/2', 'y', { retain: true })).toMatchObject({ reasonCode: 0 })
  await sub.got('r', 4)
  const late = await p.client({ user: 'late', clean: true, subscribe: ['r/#'] })
  await late.got('r', 2)
  await late.settled()
  expect(late.on('r').map(d => d.topic).sort()).toEqual(['r/1', 'r/2'])
})

test('a takeover hands the session on: what was in flight comes again, nothing is lost', async () => {
  const p = await startParley(ALL)
  const me = { user: 'me', device: 'd', acks: false }
  const first = await p.client({ ...me, subscribe: ['q'] })
  const pub = await publisher(p)
  await pub.say('q', '1')
  await first.got('q', 1)
  const second = await Client.connect(p.port('mqtt'), me)
  await first.untilClosed()
  await pub.say('q', '2')
  await second.got('q', 2)
  expect(second.on('q').map(d => [String(d.packet.payload), d.dup])).toEqual([['1', true], ['2', false]])
  second.destroy()
})
