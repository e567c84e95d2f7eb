import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import mqtt from 'mqtt-packet'
import type { Credentials } from '../../broker/plugin.js'
import { Client, connectPacket } from '../support/client.js'
import { Door } from '../support/door.js'
import { FakeClock } from '../support/fake-clock.js'
import { range } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { LOCAL, ssl, tcp4, tcp6, v2, withChecksum } from '../support/proxy-header.js'
import { CertificateFiles } from '../support/tls.js'

let door: Door
let files: CertificateFiles
/** What the sign-ins showed. */
let shown: Credentials[]
beforeEach(() => {
  door = new Door()
  files = new CertificateFiles()
  shown = []
  door.answer = c => { shown.push(c); return door.accept(c) }
})
afterEach(async () => { await closeAll(); door.remove(); files.remove() })

const PROTOCOLS = ['mqtt', 'mqtts', 'ws', 'wss'] as const
type Protocol = typeof PROTOCOLS[number]
const isTls = (protocol: Protocol): boolean => protocol === 'mqtts' || protocol === 'wss'

async function start (clock?: FakeClock): Promise<Parley> {
  return await startParley({
    ...door.settings,
    listeners: PROTOCOLS.map(protocol => ({ protocol, host: '127.0.0.1', port: 0, proxyProtocol: true, ...(isTls(protocol) ? { cert: files.cert, key: files.key } : {}) }))
  }, clock)
}

const V1 = Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n')
const HELLO = mqtt.generate(connectPacket({ user: 'alice', clean: true }))
const UPGRADE = 'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
const frame = (b: Buffer): Buffer => Buffer.concat([Buffer.from([0x82, 0x80 | b.length, 0, 0, 0, 0]), b])

