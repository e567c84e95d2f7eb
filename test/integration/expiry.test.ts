import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { Bystanders } from '../support/bystanders.js'
import { Client, type ClientOptions, connectPacket } from '../support/client.js'
import { Door } from '../support/door.js'
import { FakeClock } from '../support/fake-clock.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { hs256 } from '../support/token.js'

afterEach(closeAll)

const SECRET = 'a secret of more than thirty-two bytes, äöü'
const START_MS = 1_750_000_000_000
const at = (seconds: number): number => START_MS / 1000 + seconds
const token = (user: string, claims: object = {}): string => hs256({ sub: user, exp: at(3600), ...claims }, SECRET)

async function start (jwt: object = { secret: SECRET }): Promise<{ p: Parley, clock: FakeClock }> {
  const clock = new FakeClock(START_MS)
  return { p: await startParley({ auth: { jwt } }, clock), clock }
}

async function enter (p: Parley, password: string, o: Partial<ClientOptions> = {}): Promise<number> {
  const c = await p.client({ user: 'alice', version: 5, password, ...o })
  const { reasonCode, returnCode } = c.connack
  c.destroy()
  return (o.version ?? 5) === 5 ? reasonCode! : returnCode!
}

/** CONNECT without a user name: MQTT 5 allows it, 3.1.1 does not [MQTT-3.1.2-22], and mqtt-packet does not write it. */
async function nameless (p: Parley, password: string): Promise<Client> {
  const c = await Client.open(p.port('mqtt'), 5)
  const field = (s: string): Buffer => Buffer.concat([Buffer.from([s.length >> 8, s.length & 255]), Buffer.from(s)])
  const body = Buffer.concat([field('MQTT'), Buffer.from([5, 0x42, 0, 0, 0]), field('phone'), field(password)])
  c.raw(Buffer.concat([Buffer.from([0x10, 0x80 | body.length & 127, body.length >> 7]), body]))
  await c.until(() => c.heard.length > 0, 'CONNACK')
  return c
}

test('a token of HS256 signs its user in, with or without the user name', async () => {
  const { p } = await start()
  expect(await enter(p, token('alice'))).toBe(0)
  expect(await enter(p, token('alice'), { version: 4 })).toBe(0)
  expect(await enter(p, token('alice'), { version: 3, user: '' })).toBe(0)
  const c = await nameless(p, token('alice'))
  await c.subscribe('me/#')
  await c.say('u/alice/msg', { cid: 'c', body: 1 })
  await c.got('me/ack', 1)
  c.destroy()
  expect(await enter(p, token('bob'))).toBe(0x87) // another's
  expect(await enter(p, token('bob'), { version: 4 })).toBe(5)
})

