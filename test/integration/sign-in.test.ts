import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { hashPassword } from '../../broker/cli/hash.js'
import { Backend } from '../support/backend.js'
import { Client } from '../support/client.js'
import { SECRET } from '../support/door.js'
import { FakeClock } from '../support/fake-clock.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { CertificateFiles, tlsSocket } from '../support/tls.js'
import { hs256 } from '../support/token.js'

const dir = mkdtempSync(join(tmpdir(), 'parley-signin-'))
const file = join(dir, 'users.yaml')
let backend: Backend
beforeAll(async () => { backend = await new Backend().start() })
afterAll(async () => { await backend.stop(); rmSync(dir, { recursive: true }) })
afterEach(closeAll)

const code = async (p: Parley, user: string, password: string): Promise<number> => (await p.client({ user, password, version: 5 })).connack.reasonCode!
const users = async (all: Record<string, string>): Promise<void> => {
  writeFileSync(file, JSON.stringify(await Promise.all(Object.entries(all).map(async ([user, password]) => ({ user, hash: await hashPassword(Buffer.from(password)) })))))
}
const now = (): number => Math.floor(Date.now() / 1000)

test('several ways at once, in the order in which the operator wrote them', async () => {
  await users({ alice: 'from the file', bob: 'from the file' })
  backend.answer = (response, { body }) => {
    const { user, password } = JSON.parse(body) as { user: string, password: string }
    response.writeHead(password === 'from the backend' ? 200 : 401).end(JSON.stringify({ user }))
  }
  const http = { url: backend.url }
  const jwt = { secret: SECRET }
  const token = hs256({ sub: 'alice', exp: now() + 60 }, SECRET)

  const fileFirst = await startParley({ auth: { static: { file }, jwt, http } })
  expect(await code(fileFirst, 'alice', 'from the file')).toBe(0)
  expect(await code(fileFirst, 'alice', 'from the backend')).toBe(0x86) // the file knows alice, and decides
  expect(await code(fileFirst, 'carol', 'from the backend')).toBe(0)
  expect(await code(fileFirst, 'alice', token)).toBe(0)
  const asked = backend.asked.length
  expect(asked).toBe(1)

  const backendFirst = await startParley({ auth: { http, static: { file }, jwt } })
  expect(await code(backendFirst, 'alice', 'from the backend')).toBe(0)
  expect(await code(backendFirst, 'alice', 'from the file')).toBe(0x86)
  expect(await code(backendFirst, 'alice', token)).toBe(0x86) // the backend does not know it, and decides
  expect(backend.asked.length - asked).toBe(3)
  const said = backendFirst.lines.filter(l => l.message === 'plugin is set up').map(l => l.plugin)
  expect(said.slice(0, 3)).toEqual(['auth-http', 'auth-static', 'auth-jwt'])
})

test('the generated secret signs in behind what the operator wrote, and auth.dev stands last', async () => {
  await users({ alice: 'secret' })
  const p = await startParley({ auth: { static: { file } } })
  const secret = readFileSync(join(p.dataDir, 'jwt-secret'), 'utf8').trim()
  expect(await code(p, 'bob', hs256({ sub: 'bob', exp: now() + 60 }, secret))).toBe(0)
  expect(await code(p, 'bob', 'anything')).toBe(0x86)
  const dev = await startParley({ auth: { dev: true, static: { file } } })
  expect([await code(dev, 'alice', 'wrong'), await code(dev, 'alice', 'secret'), await code(dev, 'bob', 'anything')]).toEqual([0x86, 0, 0])
})

