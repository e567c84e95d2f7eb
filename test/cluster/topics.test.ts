import { newServers } from '../servers/shared.js'
import type { Client, ClientOptions } from '../support/client.js'
import { OPEN_TOPICS, payloads, sayOnce } from '../support/ordinary.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let drop: () => Promise<void>
let a: Parley
let b: Parley
beforeEach(async () => {
  const servers = await newServers()
  drop = servers.drop
  ;[a, b] = [await startParley({ ...servers.settings, acl: OPEN_TOPICS }), await startParley({ ...servers.settings, acl: OPEN_TOPICS })]
})
afterEach(async () => {
  await closeAll()
  await drop()
})

const kept = (user: string, more: Partial<ClientOptions> = {}): ClientOptions => ({ user, version: 5, properties: { sessionExpiryInterval: 1000 }, ...more })
const numbers = (n: number): string[] => Array.from({ length: n }, (_, i) => String(i))
const left = async (c: Client): Promise<void> => { c.destroy(); await c.untilClosed() }

test('what is published on one node is heard on the other at every QoS, and what is retained is there for who comes later', async () => {
  const live = await b.client({ user: 'bob', clean: true })
  for (const qos of [0, 1, 2] as const) await live.subscribe(`t/${qos}`, qos)
  const alice = await a.client({ user: 'alice', clean: true })
  for (const qos of [0, 1, 2] as const) {
    for (const n of numbers(20)) alice.publish(`t/${qos}`, n, { qos: qos === 2 ? 1 : qos })
    await live.got(`t/${qos}`, 20)
    expect(payloads(live, `t/${qos}`)).toEqual(numbers(20))
  }
  await live.subscribe('lamp/#')
  await alice.say('lamp', 'first', { retain: true })
  await alice.say('lamp', 'last', { retain: true })
  await alice.say('lamp/gone', 'x', { retain: true })
  await alice.say('lamp/gone', '', { retain: true })
  await live.got('lamp', 4) // news of it has come
  const late = await b.client({ user: 'carol', clean: true, subscribe: ['lamp/#'] })
  await late.got('lamp', 1)
  await late.settled()
  expect(late.on('lamp').map(d => [d.topic, d.packet.payload.toString(), d.packet.retain])).toEqual([['lamp', 'last', true]])
})

test('a queue that was filled on both nodes is read on either, in order and once', async () => {
  const bob = await a.client(kept('bob', { subscribe: ['q/#'] }))
  await left(bob)
  const [alice, anna] = [await a.client({ user: 'alice' }), await b.client({ user: 'anna' })]
  for (const n of numbers(100)) {
    await alice.say('q/a', n)
    await anna.say('q/b', n)
  }
  const back = await b.client(kept('bob', { clean: false }))
  expect(back.connack.sessionPresent).toBe(true)
  await back.got('q', 200)
  await back.settled()
  expect([payloads(back, 'q/a'), payloads(back, 'q/b')]).toEqual([numbers(100), numbers(100)])
  expect(back.on('q').some(d => d.dup)).toBe(false)
  await left(back)
  const third = await a.client(kept('bob', { clean: false }))
  await alice.say('q/a', 'new')
  await third.got('q', 1)
  expect(payloads(third, 'q')).toEqual(['new'])
})

test('publishers on both nodes fill one connected session faster than it takes: nothing is lost or doubled', async () => {
  const bob = await b.client(kept('bob', { subscribe: ['busy/#'] }))
  const [alice, anna] = [await a.client({ user: 'alice' }), await b.client({ user: 'anna' })]
  for (const n of numbers(400)) {
    alice.publish('busy/a', n)
    anna.publish('busy/b', n)
  }
  await bob.got('busy', 800)
  await bob.settled()
  expect([payloads(bob, 'busy/a'), payloads(bob, 'busy/b')]).toEqual([numbers(400), numbers(400)])
})

test('overlapping subscriptions get one copy across nodes', async () => {
  for (const options of [kept('bob'), { user: 'carol', clean: true }]) {
    const c = await b.client(options)
    for (const filter of ['o/#', 'o/+', 'o/x']) await c.subscribe(filter)
    const alice = await a.client({ user: 'alice' })
    await alice.say('o/x', '1')
    await alice.say('o/x', '2')
    await c.got('o', 2)
    await c.settled()
    expect(payloads(c, 'o')).toEqual(['1', '2'])
  }
})

