import type { IConnectPacket } from 'mqtt-packet'
import mqtt from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import { Client, type ClientOptions, connectPacket } from '../support/client.js'
import { Door } from '../support/door.js'
import { FakeClock } from '../support/fake-clock.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { openWebSocket } from '../support/websocket.js'

let door: Door
beforeEach(() => { door = new Door() })
afterEach(async () => { await closeAll(); door.remove() })

const turn = async (): Promise<void> => { await new Promise<void>(resolve => { setImmediate(resolve) }) }

/** The code of CONNACK; `closed`: there was none. */
async function code (p: Parley, o: Partial<IConnectPacket> & { user?: string, version?: 3 | 4 | 5 }): Promise<number | 'closed'> {
  const { user = 'alice', version = 4, ...more } = o
  const c = await Client.open(p.port('mqtt'), version)
  c.send({ ...connectPacket({ user, version }), ...more })
  await c.until(() => c.heard.length > 0, 'CONNACK').catch((e: unknown) => { if (!c.closed) throw e })
  c.destroy()
  if (c.heard.length === 0) return 'closed'
  expect(c.heard).toHaveLength(1)
  return version === 5 ? c.connack.reasonCode! : c.connack.returnCode!
}

describe('CONNACK says what is final', () => {
  test.each([
    ['credential', 4, 0x86],
    ['forbidden', 5, 0x87]
  ])('%s: %i, in MQTT 5 %i', async (reason, v3, v5) => {
    const p = await startParley(door.settings)
    door.answer = () => ({ kind: 'refused', reason, why: 'for a test' })
    expect([await code(p, { version: 3 }), await code(p, { version: 4 }), await code(p, { version: 5 })]).toEqual([v3, v3, v5])
  })

  test('no provider takes the credential: it is a bad one', async () => {
    const p = await startParley(door.settings)
    door.answer = () => ({ kind: 'not-mine' })
    expect([await code(p, {}), await code(p, { version: 5 })]).toEqual([4, 0x86])
  })

  test.each([['MQTT', 6, 5, 0x84], ['MQTT', 255, 5, 0x84], ['MQTT', 3, 4, 1], ['MQTT', 0, 4, 1], ['MQTT', 132, 5, 0x84], ['MQIsdp', 4, 4, 1], ['MQIsdp', 131, 4, 1]])(
    'protocol %s with level %i is not spoken here', async (name, level, answerIn, expected) => {
      const p = await startParley()
      const c = await Client.open(p.port('mqtt'), answerIn)
      const body = Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([level, 2, 0, 60, 0, 1, 97])])
      c.raw(Buffer.concat([Buffer.from([0x10, body.length]), body]))
      await c.untilClosed()
      expect(c.heard[0]).toMatchObject(answerIn === 5 ? { reasonCode: expected } : { returnCode: expected })
    })

  test.each([
    ['an authentication method', { authenticationMethod: 'SCRAM-SHA-1' }, 0x8c],
    ['authentication data without a method', { authenticationData: Buffer.from('x') }, 0x82],
    ['Receive Maximum 0', { receiveMaximum: 0 }, 0x82],
    ['Maximum Packet Size 0', { maximumPacketSize: 0 }, 0x82]
  ])('MQTT 5: %s', async (_name, properties, expected) => {
    const p = await startParley()
    // mqtt-packet refuses to write zeros: they are put in afterwards
    const packet = { ...connectPacket({ user: 'alice', version: 5 }), properties: { ...properties, ...('receiveMaximum' in properties ? { receiveMaximum: 0x7a7a } : 'maximumPacketSize' in properties ? { maximumPacketSize: 0x7a7a7a7a } : {}) } }
    const bytes = mqtt.generate(packet, { protocolVersion: 5 })
    for (let i = bytes.indexOf(0x7a); i >= 0; i = bytes.indexOf(0x7a)) bytes[i] = 0
    const c = await Client.open(p.port('mqtt'), 5)
    c.raw(bytes)
    await c.untilClosed()
    expect(c.heard).toMatchObject([{ cmd: 'connack', reasonCode: expected }])
  })
})

