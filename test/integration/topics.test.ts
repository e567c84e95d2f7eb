import type { IPublishPacket } from 'mqtt-packet'
import type { Client } from '../support/client.js'
import { closeAll, startParley } from '../support/parley.js'
import { SECRET } from '../support/door.js'
import { hs256 } from '../support/token.js'

afterEach(closeAll)
const ALL = { acl: [{ allow: ['publish', 'subscribe'], topic: '#' }] }
const clean = (user: string, version: 3 | 4 | 5 = 4) => ({ user, device: user, clean: true, version })

/** Publishes at QoS 2, to the end of the exchange. */
async function twice (c: Client, topic: string, payload: string): Promise<void> {
  const id = c.publish(topic, payload, { qos: 2 })
  await c.answer('pubrec', id)
  c.send({ cmd: 'pubrel', messageId: id })
  await c.answer('pubcomp', id)
}
const payloads = (c: Client, topic: string): string[] => c.on(topic).map(d => String(d.packet.payload))

test.each([3, 4, 5] as const)('messages at each QoS reach each subscriber at the lower of the two (version byte %i)', async version => {
  const p = await startParley(ALL)
  const pub = await p.client(clean('pub', version))
  const subs = await Promise.all([0, 1, 2].map(async qos => {
    const c = await p.client(clean(`sub${qos}`, version))
    expect(await c.subscribe('room/+', qos as 0 | 1 | 2)).toBe(qos)
    return c
  }))
  pub.publish('room/a', '0', { qos: 0 })
  await pub.say('room/a', '1')
  await twice(pub, 'room/a', '2')
  for (const [granted, c] of subs.entries()) {
    const got = await c.got('room', 3)
    expect(got.map(d => [String(d.packet.payload), d.qos, d.dup, d.packet.retain])).toEqual([0, 1, 2].map(qos => [`${qos}`, Math.min(qos, granted), false, false]))
    for (const d of got.filter(d => d.qos === 2)) {
      c.send({ cmd: 'pubrec', messageId: d.id })
      await c.answer('pubrel', d.id)
      c.send({ cmd: 'pubcomp', messageId: d.id })
    }
    await c.settled()
  }
})

test('a QoS 2 message that is sent again before PUBREL is delivered once', async () => {
  const p = await startParley(ALL)
  const [pub, sub] = [await p.client(clean('pub')), await p.client({ ...clean('sub'), subscribe: ['a'] })]
  const id = pub.publish('a', 'x', { qos: 2 })
  pub.publish('a', 'x', { qos: 2, id })
  await pub.until(() => pub.heard.filter(h => h.cmd === 'pubrec').length === 2)
  pub.publish('a', 'x', { qos: 2, id, dup: true })
  pub.send({ cmd: 'pubrel', messageId: id })
  pub.send({ cmd: 'pubrel', messageId: id })
  await pub.until(() => pub.heard.filter(h => h.cmd === 'pubcomp').length === 2)
  pub.publish('a', 'y', { qos: 2, id })
  await sub.got('a', 2)
  expect(payloads(sub, 'a')).toEqual(['x', 'y'])
})

test('of filters that overlap, one copy comes at the highest QoS, with all identifiers', async () => {
  const p = await startParley(ALL)
  const [pub, sub] = [await p.client(clean('pub', 5)), await p.client(clean('sub', 5))]
  let messageId = 500
  for (const [topic, qos, subscriptionIdentifier] of [['a/#', 0, 7], ['a/b', 1, 268_435_455], ['a/+', 0, undefined], ['x', 1, 9]] as const) {
    sub.send({ cmd: 'subscribe', messageId: ++messageId, subscriptions: [{ topic, qos }], properties: subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier } })
    await sub.answer('suback', messageId)
  }
  await pub.say('a/b', 'both')
  await pub.say('a', 'one')
  const got = await sub.got('a', 2)
  expect(got.map(d => [d.topic, d.qos, d.packet.properties?.subscriptionIdentifier])).toEqual([['a/b', 1, [7, 268_435_455]], ['a', 0, 7]])
})

