import { Bystanders } from '../support/bystanders.js'
import type { Client } from '../support/client.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let p: Parley
let by: Bystanders
beforeEach(async () => { p = await startParley(); by = await Bystanders.join(p) })
afterEach(async () => { await by.unharmed(); await closeAll() })

const long = 'x'.repeat(65_000)
/** Topics of ours that nobody may publish to: the branches of inboxes, and what is no topic of the grammar. */
const FORGED = [
  'u/bob/ack', 'u/bob/rpc', 'u/bob/gap', 'u/bob/evt', 'u/bob/batch', 'u/bob/MSG', 'u/bob/sig/x', 'u/bob/rcpt/x', 'u/bob/msg/', 'u/bob/msg/a/b', 'u/bob/msg//', 'u/bob//msg', 'u/bob', 'u/bob/', 'u', 'u/', 'u//msg',
  'me', 'me/', 'me/msg', 'me/ack', 'me/raw', 'me/sig', 'me/rcpt', 'me/rpc', 'me/evt', 'me/#', 'g', 'g/', 'g/x', 'g/x/rpc', 'g/x/ack', 'g//msg', 'g/x/state', 'rpc', 'rpc/', 'rpc/a/b', 'rpc/A', 'rpc/a.b.c', 'rpc/__proto__', 'rpc/server.info/',
  'state/x', 'state/', 'presence', 'presence/bob', 'presence/+', 'p/x', 'p', 'parley', 'parley/admin',
  'u/+/msg', 'u/#', 'u/bob/#', 'u/bob/+', 'u/+4917012345678/msg', 'u/bob/msg/+', 'u/bob/msg/#', 'u/bob/msg/a+b', 'u/bob/msg/a#b', 'g/+/msg', 'g/#/msg',
  'u/../bob/msg', 'u/bob/../msg', 'u/./msg/..//', 'u/b ob/msg', 'u/bób/msg', 'u/bob%2Fmsg/msg', `u/${'b'.repeat(129)}/msg`, `u/${long}/msg`, `me/${long}`, `u/bob/${long}`, `u/bob/msg/${long.slice(0, 100)}é`, `${'u/'.repeat(20_000)}`
]

test.each([3, 4, 5] as const)('forged branches and topics outside the grammar are refused, and reach nobody (version byte %i)', async version => {
  const bob = await p.client({ user: 'bob', subscribe: ['me/#', 'u/bob/#'] })
  const c = await p.client({ user: 'mallory', version, subscribe: ['me/#'] })
  for (const topic of FORGED) {
    for (const qos of [1, 2] as const) {
      const before = c.on('me/ack').length
      const id = c.publish(topic, '{"body":1}', { qos })
      const ack = await c.answer(qos === 1 ? 'puback' : 'pubrec', id)
      expect([topic, c.on('me/ack').slice(before).map(d => d.json)]).toEqual([topic, [{ topic: topic.slice(0, 1024), error: { code: 'bad-request', message: expect.any(String) as string } }]])
      if (version === 5) expect([topic, ack]).toMatchObject([topic, { reasonCode: 0x90 }])
      else if (qos === 2) { c.send({ cmd: 'pubrel', messageId: id }); await c.answer('pubcomp', id) }
    }
    c.publish(topic, '{"body":1}', { qos: 0 })
    await c.settled()
  }
  await bob.settled()
  expect(bob.heard.filter(h => h.cmd === 'publish')).toEqual([])
})

test('ids like members of Object.prototype are ids', async () => {
  const c = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const ids = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '..', '.', '-', '0', '=', '@', '|', '~', '!', 'x'.repeat(128)]
  for (const id of ids) {
    const other = await p.client({ user: id, device: id, subscribe: ['me/#'] })
    await c.say(`u/${id}/msg/${id.slice(0, 64)}`, { body: id })
    expect((await other.got('me/msg', 1))[0]!.json).toMatchObject({ conv: 'u/alice', seq: 1, body: id })
    await other.say('u/alice/msg', { body: 'back' })
    other.publish('u/alice/rcpt', { read: 1 }, { qos: 0 })
    await other.rpc('history', { conv: 'u/alice' })
    const group = await other.rpc('group.create', { group: id, members: ['alice'] })
    expect([id, group.error]).toEqual([id, undefined])
    await other.say(`g/${id}/msg`, { body: 'to all' })
    await c.until(() => c.on('me/msg').some(d => d.json.conv === `g/${id}` && d.json.body === 'to all'))
  }
  const inbox = (await c.rpc('inbox', { limit: 100 })).result as { conversations: { conv: string }[] }
  expect(inbox.conversations.map(v => v.conv).sort()).toEqual(ids.flatMap(id => [`u/${id}`, `g/${id}`]).sort())
})

