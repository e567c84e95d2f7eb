import mqtt, { type IConnackPacket } from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import { Client, connectPacket } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { fill, range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

/** Client ids that a careless encoding would take for another's. */
const IDS = [
  'phone', 'phone/2', 'bob/phone', '/phone', '../bob/phone', 'bob%2Fphone', 'phone%2F2', '%', '%2', '%00', '+', '#', 'bob/+', 'bob/#', '$share/x/bob', '$SYS/a/new/clients', '$',
  '__proto__', 'constructor', 'toString', '.', '..', ' ', 'Phone', 'phone ', 'PHONE', 'télé', 'te\u0301le\u0301', '電話', '📱', '📱'.repeat(128), 'x'.repeat(128), "!'()*~", '"', '\\', '0', '\u200b', '\ufffd', '\ufeff'
]

test('nobody can take over, resume or kick another user’s session by choosing its client id', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const bobs: Client[] = []
  for (const device of IDS) bobs.push(await p.client({ user: 'bob', device, subscribe: ['me/#'] }))
  for (const device of [...new Set([...IDS, ...IDS.map(d => `bob/${d}`), ...IDS.map(d => `bob/${encodeURIComponent(d)}`)])].filter(d => [...d].length <= 128)) {
    const mallory = await p.client({ user: 'mallory', device })
    expect([device, mallory.connack.sessionPresent]).toEqual([device, false])
  }
  await alice.say('u/bob/msg', { body: 'for bob' })
  for (const bob of bobs) expect((await bob.got('me/msg', 1))[0]!.json.body).toBe('for bob') // each is there still, a session of its own
  expect(p.lines.filter(l => l.level === 'error')).toEqual([])
})

test('each of a user’s client ids has its own cursors, after a restart too', async () => {
  const p = await startParley()
  const devices = IDS.slice(0, 49) // limits.devicesPerUser
  for (const device of devices) await (await p.client({ user: 'bob', device, subscribe: ['me/#'] })).end()
  await p.restart()
  const alice = await p.client({ user: 'alice' })
  await alice.say('u/bob/msg', { body: 1 })
  for (const device of devices) {
    const bob = await p.client({ user: 'bob', device })
    expect([device, bob.connack.sessionPresent, (await bob.got('me/msg', 1)).map(d => d.json.seq)]).toEqual([device, true, [1]])
  }
})

test.each([['a NUL', 'a\0b', 'closed'], ['a tab', 'a\tb', 'refused'], ['DEL', 'a\x7f', 'refused'], ['a C1 control', 'a\u0085', 'refused'], ['129 characters', 'x'.repeat(129), 'refused'], ['64 kB', 'x'.repeat(65_535), 'refused']])(
  'a client id with %s is no device', async (_name, device, how) => {
    const p = await startParley()
    const by = await Bystanders.join(p)
    for (const [version, code] of [[3, 2], [4, 2], [5, 0x85]] as const) {
      const c = await p.client({ user: 'alice', device, version }).catch((e: Error) => e)
      if (how === 'closed') expect(String(c)).toMatch('the connection is closed') // [MQTT-1.5.4-2]
      else {
        expect((c as Client).connack[version === 5 ? 'reasonCode' : 'returnCode']).toBe(code)
        await (c as Client).untilClosed()
      }
    }
    await by.unharmed()
  })

test('an empty client id: 5.0 is told the one it got, 3.1.1 gets one with a clean session only, 3.1 none', async () => {
  const p = await startParley()
  const nameless = async (version: 3 | 4 | 5, clean: boolean): Promise<Client> => {
    const c = await Client.open(p.port('mqtt'), version)
    // mqtt-packet does not write all of these: of a CONNECT with the id `~` the id is cut out
    const bytes = mqtt.generate(connectPacket({ user: 'alice', device: '~', version, clean, properties: { sessionExpiryInterval: 60 } }))
    const at = bytes.indexOf('~')
    bytes[at - 1] = 0
    bytes[1]!--
    c.raw(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]))
    await c.until(() => c.heard.length > 0, 'CONNACK')
    return c
  }
  for (const [version, clean, code] of [[3, true, 2], [3, false, 2], [4, false, 2], [4, true, 0]] as const) expect((await nameless(version, clean)).connack.returnCode).toBe(code)
  const ids = new Set<string>()
  for (const clean of [true, false, false]) {
    const c = await nameless(5, clean)
    const id = (c.connack as IConnackPacket & { properties: { assignedClientIdentifier: string } }).properties.assignedClientIdentifier
    expect(id).toMatch(/^[\w-]{20,128}$/)
    ids.add(id)
    await c.end()
    const back = await p.client({ user: 'alice', device: id, version: 5 }) // the id is its own from then on
    expect(back.connack.sessionPresent).toBe(true)
    expect(back.connack.properties).not.toHaveProperty('assignedClientIdentifier')
  }
  expect(ids.size).toBe(3)
})

test('a newer connection of a device takes over; the older one is told so, and is over before', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  const old5 = await p.client({ user: 'bob', version: 5, subscribe: ['me/#'] })
  const newer = await p.client({ user: 'bob', version: 4 })
  await old5.untilClosed()
  expect(old5.heard.slice(-2)).toMatchObject([{ cmd: 'publish', topic: 'me/evt', qos: 0 }, { cmd: 'disconnect', reasonCode: 0x8e }])
  expect(old5.on('me/evt')[0]!.json).toEqual({ type: 'replaced' })
  expect(newer.connack.sessionPresent).toBe(true)
  const newest = await p.client({ user: 'bob' })
  await newer.untilClosed()
  expect(newer.heard.at(-1)).toMatchObject({ cmd: 'publish', topic: 'me/evt' })
  await fill(alice, 'u/bob/msg', 3)
  await newest.got('me/msg', 3)
  expect(seqs(newest)).toEqual([1, 2, 3])
})

test('twenty CONNECTs of one device at once: the last one is left, and it alone', async () => {
  const clock = new FakeClock()
  const p = await startParley({}, clock)
  const alice = await p.client({ user: 'alice' })
  await (await p.client({ user: 'bob', subscribe: ['me/#'] })).end()
  const all = await Promise.all(range(1, 20).map(async () => await Client.open(p.port('mqtt'))))
  for (const c of all) c.send(connectPacket({ user: 'bob' }))
  const left = all.at(-1)!
  // the last CONNACK waits, too, when all others are gone
  while (all.some(c => c !== left && !c.closed) || left.heard.length === 0) { clock.advance(1000); await new Promise<void>(resolve => { setImmediate(resolve) }) }
  expect(left.closed).toBe(false)
  // one after the other: each that was let in was told that it is replaced, before the next was let in
  for (const c of all) if (c !== left) expect(c.heard).toMatchObject([{ cmd: 'connack', sessionPresent: true }, { topic: 'me/evt', payload: Buffer.from('{"type":"replaced"}') }])
  await fill(alice, 'u/bob/msg', 3)
  await left.got('me/msg', 3)
  await left.settled()
  expect(seqs(left)).toEqual([1, 2, 3])
  left.destroy()
})