test('subscription options: No Local, Retain As Published, Retain Handling', async () => {
  const p = await startParley(ALL)
  const [pub, sub] = [await p.client(clean('pub', 5)), await p.client(clean('sub', 5))]
  await pub.say('r', 'kept', { retain: true })
  const subscribe = async (c: Client, topic: string, o: object): Promise<void> => {
    const messageId = c.id()
    c.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic, qos: 1, ...o }] })
    await c.answer('suback', messageId)
    await c.settled()
  }
  await subscribe(pub, 'r', { nl: true, rh: 2 })
  await subscribe(sub, 'r', { rh: 2 })
  expect(sub.on('r')).toEqual([])
  await subscribe(sub, 'r', { rh: 1 })
  expect(sub.on('r')).toEqual([]) // not a new one
  await subscribe(sub, 'r', { rh: 0, rap: true })
  expect((await sub.got('r', 1)).map(d => d.packet.retain)).toEqual([true])
  await sub.unsubscribe('r')
  await subscribe(sub, 'r', { rh: 1, rap: true })
  expect((await sub.got('r', 2)).map(d => d.packet.retain)).toEqual([true, true])
  await pub.say('r', 'live', { retain: true })
  expect((await sub.got('r', 3)).map(d => [String(d.packet.payload), d.packet.retain])[2]).toEqual(['live', true])
  await sub.say('r', 'from another', { retain: true })
  expect((await pub.got('r', 1)).map(d => [String(d.packet.payload), d.packet.retain])).toEqual([['from another', false]])
})

test('properties are passed on, user properties in their order; what is the connection’s is not', async () => {
  const p = await startParley(ALL)
  const [pub, v5, v4] = [await p.client(clean('pub', 5)), await p.client({ ...clean('v5', 5), subscribe: ['a'] }), await p.client({ ...clean('v4'), subscribe: ['a'] })]
  const text = (s: string): Buffer => Buffer.concat([Buffer.from([0, s.length]), Buffer.from(s)])
  const user = (k: string, v: string): Buffer => Buffer.concat([Buffer.from([0x26]), text(k), text(v)])
  const passedOn = Buffer.concat([user('b', '1'), Buffer.from([1, 1]), user('1', '2'), user('b', '3'), Buffer.from([3]), text('text/plain'), Buffer.from([8]), text('re/ply'), Buffer.from([9]), text('data'), user('b', '1')])
  const properties = Buffer.concat([Buffer.from([0x23, 0, 3, 2, 0, 0, 0, 60]), passedOn])
  const body = Buffer.concat([text('a'), Buffer.from([0, 9, properties.length]), properties, Buffer.from('hello')])
  const raw: Buffer[] = []
  v5.socket.on('data', (b: Buffer) => raw.push(b))
  pub.raw(Buffer.concat([Buffer.from([0x32, body.length]), body]))
  await v5.got('a', 1)
  const frame = Buffer.concat(raw)
  expect(frame.subarray(frame.indexOf(passedOn[0]!, 8), frame.length).includes(passedOn)).toBe(true)
  expect((await v5.got('a', 1))[0]!.packet.properties).toMatchObject({ messageExpiryInterval: 60, contentType: 'text/plain', responseTopic: 're/ply', payloadFormatIndicator: true })
  expect((await v5.got('a', 1))[0]!.packet.properties?.topicAlias).toBeUndefined()
  expect((await v4.got('a', 1)).map(d => String(d.packet.payload))).toEqual(['hello'])
})

test('topic aliases: a client’s stand for its topics, also those of the inbox; the broker uses as many as the client takes', async () => {
  const p = await startParley(ALL)
  const pub = await p.client({ ...clean('pub', 5), subscribe: ['me/#'] })
  const sub = await p.client({ ...clean('sub', 5), subscribe: ['long/#'], properties: { topicAliasMaximum: 1 } })
  expect(pub.connack.properties?.topicAliasMaximum).toBe(16)
  await pub.say('long/topic/one', '1', { properties: { topicAlias: 16 } })
  await pub.say('', '2', { properties: { topicAlias: 16 } })
  await pub.say('long/topic/two', '3', { properties: { topicAlias: 16 } })
  await pub.say('', '4', { properties: { topicAlias: 16 } })
  await pub.say('u/sub/msg', 'hello', { properties: { topicAlias: 1 } })
  await pub.say('', 'again', { properties: { topicAlias: 1 } })
  expect((await pub.got('me/ack', 2)).map(d => d.json.seq)).toEqual([1, 2])
  await sub.until(() => sub.heard.filter(h => h.cmd === 'publish').length === 4)
  expect((sub.heard.filter(h => h.cmd === 'publish') as IPublishPacket[]).map(d => [d.topic, d.properties?.topicAlias, String(d.payload)])).toEqual([
    ['long/topic/one', 1, '1'], ['', 1, '2'], ['long/topic/two', undefined, '3'], ['long/topic/two', undefined, '4']])
})

