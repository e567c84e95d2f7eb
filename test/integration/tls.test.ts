import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { selfSigned } from '../support/certificate.js'
import { Client } from '../support/client.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { CertificateFiles, tlsSocket } from '../support/tls.js'

let files: CertificateFiles
beforeEach(() => { files = new CertificateFiles() })
afterEach(async () => { await closeAll(); files.remove() })

async function start (protocol = 'mqtts'): Promise<{ p: Parley, port: number }> {
  const p = await startParley({ listeners: [{ protocol, host: '127.0.0.1', port: 0, cert: files.cert, key: files.key }] })
  return { p, port: p.port(protocol) }
}

async function chat (socket: TLSSocket, user: string): Promise<Client> {
  const c = Client.over(socket)
  await c.hello({ user, subscribe: ['me/#'] })
  return c
}

const lines = (p: Parley, level: string): string[] => p.lines.filter(l => l.level === level).map(l => l.message)

test('TLS 1.2 and 1.3 are taken, 1.1 is not; ALPN is mqtt, and nobody has to ask for it', async () => {
  const { p, port } = await start()
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await tlsSocket(port, files, { minVersion: version, maxVersion: version })
    expect([socket.getProtocol(), socket.alpnProtocol, socket.authorized]).toEqual([version, 'mqtt', true])
    await (await chat(socket, 'alice')).end()
  }
  const quiet = await tlsSocket(port, files, { ALPNProtocols: undefined })
  expect(quiet.alpnProtocol).toBe(false)
  await (await chat(quiet, 'alice')).end()
  // OpenSSL's own floor is 1.2 now: level 0 takes it away, so that it is the broker who refuses
  await expect(tlsSocket(port, files, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toThrow(/alert protocol version|version/)
  expect(lines(p, 'error')).toEqual([])
})

async function resumed (port: number, session: Buffer, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<TLSSocket> {
  const socket = await tlsSocket(port, files, { session, minVersion: maxVersion, maxVersion })
  expect(socket.isSessionReused()).toBe(true)
  return socket
}

test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: a phone resumes its session by a ticket', async version => {
  const { port } = await start()
  const first = await tlsSocket(port, files, { minVersion: version, maxVersion: version })
  const ticket = version === 'TLSv1.3' ? (once(first, 'session') as Promise<[Buffer]>).then(([s]) => s) : Promise.resolve(first.getSession()!)
  const c = await chat(first, 'alice')
  const session = await ticket
  await c.end()
  await (await chat(await resumed(port, session, version), 'alice')).end()
})

test('a new certificate is in use without dropping anyone, and old tickets are good still', async () => {
  const { p, port } = await start()
  const socket = await tlsSocket(port, files)
  const ticket = once(socket, 'session') as Promise<[Buffer]>
  const alice = await chat(socket, 'alice')
  const [session] = await ticket
  files.put(selfSigned('second'))
  await p.node.reload({ acl: [] })
  expect(lines(p, 'info')).toContain('a new certificate is in use')

  const fresh = await tlsSocket(port, files)
  expect(fresh.getPeerCertificate().subject.CN).toBe('second')
  const bob = await chat(fresh, 'bob')
  await bob.say('u/alice/msg', { body: 'still there?' })
  expect((await alice.got('me/msg', 1))[0]!.json.body).toBe('still there?')
  await alice.end()
  await bob.end()
  await (await chat(await resumed(port, session, 'TLSv1.3'), 'alice')).end()
})

test('a changed file is seen without a signal', async () => {
  const { p, port } = await start()
  files.put(selfSigned('second'))
  const late = Date.now() + 5000 // operator.md: within 5 s
  while (!lines(p, 'info').includes('a new certificate is in use')) {
    if (Date.now() > late) throw new Error('the change was not seen')
    await new Promise<void>(resolve => { setImmediate(resolve) })
  }
  const socket = await tlsSocket(port, files)
  expect(socket.getPeerCertificate().subject.CN).toBe('second')
  socket.destroy()
})

test.each([
  ['half a certificate', () => { writeFileSync(files.cert, files.pair.cert.slice(0, 200)) }],
  ['a key that is of another one', () => { writeFileSync(files.key, selfSigned('other').key) }],
  ['no file', () => { files.remove() }]
])('%s: the log says so once, the old one stays', async (_name, spoil) => {
  const { p, port } = await start()
  const good = files.pair
  spoil()
  await p.node.reload({ acl: [] })
  await p.node.reload({ acl: [] })
  expect(lines(p, 'warn')).toEqual(['the new certificate cannot be used; the old one stays'])
  const socket = await tlsSocket(port, files, { ca: good.cert })
  expect(socket.getPeerCertificate().subject.CN).toBe('first')
  await (await chat(socket, 'alice')).end()
})

test('wss has the same certificate watch', async () => {
  const { p, port } = await start('wss')
  files.put(selfSigned('second'))
  await p.node.reload({ acl: [] })
  const socket = await tlsSocket(port, files, { ALPNProtocols: ['http/1.1'] })
  expect([socket.getPeerCertificate().subject.CN, socket.alpnProtocol]).toEqual(['second', 'http/1.1'])
  socket.destroy()
})

test('plain MQTT on the TLS port, and TLS on the plain port, are closed and harm nobody', async () => {
  const p = await startParley({ listeners: [{ protocol: 'mqtts', host: '127.0.0.1', port: 0, cert: files.cert, key: files.key }, { protocol: 'mqtt', host: '127.0.0.1', port: 0 }] })
  const alice = await chat(await tlsSocket(p.port('mqtts'), files), 'alice')
  const plain = await Client.open(p.port('mqtts'))
  plain.raw(Buffer.from('101000044d5154540402003c000470686f6e', 'hex'))
  await plain.untilClosed()
  await expect(tlsSocket(p.port('mqtt'), files)).rejects.toThrow()
  const socket = connectPlain(p.port('mqtts'), '127.0.0.1')
  await once(socket, 'connect')
  socket.resetAndDestroy() // in the middle of a handshake
  await alice.settled()
  expect(lines(p, 'error')).toEqual([])
  await alice.end()
})
