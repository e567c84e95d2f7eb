import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import mqtt from 'mqtt-packet'
import { WebSocket } from 'ws'
import type { Credentials } from '../../broker/plugin.js'
import { Authority, type Pair, selfSigned } from '../support/certificate.js'
import { Client, connectPacket } from '../support/client.js'
import { Door } from '../support/door.js'
import { FakeClock } from '../support/fake-clock.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { CertificateFiles } from '../support/tls.js'

const ours = new Authority('ours')
const theirs = new Authority('theirs')
const DAY_MS = 86_400_000
const alice = ours.issue('alice')
const stranger = theirs.issue('alice')
const expired = ours.issue('alice', { from: Date.now() - 2 * DAY_MS, until: Date.now() - DAY_MS })
const early = ours.issue('alice', { from: Date.now() + DAY_MS, until: Date.now() + 2 * DAY_MS })
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const
type Version = typeof VERSIONS[number]

let door: Door
let files: CertificateFiles
let dir: string
let ca: string
let shown: Credentials[]
beforeEach(() => {
  door = new Door()
  files = new CertificateFiles()
  dir = mkdtempSync(join(tmpdir(), 'parley-ca-'))
  ca = join(dir, 'ca.crt')
  writeFileSync(ca, ours.cert)
  shown = []
  door.answer = c => { shown.push(c); return door.accept(c) }
})
afterEach(async () => { await closeAll(); door.remove(); files.remove(); rmSync(dir, { recursive: true }) })

async function start (clientCert?: 'required' | 'optional', clock?: FakeClock): Promise<Parley> {
  const tls = { host: '127.0.0.1', port: 0, cert: files.cert, key: files.key, clientCa: ca, clientCert }
  return await startParley({ ...door.settings, listeners: [{ protocol: 'mqtts', ...tls }, { protocol: 'wss', ...tls }] }, clock)
}

const as = (pair: Pair | null, version: Version, more: ConnectionOptions = {}): ConnectionOptions =>
  ({ ...(pair === null ? {} : pair), minVersion: version, maxVersion: version, ...more })

/** Signs in over a new TLS connection. @throws Error when it ends before CONNACK, or has no beginning */
async function signIn (p: Parley, options: ConnectionOptions, user = 'alice'): Promise<{ client: Client, socket: TLSSocket }> {
  const socket = connect({ port: p.port('mqtts'), host: '127.0.0.1', servername: 'localhost', ca: files.pair.cert, ...options })
  const client = Client.over(socket)
  await client.hello({ user, clean: true })
  return { client, socket }
}

const refusals = (p: Parley): unknown[] => p.lines.filter(l => l.message === 'client certificate refused').map(l => l.why)
const MISSING = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'

test.each(VERSIONS.flatMap(v => [[v, 'required'], [v, 'optional']] as const))('%s, %s: a certificate of ours shows whom it names', async (version, clientCert) => {
  const p = await start(clientCert)
  const { client } = await signIn(p, as(alice, version))
  expect(shown[0]!.certificate).toEqual({ commonName: 'alice', alternativeNames: ['alice.example', 'alice@example.org', 'urn:x:alice'] })
  await client.end()
  expect(refusals(p)).toEqual([])
})

test.each(VERSIONS)('%s, required: who has none, or one that does not stand, never comes to a CONNACK, and the log says why', async version => {
  const p = await start()
  for (const pair of [null, stranger, expired, early, selfSigned('alice')]) await expect(signIn(p, as(pair, version))).rejects.toThrow(/is closed/)
  expect(shown).toEqual([])
  expect(refusals(p)).toEqual([MISSING, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'DEPTH_ZERO_SELF_SIGNED_CERT'])
  expect(p.lines.filter(l => l.message === 'client certificate refused').map(l => [l.level, l.address])).toEqual(Array(5).fill(['info', '127.0.0.1']))
  expect(await (await p.http('/metrics')).text()).toMatch(/^parley_turned_away_total\{why="certificate"\} 5$/m)
})

