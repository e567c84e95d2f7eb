import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import mqtt from 'mqtt-packet'
import { Bystanders } from '../support/bystanders.js'
import { Client, connectPacket } from '../support/client.js'
import { Door } from '../support/door.js'
import { range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { CertificateFiles, tlsSocket } from '../support/tls.js'
import { openWebSocket, webSocket } from '../support/websocket.js'

let files: CertificateFiles
let door: Door
let p: Parley
let by: Bystanders
beforeEach(async () => {
  files = new CertificateFiles()
  door = new Door()
  const at = (protocol: string): object => ({ protocol, host: '127.0.0.1', port: 0, ...(protocol === 'mqtts' || protocol === 'wss' ? { cert: files.cert, key: files.key } : {}) })
  p = await startParley({ ...door.settings, listeners: ['mqtt', 'mqtts', 'ws', 'wss'].map(at) })
  by = await Bystanders.join(p)
})
afterEach(async () => { await by.unharmed(); await closeAll(); door.remove(); files.remove() })

const hello = (version: 4 | 5 = 4): Buffer => mqtt.generate(connectPacket({ user: 'mallory', version }), { protocolVersion: version })
/** The head of a packet of 268,435,455 bytes, and a little of it. */
const huge = (head: number): Buffer => Buffer.concat([Buffer.from([head, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(1000)])
const gauge = async (name: string): Promise<number> => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await (await p.http('/metrics')).text())![1])

async function opened (protocol: string, allowHalfOpen = false): Promise<Socket> {
  const socket = connect({ port: p.port(protocol), host: '127.0.0.1', noDelay: true, allowHalfOpen })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

describe('268 MB announced and never sent', () => {
  test.each([0x10, 0x30, 0x32, 0x82, 0xc0, 0xe0])('as the first packet, of head %i: closed at once', async head => {
    const c = await Client.open(p.port('mqtt'))
    c.raw(huge(head))
    await c.untilClosed()
    expect(c.heard).toEqual([])
  })

  test('while authentication runs: closed when it is over', async () => {
    let letIn = (): void => {}
    const asked = new Promise<void>(resolve => { door.answer = c => new Promise(answer => { letIn = () => { answer(door.accept(c)) }; resolve() }) })
    const c = await Client.open(p.port('mqtt'))
    c.raw(Buffer.concat([hello(), huge(0x32)]))
    await asked
    door.answer = c => door.accept(c)
    letIn()
    await c.untilClosed()
    expect(c.heard.map(h => h.cmd)).toEqual(['connack'])
  })

  test.each([[4, 0x32], [4, 0x82], [4, 0x40], [5, 0x32], [5, 0x82]] as const)('after CONNACK, MQTT %i, head %i: closed, MQTT 5 is told', async (version, head) => {
    const c = await Client.open(p.port('mqtt'), version)
    c.raw(Buffer.concat([hello(version), huge(head)]))
    await c.untilClosed()
    expect(c.heard.map(h => h.cmd === 'disconnect' ? h.reasonCode : h.cmd)).toEqual(version === 5 ? ['connack', 0x95] : ['connack'])
  })

  test('over WebSocket and over TLS the same', async () => {
    const clients = [await openWebSocket(p.port('ws')), Client.over(await tlsSocket(p.port('mqtts'), files))]
    for (const c of clients) {
      c.raw(Buffer.concat([hello(), huge(0x32)]))
      await c.untilClosed()
    }
  })
})

test('a frame of 2^40 bytes, or of 15 MiB before CONNACK, that is announced and never sent', async () => {
  for (const [head, code] of [['82ff0000010000000000aabbccdd', 1009], ['82ff0000000000f00000aabbccdd', null]] as const) {
    const socket = await opened('ws')
    socket.write('GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    await once(socket, 'data')
    const answer: Buffer[] = []
    socket.on('data', b => { answer.push(b) })
    socket.write(Buffer.from(head, 'hex'))
    if (code === null) for (const _ of range(1, 12)) socket.write(Buffer.alloc(50_000)) // more than a stranger may send
    await once(socket, 'close')
    expect(Buffer.concat(answer).subarray(0, 4).readUInt16BE(2)).toBe(1009)
  }
})

test('junk on the TLS port, TLS on the plain port, plain MQTT and HTTP on the TLS port', async () => {
  const tries: [string, Buffer | string][] = [
    ['mqtts', hello()], ['wss', hello()], ['mqtts', 'GET / HTTP/1.1\r\n\r\n'], ['wss', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'], ['mqtts', Buffer.alloc(1000)], ['wss', Buffer.alloc(1000, 255)],
    ['mqtts', Buffer.from('1603030004020000ff', 'hex')], ['mqtt', Buffer.from('16030100c8010000c40303', 'hex')], ['ws', Buffer.from('16030100c8010000c40303', 'hex')]
  ]
  for (const [protocol, bytes] of tries) {
    const socket = await opened(protocol)
    socket.write(bytes)
    socket.resume()
    if (!socket.destroyed) await once(socket, 'close')
  }
  for (const protocol of ['mqtt', 'ws']) await expect(tlsSocket(p.port(protocol), files)).rejects.toThrow()
})

test('handshakes that are cut off after any byte leave nothing behind', async () => {
  const hello = Buffer.from('16030100c8010000c40303', 'hex')
  for (const n of range(0, 99)) {
    const socket = await opened('mqtts')
    socket.write(hello.subarray(0, 1 + n % hello.length))
    await by.turn()
    socket.resetAndDestroy()
  }
  while (await gauge('parley_connections') > 2) await by.turn()
})

test('ALPN: mqtt or nothing on mqtts, http/1.1 on wss; who offers only what is foreign is refused by TLS', async () => {
  const taken = async (protocol: string, offered: string[] | undefined): Promise<string | false | null> => {
    const socket = await tlsSocket(p.port(protocol), files, { ALPNProtocols: offered })
    socket.destroy()
    return socket.alpnProtocol
  }
  expect(await taken('mqtts', ['h2', 'mqtt'])).toBe('mqtt')
  expect(await taken('mqtts', undefined)).toBe(false)
  expect(await taken('wss', ['h2', 'http/1.1'])).toBe('http/1.1')
  expect(await taken('wss', undefined)).toBe(false)
  for (const [protocol, offered] of [['mqtts', 'h2'], ['mqtts', 'http/1.1'], ['wss', 'h2'], ['mqtts', 'x-amzn-mqtt-ca']] as const) {
    await expect(tlsSocket(p.port(protocol), files, { ALPNProtocols: [offered] })).rejects.toThrow(/no application protocol/)
  }
})

test('half-closed sockets are closed, in every phase and over everything', async () => {
  for (const protocol of ['mqtt', 'mqtts', 'ws', 'wss']) {
    const socket = await opened(protocol, true)
    socket.end()
    socket.resume()
    await once(socket, 'close')
  }
  const signedIn = await opened('mqtt', true)
  signedIn.write(hello())
  await once(signedIn, 'data')
  signedIn.end()
  await once(signedIn, 'close')
  const tls = await tlsSocket(p.port('mqtts'), files)
  tls.write(hello())
  await once(tls, 'data')
  tls.end()
  await once(tls, 'close')
  const ws = await webSocket(p.port('ws'))
  ws.send(hello())
  await once(ws, 'message')
  ;(ws as unknown as { _socket: Socket })._socket.end()
  await once(ws, 'close')
  while (await gauge('parley_sessions') > 2 || await gauge('parley_connections') > 2) await by.turn()
})

test('TCP looks after sockets whose clients have no keep-alive', async () => {
  // as the kernel tells it: local port, remote port, state 01, timer 02 (keep-alive) and when, in hundredths of a second
  if (process.platform !== 'linux') return
  for (const protocol of ['mqtt', 'mqtts', 'ws', 'wss', 'http']) {
    const socket = await opened(protocol)
    if (protocol === 'http') socket.write('GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    if (protocol === 'http') await once(socket, 'data')
    else await by.turn()
    const port = (n: number): string => n.toString(16).toUpperCase().padStart(4, '0')
    const row = readFileSync('/proc/self/net/tcp', 'utf8').split('\n').find(l => l.includes(`:${port(p.port(protocol))} `) && new RegExp(`:\\w{4} \\w{8}:${port(socket.localPort!)} 01`).test(l))
    const [, kind, when] = / (\w\w):(\w{8}) /.exec(row!.slice(row!.indexOf(' 01 ')))!
    expect([protocol, kind]).toEqual([protocol, '02'])
    expect(Math.abs(parseInt(when!, 16) / 100 - 300)).toBeLessThan(10)
    socket.destroy()
  }
})
