import mqtt, { type MqttClient } from 'mqtt'
import { Backend } from '../support/backend.js'
import { Bystanders } from '../support/bystanders.js'
import { Client, connectPacket } from '../support/client.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let backend: Backend
const clients = new Set<MqttClient>()
beforeEach(async () => {
  backend = await new Backend().start()
  backend.answer = (response, { body }) => {
    const { user, password } = JSON.parse(body) as { user: string, password: string }
    if (password.startsWith('good')) response.writeHead(200).end(JSON.stringify({ user }))
    else response.writeHead(401).end()
  }
})
afterEach(async () => {
  await Promise.all([...clients].map(async c => { await c.endAsync(true) }))
  clients.clear()
  await closeAll()
  await backend.stop()
})

const start = async (more: object = {}): Promise<Parley> => await startParley({ auth: { http: { url: backend.url, timeoutMs: 500, ...more } } })

test('200 and 401 of a real backend; what is told it', async () => {
  const p = await start()
  expect((await p.client({ user: 'alice', password: 'good' })).connack.returnCode).toBe(0)
  expect((await p.client({ user: 'alice', password: 'bad' })).connack.returnCode).toBe(4)
  expect((await p.client({ user: 'alice', password: 'bad', version: 5 })).connack.reasonCode).toBe(0x86)
  expect(JSON.parse(backend.asked[0]!.body)).toEqual({ user: 'alice', password: 'good', device: 'phone', address: '127.0.0.1', listener: 'mqtt:0' })
  expect(backend.asked).toHaveLength(2) // the same bad one was refused from memory
})

test('what ends the credential ends the connection', async () => {
  backend.answer = response => { response.writeHead(200).end(JSON.stringify({ user: 'alice', exp: Date.now() / 1000 + 0.5 })) }
  const p = await start()
  const c = await p.client({ user: 'alice', password: 'good', version: 5 })
  await c.untilClosed()
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x87 })
})

test.each<[string, () => void | Promise<void>]>([
  ['is gone', async () => { await backend.stop() }],
  ['answers 503', () => { backend.says(503, '') }],
  ['redirects', () => { backend.answer = r => { r.writeHead(302, { location: '/' }).end() } }],
  ['hangs', () => { backend.answer = () => {} }]
])('when it %s: no CONNACK; live and remembered connections are undisturbed', async (_name, breakIt) => {
  const p = await startParley({ auth: { http: { url: backend.url, timeoutMs: 500 }, jwt: {} } })
  const live = await p.client({ user: 'carol', password: 'good', device: 'live', subscribe: ['me/#'] })
  await (await p.client({ user: 'alice', password: 'good' })).end()
  await breakIt()
  const c = await Client.open(p.port('mqtt'))
  c.send(connectPacket({ user: 'bob', password: 'good' }))
  await c.untilClosed()
  expect(c.heard).toEqual([])
  const again = await p.client({ user: 'alice', password: 'good' })
  expect(again.connack.returnCode).toBe(0)
  await again.say('u/carol/msg', { body: 1 })
  await live.got('me/msg', 1)
})

test('200 stock clients are back by themselves within 30 s of its return, and the backend never had more than 50 of them', async () => {
  const p = await start({ cacheMs: 0 })
  const all = Array.from({ length: 200 }, (_, i) => {
    const c = mqtt.connect({ port: p.port('mqtt'), host: '127.0.0.1', username: `u${i}`, password: `good-${i}`, clientId: 'phone', clean: false, reconnectPeriod: 1000 })
    c.on('error', () => {})
    clients.add(c)
    return c
  })
  const connected = async (): Promise<void> => {
    await Promise.all(all.map(async c => { if (!c.connected) await new Promise<void>(resolve => { c.once('connect', () => { resolve() }) }) }))
  }
  await connected()
  await backend.stop()
  const gone = Promise.all(all.map(async c => await new Promise<void>(resolve => { c.once('close', () => { resolve() }) })))
  for (const c of all) c.stream.destroy()
  await gone
  // each has been refused an answer at least once while it was away
  await Promise.all(all.map(async c => await new Promise<void>(resolve => { c.once('close', () => { resolve() }) })))
  await backend.start()
  const began = performance.now()
  await connected()
  expect(performance.now() - began).toBeLessThan(30_000)
  expect(backend.mostOpen).toBeLessThanOrEqual(50)
}, 60_000)

test('a library that replays a refused credential for ever costs the backend one question, and others nothing', async () => {
  const p = await start()
  const others = await p.client({ user: 'carol', password: 'good', subscribe: ['me/#'] })
  for (let i = 0; i < 8; i++) expect((await p.client({ user: 'alice', password: 'expired' })).connack.returnCode).toBe(4)
  expect(backend.asked).toHaveLength(2)
  expect((await p.client({ user: 'bob', password: 'good' })).connack.returnCode).toBe(0)
  await others.settled()
})

test('a flood of sign-ins while it hangs is bounded, and bystanders chat on', async () => {
  const p = await startParley({ auth: { jwt: {}, http: { url: backend.url, timeoutMs: 1000 } } })
  // carol and dave come while it works
  backend.answer = (response, { body }) => { response.end(JSON.stringify({ user: (JSON.parse(body) as { user: string }).user })) }
  const join = p.client
  p.client = async o => await join({ password: 'good', ...o })
  const by = await Bystanders.join(p)
  backend.answer = () => {}
  const flood = await Promise.all(Array.from({ length: 300 }, async (_, i) => {
    const c = await Client.open(p.port('mqtt'))
    c.send(connectPacket({ user: `u${i}`, password: 'good' }))
    return c
  }))
  await by.unharmed()
  await Promise.all(flood.map(async c => { await c.untilClosed() }))
  expect(flood.flatMap(c => c.heard)).toEqual([])
  expect(backend.mostOpen).toBeLessThanOrEqual(100) // 50, and those given up that it has not noticed yet
  await by.unharmed()
})
