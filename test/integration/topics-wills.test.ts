import type { Client } from '../support/client.js'
import { Door } from '../support/door.js'
import { FakeClock } from '../support/fake-clock.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

afterEach(closeAll)
const ALL = { acl: [{ allow: ['publish', 'subscribe'], topic: '#' }] }
const will = { topic: 'gone/d', payload: Buffer.from('will'), qos: 1 as const, retain: false }
const texts = (c: Client): string[] => c.on('gone').map(d => String(d.packet.payload))

async function watch (p: Parley): Promise<Client> { return await p.client({ user: 'watcher', clean: true, version: 5, subscribe: ['gone/#', 'mark'] }) }
/** All that was published before has come. */
async function settled (watcher: Client): Promise<void> {
  const n = watcher.on('mark').length
  await watcher.say('mark', 'x')
  await watcher.got('mark', n + 1)
}

test.each([3, 4, 5] as const)('a will is sent when the connection breaks, ends by its keepalive or by an error, and not after DISCONNECT (version byte %i)', async version => {
  const clock = new FakeClock()
  const p = await startParley(ALL, clock)
  const watcher = await watch(p)
  const me = { user: 'me', device: 'd', version, will, clean: true }
  await (await p.client(me)).end()
  await settled(watcher)
  expect(texts(watcher)).toEqual([])
  ;(await p.client(me)).destroy()
  await watcher.got('gone', 1)
  const silent = await p.client({ ...me, keepalive: 10 })
  clock.advance(15_600)
  await silent.untilClosed()
  await watcher.got('gone', 2)
  const broken = await p.client(me)
  broken.raw(Buffer.from([0xf7, 0]))
  await broken.untilClosed()
  expect((await watcher.got('gone', 3)).map(d => [d.topic, d.qos, d.packet.retain, String(d.packet.payload)])).toEqual(Array(3).fill(['gone/d', 1, false, 'will']))
})

test('a retained will is retained', async () => {
  const p = await startParley(ALL)
  const watcher = await watch(p)
  ;(await p.client({ user: 'me', device: 'd', clean: true, will: { ...will, retain: true } })).destroy()
  await watcher.got('gone', 1)
  const late = await watch(p)
  expect((await late.got('gone', 1)).map(d => d.packet.retain)).toEqual([true])
})

test('MQTT 5: properties, expiry and user properties in order; DISCONNECT 0x04 asks for the will', async () => {
  const p = await startParley(ALL)
  const watcher = await watch(p)
  const c = await p.client({
    user: 'me', device: 'd', clean: true, version: 5,
    will: { ...will, properties: { contentType: 'text/plain', messageExpiryInterval: 60, willDelayInterval: 0, userProperties: { b: ['1', '2'], a: '3' } } }
  })
  c.send({ cmd: 'disconnect', reasonCode: 0x04 })
  const [got] = await watcher.got('gone', 1)
  expect(got!.packet.properties).toMatchObject({ contentType: 'text/plain', messageExpiryInterval: 60, userProperties: { b: ['1', '2'], a: '3' } })
  expect(got!.packet.properties).not.toHaveProperty('willDelayInterval')
})

describe('a will with a delay', () => {
  const late = { ...will, properties: { willDelayInterval: 30 } }
  const me = { user: 'me', device: 'd', version: 5 as const, will: late, properties: { sessionExpiryInterval: 100 } }

  test('waits, and is not sent when the session goes on before', async () => {
    const clock = new FakeClock()
    const p = await startParley(ALL, clock)
    const watcher = await watch(p)
    ;(await p.client(me)).destroy()
    await settled(watcher)
    clock.advance(29_000)
    const back = await p.client(me)
    clock.advance(60_000)
    await settled(watcher)
    expect(texts(watcher)).toEqual([])
    back.destroy()
    await settled(watcher)
    await settled(watcher)
    clock.advance(31_000)
    await watcher.got('gone', 1)
  })

  test('is sent at the end of the session, if that comes first', async () => {
    const clock = new FakeClock()
    const p = await startParley(ALL, clock)
    const watcher = await watch(p)
    ;(await p.client({ ...me, properties: { sessionExpiryInterval: 10 } })).destroy()
    await settled(watcher)
    expect(texts(watcher)).toEqual([])
    clock.advance(11_000)
    await watcher.got('gone', 1)
    ;(await p.client({ ...me, clean: true, properties: { sessionExpiryInterval: 0 } })).destroy()
    await watcher.got('gone', 2)
  })

  test('is sent at once when a clean start ends the session', async () => {
    const p = await startParley(ALL, new FakeClock())
    const watcher = await watch(p)
    ;(await p.client(me)).destroy()
    await settled(watcher)
    const fresh = await p.client({ ...me, will: undefined, clean: true })
    await watcher.got('gone', 1)
    await fresh.end()
    await settled(watcher)
    expect(texts(watcher)).toHaveLength(1)
  })

  test('a takeover sends that of 3.1.1, and not the delayed one of a session that goes on', async () => {
    const p = await startParley(ALL)
    const watcher = await watch(p)
    await p.client(me)
    const second = await p.client({ ...me, will: undefined })
    await settled(watcher)
    expect(texts(watcher)).toEqual([])
    await second.end()
    await p.client({ user: 'me', device: 'old', will })
    await p.client({ user: 'me', device: 'old' })
    await watcher.got('gone', 1)
  })
})

test('wills of a process that ended are sent by the next one, but for those who are back', async () => {
  const clock = new FakeClock()
  const p = await startParley(ALL, clock)
  for (const device of ['away', 'back', 'left']) {
    const c = await p.client({ user: 'me', device, will: { ...will, topic: `gone/${device}` } })
    if (device === 'left') await c.end()
  }
  await p.restart()
  const watcher = await watch(p)
  await p.client({ user: 'me', device: 'back' })
  await settled(watcher)
  expect(texts(watcher)).toEqual([])
  clock.advance(10_100)
  expect((await watcher.got('gone', 1)).map(d => d.topic)).toEqual(['gone/away'])
  await p.restart()
  clock.advance(20_000)
  const later = await watch(p)
  await settled(later)
  expect(texts(later)).toEqual([])
})

test('a will is judged when it is published: denied, it is dropped and counted', async () => {
  const door = new Door()
  door.answer = c => ({ kind: 'accepted', identity: { user: c.user, admin: false, expiresMs: 0, acl: c.user === 'me' ? [{ deny: ['publish'], topic: 'gone/#' }] : [] } })
  const p = await startParley({ ...ALL, ...door.settings })
  const watcher = await watch(p)
  const c = await p.client({ user: 'me', device: 'd', clean: true, will })
  c.destroy()
  while (!(await (await p.http('/metrics')).text()).includes('parley_wills_total{outcome="denied"} 1')) await settled(watcher)
  expect(texts(watcher)).toEqual([])
  door.remove()
})

test.each([['with wildcards', 'a/#'], ['without a topic', '']])('a will %s refuses the CONNECT', async (_name, topic) => {
  const p = await startParley(ALL)
  await expect(p.client({ user: 'me', version: 5, clean: true, will: { ...will, topic } })).rejects.toThrow()
})
