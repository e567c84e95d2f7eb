import { fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

test('me/ack comes before the PUBACK, in the same write', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const chunks: Buffer[] = []
  alice.socket.on('data', (b: Buffer) => { chunks.push(b) })
  for (let i = 1; i <= 50; i++) {
    const id = alice.publish('u/bob/msg', { cid: `c${i}`, body: i })
    await alice.answer('puback', id)
  }
  expect(chunks).toHaveLength(50)
  for (const [i, c] of chunks.entries()) {
    expect(c.indexOf(`"cid":"c${i + 1}"`)).toBeGreaterThan(0)
    expect([...c.subarray(-4, -2)]).toEqual([0x40, 2])
  }
})

test('acks come in the order in which the device sent, refusals between them', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const ids = range(1, 60).map(i => alice.publish(i % 3 === 0 ? 'g/none/msg' : i % 3 === 1 ? 'u/bob/msg' : 'u/carol/msg', i % 7 === 0 ? '{' : { cid: `c${i}`, body: i }))
  await alice.answer('puback', ids.at(-1)!)
  expect(alice.heard.flatMap(h => h.cmd === 'puback' ? [h.messageId] : []).slice(-60)).toEqual(ids)
  expect(alice.on('me/ack').map(d => d.json.cid ?? d.json.conv)).toEqual(range(1, 60).map(i =>
    i % 7 !== 0 ? `c${i}` : i % 3 === 0 ? 'g/none' : i % 3 === 1 ? 'u/bob' : 'u/carol'))
  for (const d of alice.on('me/ack')) expect(d.qos).toBe(0)
})

test('a cid stands in the topic, in a user property or in the content; a resend with it is stored once', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', version: 5, subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const ways = [
    () => alice.publish('u/bob/msg/t1', 'hello'),
    () => alice.publish('u/bob/msg', 'hello', { properties: { userProperties: { cid: 'p1' } } }),
    () => alice.publish('u/bob/msg', { cid: 'b1', body: 'hello' }),
    () => alice.publish('u/bob/raw/r1', Buffer.from([0, 255])),
    () => alice.publish('u/bob/msg', { cid: 'q2', body: 'two' }, { qos: 2 }),
    () => alice.publish('u/bob/msg', { cid: 'q0', body: 'zero' }, { qos: 0 })
  ]
  for (let round = 0; round < 3; round++) {
    for (const way of ways) {
      const id = way()
      if (id !== 0) await alice.until(() => alice.heard.some(h => (h.cmd === 'puback' || h.cmd === 'pubrec') && h.messageId === id))
    }
  }
  await alice.got('me/ack', 18)
  await bob.got('me/msg', 6)
  await bob.settled()
  expect(seqs(bob)).toEqual(range(1, 6))
  expect(alice.on('me/ack').map(d => [d.json.cid, d.json.seq])).toEqual([...Array(3).keys()].flatMap(() => ['t1', 'p1', 'b1', 'r1', 'q2', 'q0'].map((c, i) => [c, i + 1])))
  const acks = alice.heard.filter(h => h.cmd === 'puback')
  expect(acks[0]).toMatchObject({ reasonCode: 0, properties: { userProperties: { seq: '1', ts: expect.any(String) as string } } })
})

test('the same cid with another payload as received is a conflict; of another user or conversation it is another message', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', version: 5, subscribe: ['me/#'] })
  const carol = await p.client({ user: 'carol', subscribe: ['me/#'] })
  await alice.say('u/bob/msg', { cid: 'c', body: 1 })
  expect(await alice.say('u/bob/msg', '{"cid":"c","body": 1}')).toMatchObject({ reasonCode: 0x83, properties: { userProperties: { code: 'conflict' } } })
  expect((await alice.got('me/ack', 2))[1]!.json).toMatchObject({ cid: 'c', error: { code: 'conflict' } })
  await alice.say('u/carol/msg', { cid: 'c', body: 1 })
  await carol.say('u/bob/msg', { cid: 'c', body: 2 })
  await carol.say('u/alice/msg', { cid: 'c', body: 3 })
  expect(alice.on('me/ack')[2]!.json).toMatchObject({ seq: 1 })
  expect(carol.on('me/ack').map(d => d.json.seq)).toEqual([1, 2])
})