test('QoS 2 to a session that moves to the other node in the middle of it arrives exactly once', async () => {
  const bob = await a.client(kept('bob', { acks: false }))
  await bob.subscribe('two/#', 2)
  const alice = await b.client({ user: 'alice', version: 5 })
  for (const n of numbers(10)) await sayOnce(alice, 'two/x', n)
  await bob.got('two', 10)
  // of the first five the exchange is half over, the others come again
  const first = bob.on('two')
  for (const d of first.slice(0, 5)) bob.send({ cmd: 'pubrec', messageId: d.id })
  for (const d of first.slice(0, 5)) await bob.answer('pubrel', d.id)
  const back = await b.client(kept('bob', { clean: false }))
  await back.got('two', 5)
  for (const d of first.slice(0, 5)) await back.answer('pubrel', d.id)
  await back.settled()
  expect(back.on('two').map(d => [d.packet.payload.toString(), d.id, d.dup])).toEqual(first.slice(5).map(d => [d.packet.payload.toString(), d.id, true]))
})

test('QoS 2 from a client that moves to the other node in the middle of it is published exactly once', async () => {
  const bob = await b.client({ user: 'bob', clean: true })
  await bob.subscribe('from/#', 2)
  const alice = await a.client(kept('alice'))
  const id = alice.publish('from/x', 'once', { qos: 2 })
  await alice.answer('pubrec', id)
  const back = await b.client(kept('alice', { clean: false }))
  back.publish('from/x', 'once', { qos: 2, dup: true, id })
  await back.answer('pubrec', id)
  back.send({ cmd: 'pubrel', messageId: id })
  await back.answer('pubcomp', id)
  back.publish('from/x', 'again', { qos: 2, id })
  await back.answer('pubrec', id)
  await bob.got('from', 2)
  await bob.settled()
  expect(payloads(bob, 'from')).toEqual(['once', 'again'])
})

test('a shared subscription over both nodes gives each message to exactly one, and to who is there', async () => {
  const members = [await a.client({ user: 'm1', clean: true }), await b.client({ user: 'm2', clean: true }), await b.client(kept('m3'))]
  for (const m of members) await m.subscribe('$share/g/work/#')
  const heard = (): string[] => members.flatMap(m => payloads(m, 'work'))
  const all = async (n: number): Promise<void> => { while (heard().length < n) await Promise.race(members.filter(m => !m.closed).map(async m => { await m.until(() => heard().length >= n || m.closed) })) }
  const [alice, anna] = [await a.client({ user: 'alice' }), await b.client({ user: 'anna' })]
  for (const n of numbers(30)) {
    await alice.say('work/a', `a${n}`)
    await anna.say('work/b', `b${n}`)
  }
  await all(60)
  expect(heard().sort()).toEqual(numbers(30).flatMap(n => [`a${n}`, `b${n}`]).sort())
  // from one node alone, too, all of them have their turn
  let n = 0
  for (; !members.every(m => m.on('work/turn').length >= 5); n++) {
    expect(n).toBeLessThan(1000)
    await alice.say('work/turn', String(n))
    for (const m of members) await m.settled()
  }
  await all(60 + n)
  expect(members.flatMap(m => payloads(m, 'work/turn')).map(Number).sort((x, y) => x - y)).toEqual(numbers(n).map(Number))
})

test('a session that is over on one node is over on the other: nothing is queued for it, and it is not present', async () => {
  const bob = await a.client(kept('bob', { subscribe: ['over/#'] }))
  await left(bob)
  const clean = await b.client({ user: 'bob', version: 5, clean: true })
  await clean.end()
  const alice = await a.client({ user: 'alice' })
  await alice.say('over/x', '1')
  const back = await a.client(kept('bob', { clean: false }))
  expect(back.connack.sessionPresent).toBe(false)
  await back.settled()
  expect(payloads(back, 'over')).toEqual([])
})