describe('what is only for now closes without CONNACK [MQTT3-3.2.2-6 4.8.0-2]', () => {
  test.each([
    ['the provider says that it is down', () => ({ kind: 'down', why: 'for a test' })],
    ['the provider throws', () => { throw new Error('for a test') }],
    ['the provider rejects', async () => { throw new Error('for a test') }],
    ['the provider answers nonsense', () => 'welcome'],
    ['the provider names no user', () => ({ kind: 'accepted', identity: {} })]
  ])('%s', async (_name, answer) => {
    const p = await startParley(door.settings)
    const alice = await p.client({ user: 'alice', device: 'other' })
    door.answer = answer as Door['answer']
    expect([await code(p, {}), await code(p, { version: 5 })]).toEqual(['closed', 'closed'])
    await alice.settled()
  })

  test('the provider hangs: after its time limit', async () => {
    const clock = new FakeClock()
    const p = await startParley(door.settings, clock)
    door.answer = () => new Promise(() => {})
    const c = await Client.open(p.port('mqtt'))
    c.send(connectPacket({ user: 'alice' }))
    while (!c.closed) { clock.advance(100); await turn() }
    expect(c.heard).toEqual([])
  })

  test('connects come too fast: of one device, and for a minute', async () => {
    const clock = new FakeClock()
    const p = await startParley({ limits: { connectsPerMinute: 3 } }, clock)
    const codes = async (clientId: string): Promise<unknown[]> => { const all = []; for (let i = 0; i < 5; i++) all.push(await code(p, { clientId })); return all }
    expect(await codes('phone')).toEqual([0, 0, 0, 'closed', 'closed'])
    expect(await codes('tablet')).toEqual([0, 0, 0, 'closed', 'closed'])
    expect(await code(p, { user: 'bob', clientId: 'phone' })).toBe(0)
    clock.advance(60_000)
    expect(await codes('phone')).toEqual([0, 0, 0, 'closed', 'closed'])
  })

  test('the node drains', async () => {
    const clock = new FakeClock()
    const p = await startParley({ drain: { timeoutMs: 60_000, perSecond: 1 } }, clock)
    const early = await Client.open(p.port('mqtt'))
    const all = []
    for (let i = 0; i < 30; i++) all.push(await p.client({ user: `u${i}`, version: 5 }))
    const closing = p.node.close()
    await all[0]!.untilClosed()
    expect(all[0]!.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8b })
    await early.untilClosed()
    expect(early.heard).toEqual([])
    await expect(Client.open(p.port('mqtt'))).rejects.toThrow('ECONNREFUSED')
    const late = await openWebSocket(p.port('http')) // the HTTP port is open to the end, for readyz
    late.send(connectPacket({ user: 'late' }))
    await late.untilClosed()
    expect(late.heard).toEqual([])
    const ready = await p.http('/readyz')
    expect(ready.status).toBe(503)
    expect(await ready.json()).toMatchObject({ ok: false, parts: expect.arrayContaining([{ name: 'node', ok: false, why: 'draining' }]) as unknown })
    while (all.some(c => !c.closed)) { clock.advance(50); await turn() }
    await closing
    await p.restart()
  })
})

test('from the sixth takeover of a device within a minute on, CONNACK waits: 1, 2, 4, 8, 10 seconds', async () => {
  const clock = new FakeClock()
  const p = await startParley({}, clock)
  const other = await p.client({ user: 'alice', device: 'other' })
  await p.client({ user: 'alice' })
  for (let i = 1; i <= 5; i++) await p.client({ user: 'alice' }) // at once
  for (const seconds of [1, 2, 4, 8, 10, 10]) {
    const c = await Client.open(p.port('mqtt'))
    c.send(connectPacket({ user: 'alice' }))
    for (let ms = 0; ms < seconds * 1000; ms += 500) { await other.settled(); expect(c.heard).toEqual([]); clock.advance(500) }
    await c.until(() => c.heard.length > 0, 'CONNACK')
  }
})