test.each(VERSIONS)('%s, optional: who has none goes on without, one that does not stand is refused', async version => {
  const p = await start('optional')
  await (await signIn(p, as(null, version))).client.end()
  expect(shown.map(c => c.certificate)).toEqual([undefined])
  for (const pair of [stranger, expired, early]) await expect(signIn(p, as(pair, version))).rejects.toThrow(/is closed/)
  expect(shown).toHaveLength(1)
  expect(refusals(p)).toEqual(['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])
  expect(p.lines.find(l => l.message === 'client certificate refused')).toMatchObject({ subject: { CN: 'alice' } })
})

test('who has no certificate where one is required is told so by TLS', async () => {
  const p = await start()
  for (const [version, alert] of [['TLSv1.2', /handshake failure/], ['TLSv1.3', /certificate required/]] as const) {
    const socket = connect({ port: p.port('mqtts'), host: '127.0.0.1', servername: 'localhost', ca: files.pair.cert, ...as(null, version) })
    const [err] = await once(socket, 'error') as [Error]
    expect(err.message).toMatch(alert)
  }
})

test('wss: the same', async () => {
  const p = await start()
  const open = async (pair: Pair | null): Promise<WebSocket> => {
    const ws = new WebSocket(`wss://127.0.0.1:${p.port('wss')}/mqtt`, ['mqtt'], { ca: files.pair.cert, servername: 'localhost', ...pair } as object)
    await once(ws, 'open')
    return ws
  }
  const ws = await open(alice)
  ws.send(mqtt.generate(connectPacket({ user: 'alice' })))
  await once(ws, 'message')
  expect(shown[0]!.certificate).toMatchObject({ commonName: 'alice' })
  ws.terminate()
  for (const pair of [null, stranger]) await expect(open(pair)).rejects.toThrow()
})

/** A session of TLS that another connection may resume. */
async function session (socket: TLSSocket, version: Version): Promise<Buffer> {
  if (version === 'TLSv1.2') return socket.getSession()!
  const [ticket] = await once(socket, 'session') as [Buffer]
  return ticket
}

async function withSession (p: Parley, options: ConnectionOptions, version: Version): Promise<Buffer> {
  const socket = connect({ port: p.port('mqtts'), host: '127.0.0.1', servername: 'localhost', ca: files.pair.cert, ...options })
  socket.on('error', () => {})
  const ticket = version === 'TLSv1.3' ? session(socket, version) : once(socket, 'secureConnect').then(async () => await session(socket, version))
  const got = await ticket
  socket.destroy()
  return got
}

describe.each(VERSIONS)('%s, resumed', version => {
  test('a session names whom it named', async () => {
    const p = await start()
    const ticket = await withSession(p, as(alice, version), version)
    const { client, socket } = await signIn(p, as(alice, version, { session: ticket }))
    expect(socket.isSessionReused()).toBe(true)
    expect(shown[0]!.certificate).toMatchObject({ commonName: 'alice', alternativeNames: ['alice.example', 'alice@example.org', 'urn:x:alice'] })
    await client.end()
  })

  test('a stranger gets no session, or none that is good for anything', async () => {
    const p = await start('optional')
    const socket = connect({ port: p.port('mqtts'), host: '127.0.0.1', servername: 'localhost', ca: files.pair.cert, ...as(stranger, version) })
    const sessions: Buffer[] = []
    socket.on('session', s => { sessions.push(s) })
    socket.on('error', () => {})
    await new Promise<void>(resolve => { socket.on('close', () => { resolve() }) })
    for (const s of sessions) for (const pair of [stranger, null]) await expect(signIn(p, as(pair, version, { session: s }))).rejects.toThrow(/is closed/)
    expect(shown).toEqual([])
  })

  test('one without a certificate goes on without', async () => {
    const p = await start('optional')
    const ticket = await withSession(p, as(null, version), version)
    const { client, socket } = await signIn(p, as(null, version, { session: ticket }))
    expect(socket.isSessionReused()).toBe(true)
    expect(shown[0]!.certificate).toBeUndefined()
    await client.end()
  })

  test('an authority that is dropped takes the sessions of its clients along', async () => {
    const p = await start()
    const ticket = await withSession(p, as(alice, version), version)
    writeFileSync(ca, theirs.cert)
    await p.node.reload({ acl: [] })
    await expect(signIn(p, as(alice, version, { session: ticket }))).rejects.toThrow(/is closed/)
    expect(refusals(p)).toEqual(['UNABLE_TO_VERIFY_LEAF_SIGNATURE'])
    const { client, socket } = await signIn(p, as(stranger, version, { session: ticket }))
    expect(socket.isSessionReused()).toBe(false)
    await client.end()
  })

  test('a certificate that has expired since is refused', async () => {
    const clock = new FakeClock(Date.now())
    const p = await start('required', clock)
    const ticket = await withSession(p, as(alice, version), version)
    clock.advance(DAY_MS + 1000)
    await expect(signIn(p, as(alice, version, { session: ticket }))).rejects.toThrow(/is closed/)
    expect(refusals(p)).toEqual(['CERT_HAS_EXPIRED'])
  })
})

const inUse = (p: Parley): unknown[] => p.lines.filter(l => l.message === 'a new certificate is in use').map(l => l.changed)

test('a changed authority is used without dropping anyone', async () => {
  const p = await start()
  const { client } = await signIn(p, as(alice, 'TLSv1.3'))
  writeFileSync(ca, ours.cert + theirs.cert)
  await p.node.reload({ acl: [] })
  await (await signIn(p, as(stranger, 'TLSv1.3'), 'bob')).client.end()
  writeFileSync(ca, theirs.cert)
  await p.node.reload({ acl: [] })
  await expect(signIn(p, as(alice, 'TLSv1.3'))).rejects.toThrow(/is closed/)
  await client.settled()
  await client.end()
  expect(inUse(p)).toEqual([[ca], [ca], [ca], [ca]]) // two listeners, two changes
})

test('one that is swapped as Kubernetes does is seen without a signal', async () => {
  const version = (n: number, pem: string): void => {
    writeFileSync(join(dir, `v${n}.crt`), pem)
    symlinkSync(`v${n}.crt`, join(dir, 'next'))
    renameSync(join(dir, 'next'), join(dir, '..data'))
  }
  version(1, ours.cert)
  ca = join(dir, '..data')
  const p = await start()
  await (await signIn(p, as(alice, 'TLSv1.3'))).client.end()
  version(2, theirs.cert)
  const late = Date.now() + 5000
  while (inUse(p).length < 2) {
    if (Date.now() > late) throw new Error('the change was not seen')
    await new Promise<void>(resolve => { setImmediate(resolve) })
  }
  await expect(signIn(p, as(alice, 'TLSv1.3'))).rejects.toThrow(/is closed/)
})

test.each<[string, string]>([
  ['half written', (ours.cert + theirs.cert).slice(0, -100)],
  ['empty', ''],
  ['damaged', ours.cert.replace(/[A-Z]{3}/, '...')],
  ['no certificate', 'hello']
])('an authority that is %s: the log says so once, the old one stays', async (_name, content) => {
  const p = await start()
  writeFileSync(ca, content)
  await p.node.reload({ acl: [] })
  await p.node.reload({ acl: [] })
  expect(p.lines.filter(l => l.level === 'warn').map(l => l.message)).toEqual(Array(2).fill('the new certificate cannot be used; the old one stays')) // two listeners
  await (await signIn(p, as(alice, 'TLSv1.3'))).client.end()
  await expect(signIn(p, as(stranger, 'TLSv1.3'))).rejects.toThrow(/is closed/)
})