test.each([
  ['no token', () => ''],
  ['no JWT', () => 'hunter2'],
  ['a wrong signature', () => hs256({ sub: 'alice', exp: at(60) }, 'another secret of more than thirty-two bytes')],
  ['alg none', () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token('alice').split('.')[1]}.`],
  ['expired', () => token('alice', { exp: at(-2) })],
  ['not yet good', () => token('alice', { nbf: at(60) })],
  ['no exp', () => hs256({ sub: 'alice' }, SECRET)],
  ['a user outside the grammar', () => token('+49 170')],
  ['no user', () => hs256({ exp: at(60) }, SECRET)],
  ['exp in milliseconds', () => token('alice', { exp: START_MS })]
])('%s: get another one', async (_name, make) => {
  const { p } = await start()
  expect(await enter(p, make())).toBe(0x86)
  expect(await enter(p, make(), { version: 4 })).toBe(4)
})

test('a token bound to a device is good for that one only', async () => {
  const { p } = await start()
  const bound = token('alice', { dev: 'phone/2' })
  expect(await enter(p, bound, { device: 'phone/2' })).toBe(0)
  expect(await enter(p, bound, { device: 'phone' })).toBe(0x87)
  expect(await enter(p, bound, { device: 'phone%2F2' })).toBe(0x87)
})

describe('keys of a file', () => {
  const pairs = { rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }), ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }), ed: generateKeyPairSync('ed25519') }
  const dir = mkdtempSync(join(tmpdir(), 'parley-keys-'))
  afterAll(() => { rmSync(dir, { recursive: true, force: true }) })
  const pem = (k: KeyObject): string => k.export({ type: 'spki', format: 'pem' }).toString()
  const sign = async (alg: string, key: KeyObject): Promise<string> => await new SignJWT({ sub: 'alice', exp: at(3600) }).setProtectedHeader({ alg }).sign(createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' })))

  test.each([['RS256', 'rsa'], ['PS256', 'rsa'], ['ES256', 'ec'], ['EdDSA', 'ed']] as const)('%s', async (alg, kind) => {
    const file = join(dir, `${kind}.pem`)
    writeFileSync(file, pem(pairs[kind].publicKey))
    const { p } = await start({ publicKeyFile: file })
    expect(await enter(p, await sign(alg, pairs[kind].privateKey))).toBe(0)
    expect(await enter(p, hs256({ sub: 'alice', exp: at(60) }, pem(pairs[kind].publicKey)))).toBe(0x86) // the public key as a secret
    expect(await enter(p, token('alice'))).toBe(0x86) // no secret is configured
  })

  test('with a secret beside them the algorithm decides', async () => {
    const file = join(dir, 'all.pem')
    writeFileSync(file, Object.values(pairs).map(p => pem(p.publicKey)).join(''))
    const { p } = await start({ publicKeyFile: file, secret: SECRET })
    expect(await enter(p, token('alice'))).toBe(0)
    expect(await enter(p, await sign('EdDSA', pairs.ed.privateKey))).toBe(0)
    expect(await enter(p, await sign('ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey))).toBe(0x86)
  })
})

test.each([3, 4, 5] as const)('token-expiring comes 60 s before the end, and at the end the connection is closed (version byte %i)', async version => {
  const { p, clock } = await start()
  const c = await p.client({ user: 'alice', version, password: token('alice', { exp: at(600) }), subscribe: ['me/#'] })
  clock.advance(539_000)
  await c.settled()
  expect(c.on('me/evt')).toEqual([])
  clock.advance(1000)
  expect((await c.got('me/evt', 1)).map(d => d.json)).toEqual([{ type: 'token-expiring', expires: at(600) * 1000 }])
  clock.advance(59_000)
  await c.settled()
  clock.advance(1000)
  await c.untilClosed()
  if (version === 5) expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x87 })
  expect(await enter(p, token('alice', { exp: at(600) - 1 }))).toBe(0x86)
})

test('a token good for years does not end at once', async () => {
  const { p, clock } = await start()
  const c = await p.client({ user: 'alice', password: token('alice', { exp: at(5 * 365 * 86_400) }) })
  clock.advance(1000)
  await c.settled()
})

test('auth.refresh prolongs; another user’s token, another device’s and an expired one do not', async () => {
  const { p, clock } = await start()
  const bob = await p.client({ user: 'bob', password: token('bob') })
  const c = await p.client({ user: 'alice', version: 5, password: token('alice', { exp: at(600) }), subscribe: ['me/#'] })
  const refresh = async (t: string): Promise<unknown> => { const a = await c.rpc('auth.refresh', { token: t }); return a.error?.code ?? a.result }
  expect(await refresh(token('bob'))).toBe('unauthenticated')
  expect(await refresh(token('alice', { dev: 'tablet' }))).toBe('unauthenticated')
  expect(await refresh(token('alice', { exp: at(-10) }))).toBe('unauthenticated')
  expect(await refresh('hunter2')).toBe('unauthenticated')
  expect(await refresh(hs256({ sub: 'alice', exp: at(9000) }, 'another secret of more than thirty-two bytes'))).toBe('unauthenticated')
  expect(await refresh(token('alice', { exp: at(1200) }))).toEqual({ expires: at(1200) * 1000 })
  clock.advance(600_000)
  await c.settled()
  expect(c.on('me/evt')).toEqual([]) // the notice of the old token is not due any more
  clock.advance(540_000)
  await c.got('me/evt', 1)
  clock.advance(60_000)
  await c.untilClosed()
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x87 })
  await bob.settled()
})

test('auth.refresh with another user’s credential is refused, whatever the provider makes of the user name', async () => {
  const door = new Door()
  try {
    const p = await startParley(door.settings)
    const c = await p.client({ user: 'alice', subscribe: ['me/#'] })
    door.answer = () => ({ kind: 'accepted', identity: { user: 'bob', admin: true, expiresMs: 0 } })
    expect((await c.rpc('auth.refresh', { token: 'ticket' })).error?.code).toBe('unauthenticated')
    door.answer = () => ({ kind: 'down', why: 'for a test' })
    expect((await c.rpc('auth.refresh', { token: 'ticket' })).error?.code).toBe('unavailable')
  } finally { door.remove() }
})

test('what a refused refresh leaves: the old end', async () => {
  const { p, clock } = await start()
  const c = await p.client({ user: 'alice', version: 5, password: token('alice', { exp: at(600) }), subscribe: ['me/#'] })
  await c.rpc('auth.refresh', { token: token('bob', { exp: at(9000) }) })
  clock.advance(600_000)
  await c.untilClosed()
})

test('no log line holds a token, a password or a body, at any level', async () => {
  const { p, clock } = await start()
  const by = [token('alice'), token('alice', { exp: at(-5) }), token('bob'), 'hunter2-is-my-password', hs256({ sub: 'alice', exp: at(9) }, 'another secret of more than thirty-two bytes')]
  const bodies = ['the-body-of-a-message', 'the-body-of-a-signal', 'the-body-of-nothing', 'the-body-of-a-will']
  for (const password of by) for (const version of [3, 4, 5] as const) await enter(p, password, { version, will: { topic: 'u/bob/msg', payload: Buffer.from(bodies[3]!), qos: 1, retain: false } })
  const c = await p.client({ user: 'alice', version: 5, password: by[0], subscribe: ['me/#'] })
  await c.say('u/bob/msg', { body: bodies[0] })
  await c.say('u/bob/msg', `{"body":"${bodies[2]}","${bodies[2]}":}`)
  await c.say('g/nowhere/msg', { body: bodies[0] })
  c.publish('u/bob/sig', { typing: bodies[1] }, { qos: 0 })
  await c.say(`ordinary/${'x'}`, bodies[0]!)
  await c.rpc('auth.refresh', { token: by[2] })
  await c.rpc('auth.refresh', { token: by[0] })
  await c.rpc('no.such', { token: by[0], body: bodies[0] })
  await c.say('rpc/auth.refresh', `{"token":"${by[0]}"`)
  c.send(connectPacket({ user: 'alice', version: 5, password: by[0] })) // once more
  await c.untilClosed()
  clock.advance(1)
  const all = JSON.stringify(p.lines, (_key, v: unknown) => v instanceof Error ? { ...v, message: v.message, stack: v.stack, cause: v.cause } : v)
  expect(p.lines.length).toBeGreaterThan(10)
  for (const secret of [...by, ...by.flatMap(t => t.split('.').slice(1)), ...bodies, SECRET]) expect(all).not.toContain(secret)
})

test('bystanders chat on while others knock with bad tokens', async () => {
  const p = await startParley({ auth: { dev: true, jwt: { secret: SECRET } } })
  const by = await Bystanders.join(p)
  for (let i = 0; i < 50; i++) expect(await enter(p, `${token('alice')}x`)).toBe(0x86)
  await by.unharmed()
})
