import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import mqtt from 'mqtt-packet'
import type { WebSocket } from 'ws'
import { Bystanders } from '../support/bystanders.js'
import { connectPacket } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { CertificateFiles } from '../support/tls.js'
import { webSocket } from '../support/websocket.js'

let files: CertificateFiles
let clock: FakeClock
let p: Parley
let by: Bystanders
beforeEach(async () => {
  files = new CertificateFiles()
  clock = new FakeClock()
  const at = (protocol: string): object => ({ protocol, host: '127.0.0.1', port: 0, ...(protocol === 'mqtts' || protocol === 'wss' ? { cert: files.cert, key: files.key } : {}) })
  p = await startParley({ listeners: ['mqtt', 'mqtts', 'ws', 'wss'].map(at) }, clock)
  by = await Bystanders.join(p)
})
afterEach(async () => { await by.unharmed(); await closeAll(); files.remove() })

async function opened (protocol: string): Promise<Socket> {
  const socket = connect({ port: p.port(protocol), host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}
const closed = async (socket: Socket): Promise<void> => { socket.resume(); if (!socket.destroyed) await new Promise<void>(resolve => { socket.once('close', () => { resolve() }) }) }

/** Lets seconds pass, one by one, and writes a piece in each. */
async function drip (seconds: number, write: (second: number) => void): Promise<void> {
  for (const s of range(1, seconds)) {
    write(s)
    await by.turn()
    clock.advance(1000)
    await by.turn()
  }
}

const CLIENT_HELLO = Buffer.from(`16030100c8010000c40303${'00'.repeat(60)}`, 'hex')
const REQUEST = Buffer.from(`GET /mqtt HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(20)}`)
const CONNECT = mqtt.generate(connectPacket({ user: 'mallory', device: 'a-long-client-id-of-many-bytes' }))
const PUBLISH = (size: number): Buffer => mqtt.generate({ cmd: 'publish', topic: 'u/bob/msg/c', payload: Buffer.alloc(size, 120), qos: 1, messageId: 7, dup: false, retain: false })

test.each([['mqtts', CLIENT_HELLO], ['wss', CLIENT_HELLO], ['ws', REQUEST], ['mqtt', CONNECT]])('%s: ten seconds for what comes first, said byte by byte or not at all', async (protocol, bytes) => {
  const silent = await opened(protocol)
  const slow = await opened(protocol)
  await drip(9, s => { slow.write(bytes.subarray(s - 1, s)) })
  expect([silent.destroyed, slow.destroyed]).toEqual([false, false])
  clock.advance(1000)
  await Promise.all([silent, slow].map(closed))
})

test('a WebSocket that says nothing, and one that drips a CONNECT, have ten seconds', async () => {
  const [silent, slow] = [await webSocket(p.port('ws')), await webSocket(p.port('ws'))]
  const ends = [silent, slow].map(async ws => await once(ws, 'close') as [number])
  await drip(10, s => { slow.send(CONNECT.subarray(s - 1, s)) })
  expect((await Promise.all(ends)).map(([code]) => code)).toEqual([1000, 1000])
})

test('an HTTP request on a WebSocket port is answered and closed', async () => {
  const socket = await opened('ws')
  socket.write('POST /mqtt HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n')
  const [answer] = await once(socket, 'data') as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1.1 426/)
  await closed(socket)
})

test.each(['ws', 'http'])('%s: headers of 100 kB are refused', async protocol => {
  const socket = await opened(protocol)
  socket.write(`GET /mqtt HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`)
  const [answer] = await once(socket, 'data') as [Buffer]
  expect(answer.toString()).toMatch(/^HTTP\/1.1 431/)
  await closed(socket)
})

/** A client whose keep-alive is 30 s, over TCP or a WebSocket: what it writes is one packet a frame, or one frame for all. */
async function slowClient (over: 'mqtt' | 'ws'): Promise<{ write (b: Buffer, last: boolean): void, heard (cmd: string): boolean, closed (): boolean, end (): void, until (what: () => boolean): Promise<void> }> {
  if (over === 'mqtt') {
    const c = await p.client({ user: 'mallory', keepalive: 30 })
    return { write: b => { c.raw(b) }, heard: cmd => c.heard.some(h => h.cmd === cmd), closed: () => c.closed, end: () => { c.destroy() }, until: async what => { await c.until(what) } }
  }
  const ws: WebSocket = await webSocket(p.port('ws'))
  const heard: string[] = []
  const parser = mqtt.parser()
  parser.on('packet', packet => { heard.push(packet.cmd) })
  let gone = false
  ws.on('message', (b: Buffer) => { parser.parse(b) })
  ws.on('close', () => { gone = true })
  ws.on('error', () => {})
  ws.send(mqtt.generate(connectPacket({ user: 'mallory', keepalive: 30 })))
  while (!heard.includes('connack')) await once(ws, 'message')
  return {
    write: (b, last) => { ws.send(b, { fin: last }) }, heard: cmd => heard.includes(cmd), closed: () => gone, end: () => { ws.terminate() },
    until: async what => { while (!what()) await Promise.race([once(ws, 'message'), once(ws, 'close')]) }
  }
}

describe.each(['mqtt', 'ws'] as const)('%s', over => {
  test('60 kB at 1 kB/s with keep-alive 30 is a live connection', async () => {
    const c = await slowClient(over)
    const bytes = PUBLISH(60_000)
    const pieces = Math.ceil(bytes.length / 1000)
    await drip(pieces, s => { c.write(bytes.subarray(1000 * (s - 1), 1000 * s), s === pieces) })
    await c.until(() => c.heard('puback'))
    c.end()
  })

  test('one that stops in the middle is not', async () => {
    const c = await slowClient(over)
    await drip(5, s => { c.write(PUBLISH(60_000).subarray(1000 * (s - 1), 1000 * s), false) })
    clock.advance(44_000)
    await by.turn()
    expect(c.closed()).toBe(false)
    clock.advance(2000)
    await c.until(() => c.closed())
  })

  test('no packet takes longer than ten minutes', async () => {
    const c = await slowClient(over)
    const bytes = PUBLISH(60_000)
    for (const minute of range(0, 39)) {
      c.write(bytes.subarray(10 * minute, 10 * minute + 10), false)
      await by.turn()
      clock.advance(15_000)
    }
    await by.turn()
    expect(c.closed()).toBe(false)
    clock.advance(15_000)
    await c.until(() => c.closed())
  })
})

test('a header of a later packet has ten seconds; whole packets between start them anew', async () => {
  const c = await p.client({ user: 'mallory', version: 5 })
  const ping = mqtt.generate({ cmd: 'pingreq' })
  // always in the middle of a header, never of the same for long
  c.raw(ping.subarray(0, 1))
  await drip(30, () => { c.raw(Buffer.concat([ping.subarray(1), ping.subarray(0, 1)])) })
  expect(c.closed).toBe(false)
  c.raw(ping.subarray(1))
  await drip(9, s => { c.raw(Buffer.from(s === 1 ? [0x32] : s < 4 ? [0xff] : [])) })
  expect(c.closed).toBe(false)
  clock.advance(2000)
  await c.untilClosed()
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x83 })
})

test('idle connections are no slow ones: WebSocket pings and pongs begin no packet', async () => {
  const c = await slowClient('ws')
  const keep = mqtt.generate({ cmd: 'pingreq' })
  const ws = await webSocket(p.port('ws'))
  ws.send(mqtt.generate(connectPacket({ user: 'eve' })))
  await once(ws, 'message')
  for (const _ of range(1, 60)) {
    ws.ping('hello')
    ws.pong('unasked')
    c.write(keep, true)
    await once(ws, 'pong')
    await by.turn()
    clock.advance(15_000)
    await by.turn()
  }
  expect([c.closed(), ws.readyState]).toEqual([false, ws.OPEN])
  c.end()
  ws.terminate()
})

test('messages too large, one behind the other, are dropped as they come, however long that goes on', async () => {
  const c = await p.client({ user: 'mallory' })
  const large = PUBLISH(400_000)
  c.raw(large.subarray(0, 10))
  for (const _ of range(1, 12)) {
    c.raw(Buffer.concat([large.subarray(10), large.subarray(0, 10)]))
    await by.turn()
    clock.advance(60_000)
  }
  await c.until(() => c.heard.filter(h => h.cmd === 'puback').length === 12)
  expect(c.closed).toBe(false)
  c.destroy()
})
