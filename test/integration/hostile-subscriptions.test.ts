import type { ISubackPacket } from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import type { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

async function subscribe (c: Client, filters: string[], qos: 0 | 1 | 2 = 1): Promise<number[]> {
  const messageId = c.id()
  c.send({ cmd: 'subscribe', messageId, subscriptions: filters.map(topic => ({ topic, qos, nl: false, rap: false, rh: 0 })) })
  return (await c.answer('suback', messageId) as ISubackPacket).granted as number[]
}

/** What mallory might try to hear what bob is told. */
const DISGUISES = [
  '#', '+', '+/#', '+/+', '+/bob/#', '+/bob/msg', '+/+/msg', '/#', '/+', 'u', 'u/#', 'u/+', 'u/+/#', 'u/+/msg', 'u/+/+', 'u/bob', 'u/bob/#', 'u/bob/+', 'u/bob/msg', 'u/bob/msg/#',
  'u/bob/msg/+', 'u/BOB/msg', 'u//bob/#', 'u/mallory', 'u/mallory/../bob/#', 'u/mallory/msg/#', 'u/mallory/+/#', 'me', 'me/', 'me//', 'me/../bob/#', 'me/+/#', 'me/msg/#', 'me/rpc/x', 'me/rpc/#', 'ME/#', 'mе/#',
  'g', 'g/#', 'g/+/msg', 'g/team/#', 'g/team/msg', 'rpc/#', 'rpc/+', 'state', 'state/#', 'presence/#', 'presence/+', 'p/#', 'parley/#',
  '$share/x/me/#', '$share/x/u/bob/#', '$share/x/u/mallory/#', '$share/x/#', '$share/x/+/bob/#', '$share/x/g/team/msg', '$share/me/#', '$share//me/#', '$share/x', '$share/', '$share',
  '$queue/u/bob/#', '$queue/me/#', '$SYS/#', '$SYS/+/new/clients', '$denied/0/me/#', '$repeated/0/me/#', '$repeated/0/u/bob/#', '$nothing', '$',
  'constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', '__proto__/#', 'u/__proto__/#', 'u/constructor/msg', '0', '1', '-1', '65536'
]

test.each([[3, 0x80], [4, 0x80], [5, 0x87]] as const)('nobody hears what another is told, whatever the filter looks like (version byte %i)', async (version, refused) => {
  const p = await startParley()
  const by = await Bystanders.join(p)
  const mallory = await p.client({ user: 'mallory', version })
  for (const f of DISGUISES) expect([f, await subscribe(mallory, [f])]).toEqual([f, [refused]])
  expect(await subscribe(mallory, DISGUISES)).toEqual(DISGUISES.map(() => refused))
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  await alice.say('u/bob/msg', { body: 'a secret' })
  await alice.say('g/team/msg', { body: 'a secret of the team' })
  alice.publish('u/bob/sig', { typing: true }, { qos: 0 })
  bob.publish('u/alice/rcpt', { read: 1 }, { qos: 0 })
  await bob.got('me/msg', 3)
  await alice.settled()
  await mallory.settled()
  expect(mallory.heard.filter(h => h.cmd === 'publish')).toEqual([])
  // and it is as if it had subscribed nothing
  await mallory.end()
  const back = await p.client({ user: 'mallory', version })
  await alice.say('u/bob/msg', { body: 'another secret' })
  await back.settled()
  expect(back.heard.filter(h => h.cmd === 'publish')).toEqual([])
  await by.unharmed()
})

test.each([4, 5] as const)('SUBACK has a code for each filter, in their order, repeated ones too (version byte %i)', async version => {
  const p = await startParley()
  const no = version === 5 ? 0x87 : 0x80
  const c = await p.client({ user: 'alice', version })
  const filters = ['me/#', '7', 'me/evt', '__proto__', 'me/#', 'constructor', '3', 'u/alice/#', 'me/#', 'u/bob/#', 'u/bob/#', '$share/x/me/#']
  expect(await subscribe(c, filters, 2)).toEqual([1, no, 1, no, 1, no, no, 1, 1, no, no, no])
  await c.say('u/alice/msg', { cid: 'c', body: 1 })
  expect(await c.got('me/ack', 1)).toHaveLength(1)
  await c.end()
  // what is kept is what was granted, once
  const again = await p.client({ user: 'alice', version })
  expect(again.connack.sessionPresent).toBe(true)
  await again.say('u/alice/msg', { cid: 'd', body: 1 })
  await again.got('me/ack', 1)
})

test('of a filter that is given twice in one packet the last QoS counts', async () => {
  const p = await startParley()
  const c = await p.client({ user: 'alice', acks: false })
  c.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'me/msg', qos: 1 }, { topic: 'me/msg', qos: 0 }] })
  expect((await c.answer('suback', 9) as ISubackPacket).granted).toEqual([1, 0])
  const bob = await p.client({ user: 'bob' })
  await bob.say('u/alice/msg', { body: 1 })
  expect((await c.got('me/msg', 1))[0]!.qos).toBe(0)
})

