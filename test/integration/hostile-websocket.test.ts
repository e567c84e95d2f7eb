import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import mqtt from 'mqtt-packet'
import type { WebSocket } from 'ws'
import { Bystanders } from '../support/bystanders.js'
import { connectPacket } from '../support/client.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { webSocket } from '../support/websocket.js'

let p: Parley
let by: Bystanders
beforeEach(async () => {
  p = await startParley({ listeners: [{ protocol: 'ws', host: '127.0.0.1', port: 0 }, { protocol: 'mqtt', host: '127.0.0.1', port: 0 }] })
  by = await Bystanders.join(p)
})
afterEach(async () => { await by.unharmed(); await closeAll() })

const HELLO = mqtt.generate(connectPacket({ user: 'mallory' }))

/** The code with which the broker closes. */
async function closed (socket: WebSocket): Promise<number> {
  socket.on('error', () => {})
  const [code] = await once(socket, 'close') as [number]
  return code
}

async function signedIn (): Promise<WebSocket> {
  const socket = await webSocket(p.port('ws'))
  socket.send(HELLO)
  await once(socket, 'message')
  return socket
}

test.each([['before CONNECT', false], ['after CONNACK', true]])('a text frame %s closes with 1003 [MQTT-6.0.0-1]', async (_name, after) => {
  const socket = after ? await signedIn() : await webSocket(p.port('ws'))
  socket.send(after ? 'hello' : HELLO.toString('latin1'), { binary: false })
  expect(await closed(socket)).toBe(1003)
})

test('a frame too large closes with 1009: before CONNACK at the packet limit, after it at 16 MiB', async () => {
  const stranger = await webSocket(p.port('ws'))
  stranger.send(Buffer.alloc(400_000))
  expect(await closed(stranger)).toBe(1009)
  const socket = await signedIn()
  socket.send(Buffer.alloc((16 << 20) + 1))
  expect(await closed(socket)).toBe(1009)
})

test('fragments without end close with 1009', async () => {
  const socket = await webSocket(p.port('ws'))
  const code = closed(socket)
  for (let i = 0; i < 10; i++) socket.send(Buffer.alloc(100_000), { fin: false })
  expect(await code).toBe(1009)
})

/** A WebSocket without a library: any frame may be written. */
async function bare (): Promise<Socket> {
  const socket = connect(p.port('ws'), '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  await once(socket, 'data')
  return socket
}

/** The status of the close frame; undefined: there was none. */
async function statusOf (socket: Socket): Promise<number | undefined> {
  const all: Buffer[] = []
  socket.on('data', b => { all.push(b) })
  await once(socket, 'close')
  const b = Buffer.concat(all)
  return b[0] === 0x88 ? b.readUInt16BE(2) : undefined
}

test.each([
  ['a frame that is not masked', Buffer.from([0x82, 0x01, 0x10]), 1002],
  ['reserved bits', Buffer.from([0xf2, 0x80, 0, 0, 0, 0]), 1002],
  ['an unknown opcode', Buffer.from([0x83, 0x80, 0, 0, 0, 0]), 1002],
  ['a continuation of nothing', Buffer.from([0x80, 0x80, 0, 0, 0, 0]), 1002],
  ['a ping of 126 bytes', Buffer.concat([Buffer.from([0x89, 0xfe, 0, 126, 0, 0, 0, 0]), Buffer.alloc(126)]), 1002],
  ['a fragmented ping', Buffer.from([0x09, 0x80, 0, 0, 0, 0]), 1002],
  ['a length of 2^63', Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1009],
  ['a close frame of one byte', Buffer.from([0x88, 0x81, 0, 0, 0, 0, 3]), 1002],
  ['a close frame with a bad code', Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0, 1]), 1002],
  ['text that is no UTF-8', Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]), 1007]
])('%s closes with its code', async (_name, frame, code) => {
  const socket = await bare()
  const status = statusOf(socket)
  socket.write(frame)
  expect(await status).toBe(code)
})

test('a client that cuts the connection in the middle of a frame, or of a handshake', async () => {
  for (const bytes of [[0x82], [0x82, 0xfe], [0x82, 0xfe, 0xff], [0x82, 0x85, 1, 2, 3]]) {
    const socket = await bare()
    socket.write(Buffer.from(bytes))
    await by.turn()
    socket.resetAndDestroy()
  }
  const socket = connect(p.port('ws'), '127.0.0.1')
  socket.write('GET /mqtt HTTP/1.1\r\nUpgr')
  await by.turn()
  socket.resetAndDestroy()
})

test('who pings without end and does not read the pongs is cut off', async () => {
  const socket = await bare()
  const gone = new Promise<void>(resolve => { socket.on('close', () => { resolve() }) })
  socket.pause()
  const ping = Buffer.concat([Buffer.from([0x89, 0xfd, 0, 0, 0, 0]), Buffer.alloc(125)])
  const pings = Buffer.concat(Array.from({ length: 1000 }, () => ping))
  for (let i = 0; i < 200; i++) socket.write(pings)
  await gone
})

test('random frames', async () => {
  const frame = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 120 })).map(([head, body]) => Buffer.concat([Buffer.from([head, 0x80 | body.length, 0, 0, 0, 0]), Buffer.from(body)]))
  await fc.assert(fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 4 }), fc.boolean(), async (frames, hello) => {
    const socket = await bare()
    if (hello) { socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | HELLO.length, 0, 0, 0, 0]), HELLO])); await once(socket, 'data') }
    for (const f of frames) socket.write(f)
    await by.turn()
    socket.resetAndDestroy()
  }), { numRuns: 200 })
})