test.each([4, 5] as const)('retain is refused on each topic of ours (version byte %i)', async version => {
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const c = await p.client({ user: 'alice', version, subscribe: ['me/#'] })
  const named: [string, object][] = [
    ['u/bob/msg', { conv: 'u/bob' }], ['u/bob/msg/c', { cid: 'c' }], ['g/team/raw', { conv: 'g/team' }], ['u/bob/sig', { topic: 'u/bob/sig' }], ['u/bob/rcpt', { topic: 'u/bob/rcpt' }],
    ['rpc/server.info', { topic: 'rpc/server.info' }], ['state', { topic: 'state' }]
  ]
  for (const [topic, name] of named) {
    for (const payload of ['{"body":1}', '']) {
      const before = c.on('me/ack').length
      const ack = await c.say(topic, payload, { retain: true })
      expect(c.on('me/ack').slice(before).map(d => d.json)).toEqual([{ ...name, error: { code: 'bad-request', message: expect.stringContaining('retain') as string } }])
      if (version === 5) expect(ack).toMatchObject({ reasonCode: 0x99 })
    }
    c.publish(topic, '{"body":1}', { retain: true, qos: 0 })
    await c.settled()
  }
  await bob.settled()
  expect(bob.heard.filter(h => h.cmd === 'publish')).toEqual([])
})

test.each([4, 5] as const)('ordinary topics, the broker’s own too, are denied: acknowledged, and delivered to nobody (version byte %i)', async version => {
  const c = await p.client({ user: 'mallory', version, subscribe: ['me/#'] })
  const victim = await p.client({ user: 'bob' })
  for (const topic of ['ordinary', '$SYS/x/new/clients', '$SYS/sub/remove', '$SYS/x/sub/add', '$share/x/me/msg', '$nothing', '__proto__', 'constructor', 'M', 'Me/msg', 'U/bob/msg', 'users/bob', '/', '//', 'u\u0301/bob/msg', long]) {
    for (const payload of ['bob/phone', '{"clientId":"bob/phone","subs":[]}', '{', '']) {
      const ack = await c.say(topic, payload, { retain: payload === '' })
      if (version === 5) expect([topic, ack]).toMatchObject([topic, { reasonCode: 0x87 }])
    }
    const id = c.publish(topic, 'x', { qos: 2 })
    await c.answer('pubrec', id)
  }
  await victim.settled()
  expect(c.on('me/ack')).toEqual([])
})

async function qos2 (c: Client, id: number): Promise<void> {
  await c.answer('pubrec', id)
  c.send({ cmd: 'pubrel', messageId: id })
  await c.answer('pubcomp', id)
}

test('the handshake of QoS 2, twisted: repeated, released twice, released before, never released', async () => {
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const c = await p.client({ user: 'alice', subscribe: ['me/#'] })
  c.publish('u/bob/msg', { body: 1 }, { qos: 2, id: 7 })
  for (let i = 0; i < 3; i++) c.publish('u/bob/msg', { body: 1 }, { qos: 2, id: 7, dup: true })
  await qos2(c, 7)
  for (let i = 0; i < 3; i++) { c.send({ cmd: 'pubrel', messageId: 7 }); c.send({ cmd: 'pubrel', messageId: 4711 }) }
  await c.settled()
  c.publish('u/bob/msg', { body: 2 }, { qos: 2, id: 7 }) // the id is free again
  await qos2(c, 7)
  for (const messageId of [1, 65_535]) for (const cmd of ['puback', 'pubrec', 'pubcomp'] as const) c.send({ cmd, messageId })
  await c.settled()
  for (let id = 100; id < 2100; id++) c.publish('u/bob/sig', '{}', { qos: 2, id })
  await c.answer('pubrec', 2099)
  await bob.settled()
  expect(bob.on('me/msg').map(d => d.json.body)).toEqual([1, 2])
})