test('without a cid: DUP 1 with the same packet id, topic and bytes gets the first one\'s seq; DUP 0 is a new message', async () => {
  const p = await startParley()
  let alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const send = async (body: unknown, o: object) => {
    const before = alice.on('me/ack').length
    alice.publish('u/bob/msg', { body }, o)
    return (await alice.got('me/ack', before + 1))[before]!.json.seq
  }
  expect(await send('a', { id: 1001 })).toBe(1)
  await alice.end()
  alice = await p.client({ user: 'alice' })
  expect(await send('a', { id: 1001, dup: true })).toBe(1)
  await alice.end()
  await p.restart()
  alice = await p.client({ user: 'alice' })
  expect(await send('a', { id: 1001, dup: true })).toBe(1)
  expect(await send('b', { id: 1002, dup: true })).toBe(2) // never came before
  expect(await send('c', { id: 1001 })).toBe(3)
  await alice.end()
  alice = await p.client({ user: 'alice' })
  expect(await send('a', { id: 1001 })).toBe(4)
  await alice.end()
  const tablet = alice = await p.client({ user: 'alice', device: 'tablet', subscribe: ['me/#'] })
  expect(await send('a', { id: 1001, dup: true })).toBe(5) // another device's
  await tablet.end()
  alice = await p.client({ user: 'alice' })
  expect(await send('a', { id: 1009, dup: true })).toBe(6) // another packet id
})

test('the DUP rule looks at the conversation\'s newest 200 entries', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const carol = await p.client({ user: 'carol' })
  await alice.rpc('group.create', { group: 'team', members: ['carol'] }) // 1
  const send = async (o: object) => { await alice.say('g/team/msg', 'x', { id: 5000, ...o }); return alice.on('me/ack').at(-1)!.json.seq }
  await alice.settled()
  const again = async () => { // the same packet id can come again only on a new connection
    const c = await p.client({ user: 'alice', device: 'phone' })
    await c.say('g/team/msg', 'x', { id: 5000, dup: true })
    const { seq } = c.on('me/ack').at(-1)!.json
    await c.end()
    return seq
  }
  expect(await send({})).toBe(2)
  for (let i = 0; i < 4; i++) await fill(carol, 'g/team/msg', 49)
  await fill(carol, 'g/team/msg', 3)
  expect(await again()).toBe(2) // entries 2 to 201
  await fill(carol, 'g/team/msg', 1)
  expect(await again()).toBe(203)
})