test.each([['me/#/x'], ['#/me'], ['me#'], ['me/+x'], ['a+'], ['x+/#'], ['']])('a filter that is none (%j) ends the connection, and only that', async filter => {
  const p = await startParley()
  const by = await Bystanders.join(p)
  for (const version of [4, 5] as const) {
    for (const cmd of ['subscribe', 'unsubscribe'] as const) {
      const c = await p.client({ user: 'mallory', version })
      c.send(cmd === 'subscribe' ? { cmd, messageId: 1, subscriptions: [{ topic: 'me/#', qos: 1 }, { topic: filter, qos: 1 }] } : { cmd, messageId: 1, unsubscriptions: [filter] })
      await c.untilClosed()
      if (version === 5) expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect' })
    }
  }
  await by.unharmed()
})

test.each([4, 5] as const)('UNSUBSCRIBE of anything is answered (version byte %i)', async version => {
  const p = await startParley()
  const by = await Bystanders.join(p)
  const c = await p.client({ user: 'alice', version, subscribe: ['me/#'] })
  const names = [...DISGUISES, 'me/#', 'a/'.repeat(200)]
  c.send({ cmd: 'unsubscribe', messageId: 77, unsubscriptions: names })
  const ack = await c.answer('unsuback', 77)
  if (version === 5) expect(ack).toMatchObject({ granted: names.map(n => n === 'me/#' ? 0 : 0x11) })
  await c.say('u/alice/msg', { cid: 'c', body: 1 })
  await c.settled()
  expect(c.heard.filter(h => h.cmd === 'publish')).toEqual([])
  await by.unharmed()
})

test('topics of 64 kB and of a thousand levels are refused like any other', async () => {
  const p = await startParley()
  const by = await Bystanders.join(p)
  const c = await p.client({ user: 'mallory' })
  for (const f of ['x'.repeat(65_535), '/'.repeat(65_535), 'a/'.repeat(1000), `u/${'b'.repeat(60_000)}/#`, `me/${'x'.repeat(60_000)}`]) expect(await subscribe(c, [f])).toEqual([0x80])
  await by.unharmed()
})

test.each([4, 5] as const)('10,000 filters in one packet: a code for each, and nobody else waits for them (version byte %i)', async version => {
  const p = await startParley()
  const by = await Bystanders.join(p)
  const c = await p.client({ user: 'mallory', version })
  const no = version === 5 ? 0x87 : 0x80
  for (const [filter, code] of [[() => 'me/#', 1], [i => `u/bob/${i}`, no], [i => i % 2 === 0 ? 'me/msg' : '\ufffd', null]] as [(i: number) => string, number | null][]) {
    const filters = range(1, 10_000).map(filter)
    const granted = await subscribe(c, filters)
    expect(granted).toEqual(filters.map(f => code ?? (f === 'me/msg' ? 1 : no)))
    await by.unharmed()
    const messageId = c.id()
    c.send({ cmd: 'unsubscribe', messageId, unsubscriptions: filters })
    await c.answer('unsuback', messageId)
  }
  await by.unharmed()
})

test('who floods SUBSCRIBE is answered in order, and is alone in waiting', async () => {
  const p = await startParley()
  const by = await Bystanders.join(p)
  const c = await p.client({ user: 'mallory' })
  const n = 3000
  for (const messageId of range(1, n)) c.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: 'me/#', qos: messageId % 2 as 0 | 1 }, { topic: 'u/bob/#', qos: 1 }] })
  await by.unharmed()
  expect(c.heard.filter(h => h.cmd === 'suback').length).toBeLessThan(n)
  await c.end()
  await by.unharmed()
})