async function opened (p: Parley, protocol: Protocol): Promise<Socket> {
  const socket = connect({ port: p.port(protocol), host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** What comes until the broker closes. */
async function heard (socket: Socket): Promise<Buffer> {
  const all: Buffer[] = []
  socket.on('data', b => { all.push(b) })
  if (!socket.destroyed) await once(socket, 'close')
  return Buffer.concat(all)
}

/** Writes the header, in `pieces`, and speaks MQTT behind it until CONNACK. */
async function signIn (p: Parley, protocol: Protocol, ...pieces: Buffer[]): Promise<Socket> {
  const raw = await opened(p, protocol)
  for (const piece of pieces) {
    raw.write(piece)
    await new Promise<void>(resolve => { setImmediate(resolve) })
  }
  let socket: Socket = raw
  if (isTls(protocol)) {
    socket = connectTls({ socket: raw, ca: files.pair.cert, servername: 'localhost' })
    await once(socket, 'secureConnect')
  }
  if (protocol.startsWith('ws')) {
    socket.write(UPGRADE)
    expect(String(await once(socket, 'data'))).toMatch(/^HTTP\/1.1 101/)
  }
  socket.write(protocol.startsWith('ws') ? frame(HELLO) : HELLO)
  const [answer] = await once(socket, 'data') as [Buffer]
  expect(answer.subarray(-4).toString('hex')).toBe('20020000')
  return socket
}

test.each(PROTOCOLS)('%s: the address of the header is the one that counts, whatever the header', async protocol => {
  const p = await start()
  const headers: [Buffer, string, string?][] = [
    [V1, '192.0.2.7'],
    [Buffer.from('PROXY TCP6 2001:db8::9 ::1 1 2\r\n'), '2001:db8::9'],
    [Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1'],
    [tcp4('192.0.2.8'), '192.0.2.8'],
    [withChecksum(tcp6('20010db8000000000000000000000001', ssl('älice'))), '2001:db8::1', 'älice'],
    [tcp4('192.0.2.8', ssl('alice', { verify: 1 })), '192.0.2.8'],
    [v2(0x31, Buffer.concat([Buffer.alloc(216), ssl('bob')])), '127.0.0.1', 'bob'],
    [LOCAL, '127.0.0.1'],
    [v2(0x00, Buffer.alloc(3)), '127.0.0.1']
  ]
  for (const [header] of headers) (await signIn(p, protocol, header)).destroy()
  expect(shown.map(c => [c.address, c.proxyCommonName])).toEqual(headers.map(([, address, name]) => [address, name]))
  expect(shown[0]!.listener).toMatch(new RegExp(`^${protocol}:`))
  expect(p.lines.filter(l => l.level === 'warn' || l.level === 'error')).toEqual([])
})

test.each(PROTOCOLS)('%s: a header cut anywhere, or in one flight with what follows', async protocol => {
  const p = await start()
  for (const header of [V1, withChecksum(tcp4('192.0.2.8', ssl('alice')))]) {
    for (const n of range(1, header.length - 1)) (await signIn(p, protocol, header.subarray(0, n), header.subarray(n))).destroy()
  }
  expect(new Set(shown.map(c => c.address))).toEqual(new Set(['192.0.2.7', '192.0.2.8']))
})

test('header, CONNECT and all that follows in one flight, with the end of the stream behind it', async () => {
  const p = await start()
  const socket = await opened(p, 'mqtt')
  const answer = heard(socket)
  socket.end(Buffer.concat([V1, HELLO, mqtt.generate({ cmd: 'pingreq' })]))
  await answer
  expect(shown.map(c => c.address)).toEqual(['192.0.2.7'])
  const c = Client.over(await opened(p, 'mqtt'))
  c.raw(Buffer.concat([tcp4('192.0.2.8'), HELLO, mqtt.generate({ cmd: 'pingreq' })]))
  await c.until(() => c.heard.some(h => h.cmd === 'pingresp'), 'PINGRESP')
  c.destroy()
})

describe.each(PROTOCOLS)('%s', protocol => {
  test.each<[string, Buffer]>([
    ['no header but MQTT', HELLO],
    ['no header but HTTP', Buffer.from(UPGRADE)],
    ['no header but TLS', Buffer.from('16030100c8010000c40303', 'hex')],
    ['a v1 header of nothing', Buffer.from('PROXY TCP4 1 2 3 4\r\n')],
    ['a v1 line without end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(100)}`)],
    ['a v2 header of another version', Buffer.from('0d0a0d0a000d0a515549540a11110000', 'hex')],
    ['a v2 header longer than is taken', Buffer.from('0d0a0d0a000d0a515549540a2111ffff', 'hex')],
    ['a wrong checksum', Buffer.concat([withChecksum(tcp4('192.0.2.7')).subarray(0, -1), Buffer.from([0])])]
  ])('%s is closed without an answer', async (_name, bytes) => {
    const p = await start()
    const socket = await opened(p, protocol)
    const answer = heard(socket)
    socket.write(bytes)
    socket.write(HELLO)
    expect(await answer).toEqual(Buffer.alloc(0))
    expect(p.lines.filter(l => l.level === 'warn' || l.level === 'error')).toEqual([])
    expect(await (await p.http('/metrics')).text()).toMatch(/^parley_turned_away_total\{why="proxy-header"\} 1$/m)
    expect(shown).toEqual([])
  })

  test('a header twice is no MQTT, no TLS and no HTTP, which is told at once', async () => {
    const p = await start(new FakeClock())
    for (const header of [V1, tcp4('192.0.2.7')]) {
      const socket = await opened(p, protocol)
      const answer = heard(socket)
      socket.write(Buffer.concat([header, header, HELLO]))
      expect((await answer).toString()).toMatch(protocol === 'ws' ? /^HTTP\/1.1 400/ : protocol === 'mqtt' ? /^$/ : /^(\x15.*)?$/s)
    }
    expect(shown).toEqual([])
  })

  test('ten seconds for a header; a byte a second does not make it longer', async () => {
    const clock = new FakeClock()
    const p = await start(clock)
    const silent = await opened(p, protocol)
    const drip = await opened(p, protocol)
    const ends = [heard(silent), heard(drip)]
    for (const s of range(0, 8)) {
      drip.write(V1.subarray(s, s + 1))
      await (await p.http('/healthz')).text() // what was written before is read
      clock.advance(1000)
    }
    expect([silent.destroyed, drip.destroyed]).toEqual([false, false])
    clock.advance(1000)
    expect(await Promise.all(ends)).toEqual([Buffer.alloc(0), Buffer.alloc(0)])
  })
})

test('a thousand health checks of a balancer leave no line in the log, and nothing behind', async () => {
  const p = await start()
  const before = p.lines.length
  const kinds: ((s: Socket) => void)[] = [
    s => { s.end() }, s => { s.resetAndDestroy() }, s => { s.end(LOCAL) }, s => { s.write(LOCAL, () => { s.resetAndDestroy() }) },
    s => { s.end('PROXY UNKNOWN\r\n') }, s => { s.end(V1) }, s => { s.end(V1.subarray(0, 9)) }
  ]
  for (const protocol of PROTOCOLS) {
    for (let i = 0; i < 250; i += 10) {
      await Promise.all(range(i, i + 9).map(async n => {
        const socket = await opened(p, protocol)
        const over = new Promise<void>(resolve => { socket.on('close', () => { resolve() }) })
        kinds[n % kinds.length]!(socket)
        socket.resume()
        await over
      }))
    }
  }
  const open = async (): Promise<string> => /^parley_connections (\d+)$/m.exec(await (await p.http('/metrics')).text())![1]!
  while (await open() !== '0') await new Promise<void>(resolve => { setImmediate(resolve) })
  expect(p.lines.slice(before).filter(l => l.level !== 'debug')).toEqual([])
  expect(await (await p.http('/metrics')).text()).not.toMatch(/^parley_turned_away_total/m)
})

test('of many without a header the log tells once a minute, with their number', async () => {
  const clock = new FakeClock()
  const p = await start(clock)
  const knock = async (): Promise<void> => {
    const socket = await opened(p, 'mqtt')
    const over = heard(socket)
    socket.write(HELLO)
    await over
  }
  for (const _ of range(1, 5)) await knock()
  clock.advance(60_000)
  await knock()
  expect(p.lines.filter(l => l.message.includes('PROXY header'))).toMatchObject([
    { level: 'info', address: '127.0.0.1', why: 'there is no PROXY header', times: 1 }, { level: 'info', times: 5 }
  ])
})

test('the address of the header is the one in the log', async () => {
  const p = await start()
  door.answer = () => ({ kind: 'refused', reason: 'credential', why: 'no' })
  const c = Client.over(await opened(p, 'mqtt'))
  c.raw(Buffer.concat([V1, HELLO]))
  await c.untilClosed()
  expect(p.lines.find(l => l.message === 'sign-in refused')).toMatchObject({ address: '192.0.2.7' })
})