describe('keep-alive', () => {
  async function silent (o: Partial<ClientOptions>): Promise<{ p: Parley, clock: FakeClock, c: Client }> {
    const clock = new FakeClock()
    const p = await startParley({}, clock)
    return { p, clock, c: await p.client({ user: 'alice', ...o }) }
  }

  test.each([3, 4, 5] as const)('silence for 1.5 times the keep-alive ends the connection, and no less does (version byte %i) [MQTT3-3.1.2-24] [MQTT5-3.1.2-22]', async version => {
    const { p, clock, c } = await silent({ version, keepalive: 10 })
    const by = await Bystanders.join(p)
    clock.advance(14_000)
    await by.unharmed()
    expect(c.closed).toBe(false)
    await c.settled() // heard
    clock.advance(14_900)
    await by.unharmed()
    expect(c.closed).toBe(false)
    clock.advance(1100)
    await c.untilClosed()
    if (version === 5) expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8d })
  })

  test('bytes of a packet that is still coming count as a sign of life', async () => {
    const { p, clock, c } = await silent({ keepalive: 10 })
    const by = await Bystanders.join(p)
    const packet = mqtt.generate({ cmd: 'publish', topic: 'u/bob/msg', payload: 'slow', qos: 1, messageId: 9, dup: false, retain: false })
    for (const byte of packet) { c.raw(Buffer.from([byte])); await by.unharmed(); clock.advance(10_000) }
    await c.answer('puback', 9)
  })

  test('3.x with 0 is never silent for too long; MQTT 5 gets the longest that is allowed', async () => {
    const { clock, c } = await silent({ keepalive: 0 })
    clock.advance(86_400_000)
    await c.settled()
  })

  test.each([[0, 600], [601, 600], [65_535, 600], [5, 20], [20, undefined], [600, undefined]])('MQTT 5 asks for %i and is told %s', async (asked, told) => {
    const clock = new FakeClock()
    const p = await startParley({ limits: { keepAliveMinSeconds: 20, keepAliveMaxSeconds: 600 } }, clock)
    const c = await p.client({ user: 'alice', version: 5, keepalive: asked })
    expect(c.connack.properties?.serverKeepAlive).toBe(told)
    clock.advance((told ?? asked) * 1500)
    await c.settled()
    clock.advance((told ?? asked) * 1500 + 1000)
    await c.untilClosed()
    const old = await p.client({ user: 'bob', version: 4, keepalive: asked }) // older ones are taken as they are
    expect(old.connack.returnCode).toBe(0)
  })
})

test('what is announced to MQTT 5 is what holds', async () => {
  const p = await startParley()
  const { connack } = await p.client({ user: 'alice', version: 5, properties: { sessionExpiryInterval: 0xffffffff } })
  expect(connack.properties).toMatchObject({ receiveMaximum: 100, maximumPacketSize: (256 << 10) + (72 << 10), serverKeepAlive: 1200, sessionExpiryInterval: 2_592_000 })
})

describe('a will', () => {
  const will = (topic: string): ClientOptions['will'] => ({ topic, payload: Buffer.from('{"body":"gone"}'), qos: 1, retain: false })

  test.each([3, 4, 5] as const)('on one of our topics is left out, and the client is told (version byte %i)', async version => {
    const p = await startParley()
    const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
    for (const topic of ['u/bob/msg', 'g/x/msg', 'me/msg', 'rpc/server.info', 'state', 'presence/bob', 'p/x', 'u/bob/ack']) {
      const alice = await p.client({ user: 'alice', version, will: will(topic) })
      const known = alice.connack.sessionPresent
      if (!known) await alice.subscribe('me/#')
      expect([topic, (await alice.got('me/evt', 1))[0]!.json]).toEqual([topic, { type: 'will-ignored' }])
      alice.destroy()
      await alice.untilClosed()
    }
    await bob.settled()
    expect(bob.heard.filter(h => h.cmd === 'publish')).toEqual([])
  })

  test('on an ordinary topic is accepted, and denied when it is due', async () => {
    const p = await startParley()
    const by = await Bystanders.join(p)
    for (const topic of ['status/alice', '$SYS/x/new/clients', '__proto__', 'a/'.repeat(500)]) {
      const alice = await p.client({ user: 'alice', will: will(topic), subscribe: ['me/#'] })
      await alice.settled()
      expect(alice.on('me/evt')).toEqual([])
      alice.destroy()
      await by.unharmed()
    }
  })
})

test('a session’s expiry may be changed when it leaves, but not be given to a session that had none', async () => {
  const clock = new FakeClock()
  const p = await startParley({}, clock)
  const leave = async (device: string, expiry: number, atEnd: number): Promise<void> => {
    const c = await p.client({ user: 'alice', device, version: 5, properties: { sessionExpiryInterval: expiry }, subscribe: ['me/#'] })
    c.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: atEnd } })
    await c.untilClosed()
  }
  const present = async (device: string): Promise<unknown> => (await p.client({ user: 'alice', device, version: 5 })).connack.sessionPresent
  await leave('ends', 3600, 0)
  await leave('shorter', 3600, 60)
  await leave('longer', 60, 3600)
  await leave('none', 0, 3600)
  clock.advance(100_000)
  expect([await present('ends'), await present('shorter'), await present('longer'), await present('none')]).toEqual([false, false, true, false])
})