test('what is denied: MQTT 5 is told, 3.1.1 is acknowledged; nobody gets it, it is counted, the connection stays', async () => {
  const p = await startParley({ acl: [{ deny: ['publish'], topic: 'a/secret' }, { deny: ['subscribe'], topic: 'a/hidden' }, { allow: ['publish', 'subscribe'], topic: 'a/#' }] })
  const sub = await p.client(clean('sub', 5))
  expect([await sub.subscribe('a/#'), await sub.subscribe('b'), await sub.subscribe('#'), await sub.subscribe('$SYS/#'), await sub.subscribe('$share/g/b')]).toEqual([1, 0x87, 0x87, 0x87, 0x87])
  const [v5, v4] = [await p.client(clean('v5', 5)), await p.client(clean('v4'))]
  expect(await v5.say('a/secret', 'x')).toMatchObject({ reasonCode: 0x87 })
  expect(await v5.answer('pubrec', v5.publish('b', 'x', { qos: 2 }))).toMatchObject({ reasonCode: 0x87 })
  await v4.say('a/secret', 'x')
  await v4.say('$SYS/x', 'x')
  expect(await v4.subscribe('b')).toBe(0x80)
  await v4.say('a/hidden', 'x')
  await v4.say('a/open', 'x')
  await v5.say('a/open', 'y')
  await sub.got('a/open', 2)
  expect(sub.heard.filter(h => h.cmd === 'publish')).toHaveLength(2)
  const metrics = await (await p.http('/metrics')).text()
  expect(metrics).toContain('parley_refused_total{code="forbidden"} 4')
  expect(metrics).toContain('parley_topic_dropped_total{reason="denied"} 1')
})

test('rules that are reloaded hold for what is published and delivered from then on', async () => {
  const p = await startParley(ALL)
  const [pub, sub] = [await p.client(clean('pub', 5)), await p.client({ ...clean('sub'), subscribe: ['a/#'] })]
  await pub.say('a/1', 'x')
  await p.node.reload({ acl: [{ allow: ['publish'], topic: '#' }, { allow: ['subscribe'], topic: 'a/2' }] })
  await pub.say('a/1', 'x')
  await pub.say('a/2', 'x')
  await sub.got('a/2', 1)
  expect(sub.on('a').map(d => d.topic)).toEqual(['a/1', 'a/2'])
  await p.node.reload({ acl: [] })
  expect(await pub.say('a/2', 'x')).toMatchObject({ reasonCode: 0x87 })
})

test('a filter with a wildcard in front matches no topic of ours, and none of the broker’s', async () => {
  const p = await startParley(ALL)
  const [eve, bob, alice] = [await p.client({ ...clean('eve'), subscribe: ['#', '+/bob/#', '+/#'] }), await p.client({ user: 'bob', subscribe: ['me/#'] }), await p.client(clean('alice'))]
  await alice.say('u/bob/msg', 'secret')
  await bob.got('me/msg', 1)
  await alice.say('other', 'x')
  await eve.got('other', 1)
  expect(eve.heard.filter(h => h.cmd === 'publish')).toHaveLength(1)
})

test('a message larger than the client takes is left out for it alone, and counts as delivered', async () => {
  const p = await startParley(ALL)
  const pub = await p.client(clean('pub', 5))
  const small = await p.client({ user: 'small', device: 's', version: 5, properties: { maximumPacketSize: 100 }, subscribe: ['a'] })
  const other = await p.client({ ...clean('other', 5), subscribe: ['a'] })
  await pub.say('a', 'x'.repeat(200))
  await pub.say('a', 'short')
  await small.got('a', 1)
  await other.got('a', 2)
  expect(payloads(small, 'a')).toEqual(['short'])
})