test('own messages come to my other devices, with cid and dev; never to the one that sent', async () => {
  const p = await startParley()
  const phone = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const tablet = await p.client({ user: 'alice', device: 'tablet', subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await phone.say('u/bob/msg', { cid: 'c1', body: 1 })
  const ts = expect.any(Number) as number
  expect((await tablet.got('me/msg', 1))[0]!.json).toEqual({ conv: 'u/bob', seq: 1, ts, from: 'alice', body: 1, cid: 'c1', dev: 'phone' })
  expect((await bob.got('me/msg', 1))[0]!.json).toEqual({ conv: 'u/alice', seq: 1, ts, body: 1 })
  await phone.rpc('group.create', { group: 'team', members: ['bob'] })
  await phone.say('g/team/msg', { cid: 'c2', body: 2 })
  expect((await tablet.got('me/msg', 3))[2]!.json).toEqual({ conv: 'g/team', seq: 2, ts, from: 'alice', body: 2, cid: 'c2', dev: 'phone' })
  expect((await bob.got('me/msg', 3))[2]!.json).toEqual({ conv: 'g/team', seq: 2, ts, from: 'alice', body: 2 })
  await phone.settled()
  expect(seqs(phone)).toEqual([1]) // the system entry, which no device sent
})

test('a message to myself is in my notes, and comes to my other devices', async () => {
  const p = await startParley()
  const phone = await p.client({ user: 'alice', subscribe: ['me/#'] })
  const tablet = await p.client({ user: 'alice', device: 'tablet', subscribe: ['me/#'] })
  await phone.say('u/alice/msg', { cid: 'n', body: 'note' })
  expect((await tablet.got('me/msg', 1))[0]!.json).toMatchObject({ conv: 'u/alice', seq: 1, body: 'note', cid: 'n', dev: 'phone' })
  await phone.settled()
  expect(seqs(phone)).toEqual([])
  expect((await tablet.rpc('inbox')).result).toMatchObject({ conversations: [{ conv: 'u/alice', head: 1, unread: 0 }] })
})

test('entries tell the type when it is not text, base64 for opaque bytes, and nothing that can be told without it', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', version: 5 })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await alice.say('u/bob/msg', 'plain')
  await alice.say('u/bob/msg', '{"body":{"n":1e400},"type":"card","ref":1,"thread":1,"mentions":["bob"],"cid":"c"}')
  await alice.say('u/bob/raw', Buffer.from([1, 2]), { properties: { contentType: 'x/y' } })
  await alice.say('u/bob/msg', { body: 1, ttl: 60 })
  const ts = (await bob.got('me/msg', 4)).map(d => d.json.ts as number)
  expect(bob.on('me/msg').map(d => (d.packet.payload as Buffer).toString())).toEqual([
    `{"conv":"u/alice","seq":1,"ts":${ts[0]},"body":"plain"}`,
    `{"conv":"u/alice","seq":2,"ts":${ts[1]},"type":"card","body":{"n":1e400},"ref":1,"thread":1,"mentions":["bob"]}`,
    expect.stringContaining(`{"conv":"u/alice","seq":3,"ts":${ts[2]},"bytes":"AQI="`) as string,
    expect.stringMatching(/"body":1,"exp":\d+\}$/) as string
  ])
  expect([...ts].sort((a, b) => a - b)).toEqual(ts)
})

test('a message to a user never seen before is stored for it; users.unknown reject refuses it', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  await alice.say('u/new/msg', { body: 1 })
  const fresh = await p.client({ user: 'new', subscribe: ['me/#'] })
  await fresh.got('me/msg', 1)
  const strict = await startParley({ users: { unknown: 'reject' } })
  const carol = await strict.client({ user: 'carol', version: 5, subscribe: ['me/#'] })
  expect(await carol.say('u/nobody/msg', { cid: 'c', body: 1 })).toMatchObject({ reasonCode: 0x83 })
  expect((await carol.got('me/ack', 1))[0]!.json).toMatchObject({ cid: 'c', error: { code: 'not-found' } })
  await strict.client({ user: 'nobody' })
  expect(await carol.say('u/nobody/msg', { cid: 'c', body: 1 })).toMatchObject({ reasonCode: 0 })
})

test.each([3, 4, 5] as const)('a final refusal is never silent and never closes the connection (MQTT level %i, each QoS)', async version => {
  const p = await startParley({ limits: { messageBytes: 1000 } })
  const alice = await p.client({ user: 'alice', version, subscribe: ['me/#'] })
  const cases: [string, string, string, number][] = [
    ['u/bob/msg', '{"cid":"c"', 'bad-request', 0x99], ['u/bob/msg', 'x'.repeat(1001), 'too-large', 0x97], ['g/none/msg', 'x', 'not-found', 0x83],
    ['u/bob/nonsense', 'x', 'bad-request', 0x90], ['rpc/inbox', '{}', 'bad-request', 0x99], ['state', '{}', 'bad-request', 0x99]
  ]
  let told = 0
  for (const [topic, payload, code, reason] of cases) {
    for (const qos of [0, 1, 2] as const) {
      const id = alice.publish(topic, payload, { qos })
      const answer = qos === 0 ? null : await alice.answer(qos === 1 ? 'puback' : 'pubrec', id)
      if (version === 5 && answer !== null) expect([topic, qos, (answer as { reasonCode?: number }).reasonCode]).toEqual([topic, qos, reason])
      expect((await alice.got('me/ack', ++told))[told - 1]!.json).toMatchObject({ error: { code } })
      if (qos === 2 && version !== 5) {
        alice.send({ cmd: 'pubrel', messageId: id })
        await alice.answer('pubcomp', id)
      }
    }
  }
  await alice.settled()
})
