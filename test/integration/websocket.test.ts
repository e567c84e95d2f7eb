import { once } from 'node:events'
import mqtt, { type Packet } from 'mqtt-packet'
import type { WebSocket } from 'ws'
import { Client, connectPacket } from '../support/client.js'
import { range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { openWebSocket, webSocket } from '../support/websocket.js'

afterEach(closeAll)

const ws = (more: object = {}): object => ({ protocol: 'ws', host: '127.0.0.1', port: 0, ...more })
const start = async (more: object = {}): Promise<Parley> => await startParley({ listeners: [ws(more), { protocol: 'mqtt', host: '127.0.0.1', port: 0 }] })
const bytes = (...packets: object[]): Buffer => Buffer.concat(packets.map(p => mqtt.generate(p as Packet)))
const CONNECT = connectPacket({ user: 'alice' })
const message = (messageId: number, payload = 'hello'): object => ({ cmd: 'publish', topic: 'u/bob/msg', payload, qos: 1, messageId })

/** What the broker sends, as MQTT packets. */
function packets (socket: WebSocket): Packet[] {
  const all: Packet[] = []
  const parser = mqtt.parser()
  parser.on('packet', p => { all.push(p) })
  socket.on('message', (data: Buffer, binary) => { expect(binary).toBe(true); parser.parse(data) })
  return all
}
const until = async (socket: WebSocket, what: () => boolean): Promise<void> => { while (!what()) await once(socket, 'message') }

test.each(['/mqtt', '/', '/mqtt?token=x'])('the path %s is taken, on the ws port and on the HTTP port', async path => {
  const p = await start()
  for (const protocol of ['ws', 'http']) {
    const socket = await webSocket(p.port(protocol), path)
    const heard = packets(socket)
    socket.send(bytes(CONNECT))
    await until(socket, () => heard[0]?.cmd === 'connack')
    socket.terminate()
  }
})

test('another path is 404; the listener has its own', async () => {
  const p = await start({ path: '/chat' })
  for (const path of ['/mqtt', '/chat/', '/chats', '//']) await expect(webSocket(p.port('ws'), path)).rejects.toThrow('404')
  await expect(webSocket(p.port('http'), '/chat')).rejects.toThrow('404')
  for (const path of ['/chat', '/']) (await webSocket(p.port('ws'), path)).terminate()
  expect((await fetch(`http://127.0.0.1:${p.port('ws')}/chat`)).status).toBe(426)
})

test.each([[['mqtt'], 'mqtt'], [['mqttv3.1'], 'mqttv3.1'], [['mqttv3.1', 'mqtt'], 'mqtt'], [['other', 'mqtt'], 'mqtt'], [[], '']])('of the subprotocols %j it takes %j [MQTT-6.0.0-4]', async (offered, taken) => {
  const p = await start()
  const socket = await webSocket(p.port('ws'), '/mqtt', {}, offered)
  expect(socket.protocol).toBe(taken)
  socket.terminate()
})

test('pages of foreign origins are turned away: always with auth.dev, else as the listener says', async () => {
  const open = async (p: Parley, origin: string, protocol = 'ws'): Promise<string> => await webSocket(p.port(protocol), '/mqtt', { origin }).then(s => { s.terminate(); return 'open' }, (e: Error) => e.message)
  const forbidden = 'Unexpected server response: 403'
  const dev = await start()
  for (const protocol of ['ws', 'http']) {
    for (const origin of ['http://localhost:3000', 'http://127.0.0.1', 'https://[::1]:8', 'http://127.9.9.9']) expect([origin, await open(dev, origin, protocol)]).toEqual([origin, 'open'])
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example', 'http://127.0.0.1.evil.example', 'file://']) expect([origin, await open(dev, origin, protocol)]).toEqual([origin, forbidden])
  }
  const any = await startParley({ auth: { jwt: { secret: 'x'.repeat(32) } }, listeners: [ws()] })
  expect(await open(any, 'https://app.example')).toBe('open')
  const some = await startParley({ auth: { jwt: { secret: 'x'.repeat(32) } }, listeners: [ws({ origins: ['https://app.example'] })] })
  expect(await open(some, 'https://app.example')).toBe('open')
  expect(await open(some, 'https://other.example')).toBe(forbidden)
  ;(await webSocket(some.port('ws'))).terminate() // no browser
})

test('frames cut packets anywhere: a byte each, all in one, fragments of one [MQTT-6.0.0-2]', async () => {
  const p = await start()
  const stream = bytes(CONNECT, message(1), message(2), { cmd: 'pingreq' })
  const ways: [string, (s: WebSocket) => void][] = [
    ['a byte in each frame', s => { for (const b of stream) s.send(Buffer.from([b])) }],
    ['one frame', s => { s.send(stream) }],
    ['empty frames between', s => { for (const b of [stream.subarray(0, 7), Buffer.alloc(0), stream.subarray(7)]) s.send(b) }],
    ['fragments', s => { for (let i = 0; i < stream.length; i++) s.send(stream.subarray(i, i + 1), { fin: i === stream.length - 1 }) }]
  ]
  for (const [name, write] of ways) {
    const socket = await webSocket(p.port('ws'))
    const heard = packets(socket)
    write(socket)
    await until(socket, () => heard.length === 4)
    expect([name, heard.map(h => h.cmd).sort()]).toEqual([name, ['connack', 'pingresp', 'puback', 'puback']])
    socket.terminate()
  }
})

test('pings keep proxies from cutting an idle socket', async () => {
  const p = await start({ pingSeconds: 1 })
  const socket = await webSocket(p.port('ws'))
  await once(socket, 'ping')
  socket.terminate()
})

test('a client that closes properly is gone at once, and one that the broker closes hears 1000', async () => {
  const p = await start()
  const alice = await openWebSocket(p.port('ws'))
  await alice.hello({ user: 'alice', subscribe: ['me/#'] })
  const socket = await webSocket(p.port('ws'))
  const heard = packets(socket)
  socket.send(bytes(CONNECT)) // takes over
  await until(socket, () => heard[0]?.cmd === 'connack')
  await alice.untilClosed()
  expect(alice.on('me/evt').map(d => d.json)).toEqual([{ type: 'replaced' }])
  socket.close()
  await once(socket, 'close')
  await p.client({ user: 'bob' })
  const metrics = await (await p.http('/metrics')).text()
  expect(metrics).toMatch(/^parley_sessions 1$/m)
})

test('a message too large is answered over WebSocket too; a flush of an offline queue in one frame is taken', async () => {
  const p = await start()
  const alice = await openWebSocket(p.port('ws'))
  await alice.hello({ user: 'alice', subscribe: ['me/#'] })
  await alice.say('u/bob/msg/c1', Buffer.alloc(2 << 20, 120))
  expect((await alice.got('me/ack', 1))[0]!.json).toMatchObject({ cid: 'c1', error: { code: 'too-large' } })
  const ids = range(100, 199)
  alice.raw(bytes(...ids.map(id => message(id, 'x'.repeat(20_000)))))
  await Promise.all(ids.map(async id => await alice.answer('puback', id)))
})

test('MQTT 5 over WebSocket is told 0x95', async () => {
  const p = await start()
  const alice = await openWebSocket(p.port('ws'), 5)
  await alice.hello({ user: 'alice', version: 5 })
  alice.publish('u/bob/msg', Buffer.alloc(2 << 20, 120))
  await alice.untilClosed()
  expect(alice.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x95 })
})

test('who came over TCP and who came over WebSocket hear each other', async () => {
  const p = await start()
  const alice = await openWebSocket(p.port('ws'))
  await alice.hello({ user: 'alice', subscribe: ['me/#'] })
  const bob = await Client.connect(p.port('mqtt'), { user: 'bob' })
  await bob.say('u/alice/msg', 'hello')
  await alice.got('me/msg', 1)
  bob.destroy()
})