test('Receive Maximum of the client is never exceeded, by the inbox and ordinary topics together', async () => {
  const p = await startParley(ALL)
  const sub = await p.client({ user: 'sub', device: 's', version: 5, acks: false, properties: { receiveMaximum: 4 }, subscribe: ['me/#', 'a'] })
  const pub = await p.client(clean('pub', 5))
  for (let i = 0; i < 10; i++) {
    await pub.say('a', `${i}`)
    await pub.say('u/sub/msg', `${i}`)
  }
  await sub.settled()
  const seen = new Set<number>()
  const flying = (): number[] => (sub.heard.filter(h => h.cmd === 'publish' && h.qos > 0) as IPublishPacket[]).map(h => h.messageId!).filter(id => !seen.has(id))
  while (sub.on('a').length < 10 || sub.on('me/msg').length < 10) {
    await sub.until(() => flying().length > 0)
    await sub.settled()
    expect(flying().length).toBeLessThanOrEqual(4)
    const [id] = flying()
    seen.add(id!)
    sub.send({ cmd: 'puback', messageId: id! })
  }
  expect(payloads(sub, 'a')).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`))
})

test('$SYS tells admins of the node, now and again', async () => {
  const { Door } = await import('../support/door.js')
  const door = new Door()
  door.answer = c => ({ kind: 'accepted', identity: { user: c.user, admin: c.user === 'root', expiresMs: 0 } })
  const p = await startParley({ ...ALL, ...door.settings })
  const [root, user] = [await p.client(clean('root', 5)), await p.client(clean('user', 5))]
  expect([await root.subscribe('$SYS/#'), await user.subscribe('$SYS/#'), await user.subscribe('$SYS/broker/uptime')]).toEqual([1, 0x87, 0x87])
  await root.until(() => root.on('$SYS/broker/clients/connected').length > 0)
  expect(payloads(root, '$SYS/broker/clients/connected')).toEqual(['2'])
  expect(payloads(root, '$SYS/broker/version')[0]).toMatch(/^parley \d/)
  expect(await root.say('$SYS/broker/version', 'mine')).toMatchObject({ reasonCode: 0x87 })
  door.remove()
})

test('a new token brings its rules at once', async () => {
  const p = await startParley({ ...ALL, auth: { jwt: { secret: SECRET } } })
  const token = (acl: object[]): string => hs256({ sub: 'me', exp: Math.floor(Date.now() / 1000) + 600, acl }, SECRET)
  const me = await p.client({ user: 'me', clean: true, version: 5, password: token([{ deny: ['publish'], topic: 'a' }]), subscribe: ['me/#', 'b'] })
  expect(await me.say('a', 'x')).toMatchObject({ reasonCode: 0x87 })
  expect((await me.rpc('auth.refresh', { token: token([{ deny: ['subscribe'], topic: 'b' }]) })).error).toBeUndefined()
  expect(await me.say('a', 'x')).toMatchObject({ reasonCode: 0 })
  await me.say('b', 'not delivered any more')
  await me.settled()
  expect([me.on('b'), await me.subscribe('b')]).toEqual([[], 0x87])
})

test('a session holds 10,000 subscriptions at most; the next is refused, and those it holds may be given back', async () => {
  const p = await startParley(ALL)
  const c = await p.client({ ...clean('c', 5), keepalive: 0 })
  const subscribe = async (filters: string[]): Promise<number[]> => {
    const messageId = c.id()
    c.send({ cmd: 'subscribe', messageId, subscriptions: filters.map(topic => ({ topic, qos: 0 as const })) })
    return (await c.answer('suback', messageId) as { granted: number[] }).granted
  }
  const granted = await subscribe(Array.from({ length: 10_001 }, (_, i) => `f/${i}`))
  expect([granted.filter(g => g === 0).length, granted.at(-1)]).toEqual([10_000, 0x87])
  expect(await subscribe(['f/1', 'one more', 'me/#'])).toEqual([0, 0x87, 0])
  await c.unsubscribe('f/1')
  expect(await subscribe(['one more'])).toEqual([0])
})
