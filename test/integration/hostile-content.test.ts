import type { IPublishPacket } from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import { Client } from '../support/client.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let p: Parley
let by: Bystanders
beforeEach(async () => { p = await startParley(); by = await Bystanders.join(p) })
afterEach(async () => { await by.unharmed(); await closeAll() })

type Ack = Record<string, unknown> & { error?: { code: string, message: string } }

/** Publishes, and gives what `me/ack` says of it, and the reason of the PUBACK. */
async function said (c: Client, topic: string, payload: string | Buffer, properties?: IPublishPacket['properties']): Promise<{ ack: Ack, reason: number | undefined }> {
  const before = c.on('me/ack').length
  const puback = await c.say(topic, payload, { properties }) as { reasonCode?: number }
  return { ack: (await c.got('me/ack', before + 1))[before]!.json as Ack, reason: puback.reasonCode }
}

/** Contents that are refused, with a word that the answer holds. */
const BAD: [string, string | Buffer, RegExp][] = [
  ['nested 20,000 deep', `{"body":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, /64 levels/],
  ['objects nested 20,000 deep', `{"body":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`, /64 levels/],
  ['20,000 opened and none closed', `{"body":${'['.repeat(20_000)}`, /64 levels/],
  ['65 levels', `{"body":${'['.repeat(64)}${']'.repeat(64)}}`, /64 levels/],
  ['invalid UTF-8 in a string', Buffer.concat([Buffer.from('{"body":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]), /UTF-8/],
  ['an overlong slash', Buffer.concat([Buffer.from('{"body":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]), /UTF-8/],
  ['a surrogate in UTF-8', Buffer.concat([Buffer.from('{"body":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]), /UTF-8/],
  ['a repeated name', '{"body":1,"body":2}', /body is given twice/],
  ['a name repeated in disguise', '{"body":1,"b\\u006fdy":2}', /body is given twice/],
  ['an unknown name', '{"body":1,"bodi":2}', /unknown name "bodi"/],
  ['__proto__', '{"body":1,"__proto__":{"admin":true}}', /unknown name "__proto__"/],
  ['constructor', '{"body":1,"constructor":1}', /unknown name "constructor"/],
  ['an entry’s own names', '{"body":1,"seq":1,"from":"bob"}', /unknown name "seq"/],
  ['no body', '{"type":"text"}', /body is missing/],
  ['an empty object', '{}', /body is missing/],
  ['nothing', '', /empty/],
  ['a trailing comma', '{"body":1,}', /name is missing/],
  ['something behind', '{"body":1}x', /something follows/],
  ['NaN', '{"body":NaN}', /bad number/],
  ['a leading zero', '{"body":01}', /comma is missing/],
  ['a lone minus', '{"body":-}', /bad number/],
  ['a raw newline in a string', '{"body":"a\nb"}', /control character/],
  ['single quotes', '{\'body\':1}', /name is missing/],
  ['a comment', '{"body":1/**/}', /comma is missing/],
  ['an empty cid', '{"cid":"","body":1}', /cid/],
  ['a cid of 65', `{"cid":"${'c'.repeat(65)}","body":1}`, /cid/],
  ['a cid that is no ASCII', '{"cid":"é","body":1}', /cid/],
  ['a number as cid', '{"cid":1,"body":1}', /cid/],
  ['type system', '{"type":"system","body":1}', /the broker's/],
  ['type p.x', '{"type":"p.read","body":1}', /the broker's/],
  ['a type without end', `{"type":"${'t'.repeat(65)}","body":1}`, /type/],
  ['ref 0', '{"ref":0,"body":1}', /ref/],
  ['ref 1.5', '{"ref":1.5,"body":1}', /ref/],
  ['ref past 2^53', '{"ref":9007199254740993,"body":1}', /ref/],
  ['thread -1', '{"thread":-1,"body":1}', /thread/],
  ['ttl 1e400', '{"ttl":1e400,"body":1}', /ttl/],
  ['51 mentions', `{"mentions":${JSON.stringify(Array.from({ length: 51 }, (_, i) => `u${i}`))},"body":1}`, /mentions/],
  ['a mention that is no user', '{"mentions":["a b"],"body":1}', /mentions/],
  ['push with more', '{"push":{"silent":true,"sound":"x"},"body":1}', /push/],
  ['push __proto__', '{"push":{"__proto__":1},"body":1}', /push/],
  ['edit without ref', '{"type":"edit","body":1}', /ref/],
  ['recall with a body', '{"type":"recall","ref":1,"body":1}', /recall has no body/],
  ['react with an object', '{"type":"react","ref":1,"body":{}}', /emoji/]
]

test.each([4, 5] as const)('contents that are none are refused, each with what is wrong (version byte %i)', async version => {
  const c = await p.client({ user: 'alice', version, subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  for (const [name, payload, why] of BAD) {
    const { ack, reason } = await said(c, 'u/bob/msg', payload)
    expect([name, ack.error?.code, ack.conv ?? ack.cid]).toEqual([name, 'bad-request', 'u/bob'])
    expect(ack.error!.message).toMatch(why)
    expect(reason).toBe(version === 5 ? 0x99 : undefined)
  }
  // the cid says which one is meant, wherever it stands and whatever else is wrong
  for (const [topic, payload] of [['u/bob/msg/t', '{"cid":"u","body":1}'], ['u/bob/msg/t', '{'], ['u/bob/msg', '{"bodi":1,"cid":"t"}'], ['u/bob/msg', '{"cid":"t"}'], ['u/bob/msg', `{"cid":"t","body":"${'x'.repeat(70_000)}"}`]] as const) {
    expect((await said(c, topic, payload)).ack).toEqual({ cid: 't', error: expect.any(Object) as object })
  }
  await bob.settled()
  expect(bob.on('me/msg')).toEqual([])
})

test('numbers stay as they were written, and so does all else in a body', async () => {
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const bodies = ['1e400', '-0', '1.0', '12345678901234567890123', '1E+2', '0.1000', '{"a":1,"a":2}', '{"__proto__":{"x":1},"constructor":null}', '"\\u0000\\ud800"', '[ 1 , 2 ]', `${'['.repeat(63)}${']'.repeat(63)}`, '""', 'null']
  for (const body of bodies) await alice.say('u/bob/msg', `{"body":${body}}`)
  const got = await bob.got('me/msg', bodies.length)
  expect(got.map(d => /"body":(.*)\}$/s.exec(d.packet.payload.toString())![1])).toEqual(bodies)
  // and in what operations answer
  const history = await bob.rpc('history', { conv: 'u/alice' })
  expect(history.error).toBeUndefined()
  const raw = bob.on('me/rpc').at(-1)!.packet.payload.toString()
  for (const body of bodies) expect(raw).toContain(`"body":${body}`)
})

test('what is no JSON is text when it is text, and bytes when it is not', async () => {
  const alice = await p.client({ user: 'alice', version: 5 })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const cases: [string | Buffer, IPublishPacket['properties'] | undefined, Record<string, unknown>][] = [
    ['hello', undefined, { body: 'hello' }], ['a\tb\r\nc "quoted" \\ 😀', undefined, { body: 'a\tb\r\nc "quoted" \\ 😀' }],
    ['[1]', undefined, { body: '[1]' }], [' {"body":1}', undefined, { body: ' {"body":1}' }],
    [Buffer.from([0xff]), undefined, { bytes: '/w==' }], ['a\0b', undefined, { bytes: 'YQBi' }], ['a\x1bb', undefined, { bytes: 'YRti' }], ['a\u0085', undefined, { bytes: 'YcKF' }],
    ['{"body":1}', { contentType: 'text/plain' }, { body: '{"body":1}' }], ['{"body":1}', { contentType: 'application/json' }, { body: 1 }],
    ['x', { contentType: 'image/"\\\u2028' }, { bytes: 'eA==', mime: 'image/"\\\u2028' }]
  ]
  for (const [payload, properties] of cases) expect((await alice.say('u/bob/msg', payload, { properties })) as object).toMatchObject({ reasonCode: 0 })
  const got = await bob.got('me/msg', cases.length)
  got.forEach((d, i) => { expect(d.json).toEqual({ conv: 'u/alice', seq: i + 1, ts: d.json.ts, ...cases[i]![2] }) })
})

test('MQTT 5 user properties named like members of Object.prototype carry nothing, and given twice are refused', async () => {
  const alice = await p.client({ user: 'alice', version: 5, subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const user = (userProperties: Record<string, string | string[]>): IPublishPacket['properties'] => ({ userProperties })
  expect((await said(alice, 'u/bob/msg', 'x', user({ constructor: 'y', toString: 'z', ttl: '60' }))).ack).toMatchObject({ seq: 1 })
  expect((await said(alice, 'u/bob/msg', 'x', user({ cid: ['a', 'b'] }))).ack.error?.code).toBe('bad-request')
  const bads: Record<string, string>[] = [{ ref: '-1' }, { ref: '1e3' }, { thread: '' }, { ttl: '9'.repeat(20) }, { type: 'system' }, { cid: 'é' }, { cid: '' }]
  for (const bad of bads) expect([bad, (await said(alice, 'u/bob/msg', 'x', user(bad))).ack.error?.code]).toEqual([bad, 'bad-request'])
  expect((await bob.got('me/msg', 1))[0]!.json).toEqual({ conv: 'u/alice', seq: 1, ts: expect.any(Number) as number, exp: expect.any(Number) as number, body: 'x' })
})

describe('too large', () => {
  test.each([3, 4] as const)('byte %i: read, dropped and answered, with the topic’s cid, else the conversation; the connection goes on', async version => {
    const c = await p.client({ user: 'alice', version, subscribe: ['me/#'] })
    const size = 65_536
    expect((await said(c, 'u/bob/msg', 'x'.repeat(size))).ack).toMatchObject({ seq: 1 })
    for (const bytes of [size + 1, 300_000, 400_000, 1 << 20, (16 << 20) - 100]) {
      expect([bytes, (await said(c, 'u/bob/msg/c1', Buffer.alloc(bytes, 120))).ack]).toMatchObject([bytes, { cid: 'c1', error: { code: 'too-large' } }])
      expect([bytes, (await said(c, 'g/team/raw', Buffer.alloc(bytes, 120))).ack]).toMatchObject([bytes, { conv: 'g/team', error: { code: 'too-large' } }])
    }
    expect((await said(c, 'rpc/server.info', Buffer.alloc(400_000, 120))).ack).toMatchObject({ topic: 'rpc/server.info', error: { code: 'too-large' } })
    expect((await said(c, 'u/bob/sig', Buffer.alloc(400_000, 120))).ack).toMatchObject({ topic: 'u/bob/sig', error: { code: 'too-large' } })
    expect((await said(c, 'u/bob/ack', Buffer.alloc(400_000, 120))).ack).toMatchObject({ topic: 'u/bob/ack', error: { code: 'too-large' } })
    await c.say('ordinary', Buffer.alloc(400_000, 120))
    // QoS 2: the handshake is completed, so that the library lets go of it
    const id = c.publish('u/bob/msg/c2', Buffer.alloc(400_000, 120), { qos: 2 })
    await c.answer('pubrec', id)
    c.send({ cmd: 'pubrel', messageId: id })
    await c.answer('pubcomp', id)
    expect(c.on('me/ack').at(-1)!.json).toMatchObject({ cid: 'c2', error: { code: 'too-large' } })
    expect((await said(c, 'u/bob/msg', 'and on it goes')).ack).toMatchObject({ seq: 2 })
  })

  test('over 16 MiB the connection is closed, before it is read', async () => {
    const c = await p.client({ user: 'alice' })
    c.raw(Buffer.concat([Buffer.from([0x32, 0x80, 0x80, 0x80, 0x08]), Buffer.from('\0\x09u/bob/msg')])) // 16 MiB and the header
    await c.untilClosed()
  })

  test('MQTT 5: up to messageBytes is stored, up to the packet limit is refused by 0x97, over it is DISCONNECT 0x95', async () => {
    const c = await p.client({ user: 'alice', version: 5, subscribe: ['me/#'] })
    expect((await said(c, 'u/bob/msg', 'x'.repeat(65_536))).ack).toMatchObject({ seq: 1 })
    for (const bytes of [65_537, 300_000]) expect(await said(c, 'u/bob/msg/c', 'x'.repeat(bytes))).toMatchObject({ ack: { cid: 'c', error: { code: 'too-large' } }, reason: 0x97 })
    c.publish('u/bob/msg', 'x'.repeat(c.connack.properties!.maximumPacketSize!))
    await c.untilClosed()
    expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x95 })
  })

  test('a CONNECT over 256 kB is not read, nor a SUBSCRIBE over the packet limit', async () => {
    const stranger = await Client.open(p.port('mqtt'))
    stranger.raw(Buffer.concat([Buffer.from([0x10, 0x81, 0x80, 0x10]), Buffer.alloc(1000)]))
    await stranger.untilClosed()
    const mallory = await p.client({ user: 'mallory' })
    mallory.raw(Buffer.concat([Buffer.from([0x82, 0x80, 0x80, 0x40]), Buffer.alloc(1000)]))
    await mallory.untilClosed()
  })
})