test('reloading (SIGHUP) reads the users again; a broken file leaves the old list in use, and the log says so', async () => {
  await users({ alice: 'old' })
  const p = await startParley({ auth: { static: { file } } })
  expect(await code(p, 'alice', 'old')).toBe(0)
  await users({ alice: 'new', bob: 'bob' })
  expect(await code(p, 'alice', 'old')).toBe(0)
  await p.node.reload({ acl: [] })
  expect([await code(p, 'alice', 'old'), await code(p, 'alice', 'new'), await code(p, 'bob', 'bob')]).toEqual([0x86, 0, 0])
  writeFileSync(file, '- { user: alice, hash: hunter2 }')
  await p.node.reload({ acl: [] })
  expect(await code(p, 'alice', 'new')).toBe(0)
  const [line] = p.lines.filter(l => l.level === 'error')
  expect(line).toMatchObject({ plugin: 'auth-static', hook: 'reload' })
  expect((line!.err as Error).message).toMatch(/\(alice\) hash is neither/)
  expect(JSON.stringify(p.lines)).not.toContain('hunter2')
})

test('the anonymous user: only without any credentials', async () => {
  await users({ alice: 'secret' })
  const p = await startParley({ auth: { static: { file }, anonymous: 'guest' } })
  expect(await code(p, '', '')).toBe(0)
  expect(await code(p, 'guest', '')).toBe(0x86)
  expect(await code(p, 'alice', '')).toBe(0x86)
  expect(await code(p, '', 'x')).toBe(0x86)
  const none = await startParley({ auth: { static: { file } } })
  expect(await code(none, '', '')).toBe(0x86)
})

test('keys by JWKS, end to end: a token signs in after its key appeared, without a restart', async () => {
  const clock = new FakeClock()
  const pair = generateKeyPairSync('ed25519')
  backend.says(503, '')
  const p = await startParley({ auth: { jwt: { jwksUrl: backend.url, audience: 'chat' } } }, clock)
  const token = await new SignJWT({ sub: 'alice', aud: 'chat', exp: clock.now() / 1000 + 60, acl: [{ allow: ['publish'], topic: 'a' }] }).setProtectedHeader({ alg: 'EdDSA', kid: 'k' }).sign(pair.privateKey)
  await expect(p.client({ user: 'alice', password: token })).rejects.toThrow('closed') // down, not refused
  backend.says(200, { keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'k' }] })
  clock.advance(2000)
  expect(await code(p, 'alice', token)).toBe(0)
  expect(await code(p, 'alice', hs256({ sub: 'alice', exp: now() + 60 }, SECRET))).toBe(0x86)
})

test('guessing over TLS: hashing is bounded, and the right password from another address is let in at once', async () => {
  await users({ alice: 'right', carol: 'carol' })
  const files = new CertificateFiles()
  try {
    const p = await startParley({
      auth: { static: { file } },
      listeners: [{ protocol: 'mqtt', host: '127.0.0.1', port: 0 }, { protocol: 'mqtts', host: '127.0.0.1', port: 0, cert: files.cert, key: files.key }]
    })
    const carol = await p.client({ user: 'carol', password: 'carol', subscribe: ['me/#'] })
    const sockets = await Promise.all(Array.from({ length: 150 }, async () => Client.over(await tlsSocket(p.port('mqtts'), files))))
    const attacks = Promise.all(sockets.map(async (c, i) => { await c.hello({ user: 'alice', password: `guess-${i}` }).catch(() => {}) }))
    const socket = await tlsSocket(p.port('mqtts'), files, { localAddress: '127.0.0.2' })
    const alice = Client.over(socket)
    await alice.hello({ user: 'alice', password: 'right' })
    expect(alice.connack.returnCode).toBe(0)
    expect(sockets.some(c => !c.closed && c.heard.length === 0)).toBe(true) // not behind those that wait
    await alice.say('u/carol/msg', { body: 'hello' })
    await carol.got('me/msg', 1)
    await attacks
    const answered = sockets.filter(c => c.heard.length > 0)
    expect(answered.every(c => c.connack.returnCode === 4)).toBe(true)
    expect(answered.length).toBeLessThanOrEqual(5 + 4 + 33) // of one burst: what is free, at once, and waited for a hash
    alice.destroy()
  } finally { files.remove() }
}, 60_000)
