import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { Value } from '@sinclair/typebox/value'
import { SignJWT } from 'jose'
import type { Verdict } from '../../broker/domain/identity.js'
import type { DeviceId } from '../../broker/domain/ids.js'
import type { Hooks, Host } from '../../broker/plugin.js'
import { webClient } from '../../broker/web-client.js'
import { authJwt, type AuthJwtOptions } from '../../plugins/auth-jwt/index.js'
import { Backend } from '../support/backend.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

const NOW = 1_750_000_000
const pairs = Object.fromEntries(['one', 'two', 'three'].map(kid => [kid, generateKeyPairSync('ec', { namedCurve: 'P-256' })])) as Record<string, { publicKey: KeyObject, privateKey: KeyObject }>
const jwk = (kid: string, more: object = {}): object => ({ ...pairs[kid]!.publicKey.export({ format: 'jwk' }), kid, ...more })
const set = (...kids: string[]): object => ({ keys: kids.map(kid => jwk(kid)) })
const token = async (kid: string, header: object = { kid }, claims: object = {}): Promise<string> =>
  await new SignJWT({ sub: 'anna', exp: NOW + 86_400, ...claims }).setProtectedHeader({ alg: 'ES256', ...header }).sign(pairs[kid]!.privateKey)

let backend: Backend
beforeEach(async () => { backend = await new Backend().start() })
afterEach(async () => { await backend.stop() })

async function setUp (more: Partial<AuthJwtOptions> = {}) {
  const clock = new FakeClock(NOW * 1000)
  const logger = recordingLogger()
  const config = Value.Default(authJwt.config!, { jwksUrl: backend.url, ...more }) as AuthJwtOptions
  const hooks = await authJwt.setup({ clock, logger, request: webClient(clock) } as unknown as Host, config) as Hooks
  const ask = async (password: string): Promise<Verdict> =>
    await hooks.authenticate!({ address: '192.0.2.1', listener: 'mqtt:1883', device: 'phone' as DeviceId, password: Buffer.from(password) })
  const kind = async (password: string | Promise<string>): Promise<string> => (await ask(await password)).kind
  return { ask, kind, clock, logger }
}

test('keys are fetched at the start and kept: one fetch for many tokens', async () => {
  backend.says(200, set('one', 'two'))
  const { kind } = await setUp()
  for (let i = 0; i < 20; i++) expect(await kind(token(i % 2 === 0 ? 'one' : 'two', undefined, { n: i }))).toBe('accepted')
  expect(await kind(token('one', {}))).toBe('accepted') // without a kid
  expect(await kind(token('three', { kid: 'one' }))).toBe('refused') // another key's signature
  expect(backend.asked.map(a => a.method)).toEqual(['GET'])
})

test('rotation: a new kid is fetched at once, also right after the start; the old key’s tokens end with it', async () => {
  backend.says(200, set('one'))
  const { kind, clock } = await setUp()
  const old = await token('one')
  expect(await kind(old)).toBe('accepted')
  backend.says(200, set('two'))
  expect(await kind(token('two'))).toBe('accepted')
  expect(await kind(old)).toBe('refused') // remembered as good until then
  backend.says(200, set('two', 'three'))
  expect(await kind(token('three'))).toBe('down') // within the cooldown nobody can tell; libraries come back …
  clock.advance(10_000)
  expect(await kind(token('three'))).toBe('accepted') // … and are let in
  expect(backend.asked).toHaveLength(3)
})

test('strangers cannot drive the load: at most one fetch per cooldown, whatever kids they name', async () => {
  backend.says(200, set('one'))
  const { kind, clock } = await setUp()
  expect(await kind(token('one'))).toBe('accepted')
  expect(await kind(token('two', { kid: 'made-up' }))).toBe('refused')
  for (let s = 0; s < 60; s++) {
    for (let i = 0; i < 5; i++) expect(['down', 'refused']).toContain(await kind(token('two', { kid: `made-up-${s}-${i}` })))
    expect(await kind(token('two', { kid: 'made-up' }))).not.toBe('accepted')
    expect(await kind(token('one', undefined, { s }))).toBe('accepted')
    clock.advance(1000)
  }
  expect(backend.asked.length).toBeLessThanOrEqual(1 + 1 + 6)
})

test('a kid that was found missing is refused from memory, others wait for the next fetch', async () => {
  backend.says(200, set('one'))
  const { kind } = await setUp()
  for (let i = 0; i < 3; i++) expect(await kind(token('two', undefined, { n: i }))).toBe('refused')
  expect(await kind(token('three'))).toBe('down')
  expect(backend.asked).toHaveLength(2)
})

describe('the last good keys stay', () => {
  test.each<[string, (b: Backend) => void | Promise<void>]>([
    ['down', async b => { await b.stop() }],
    ['answering 500', b => { b.says(500, 'no') }],
    ['redirecting', b => { b.answer = r => { r.writeHead(302, { location: '/auth' }).end() } }],
    ['answering no JSON', b => { b.says(200, '<html>') }],
    ['answering other JSON', b => { b.says(200, { error: 'x' }) }],
    ['answering keys: null', b => { b.says(200, { keys: null }) }],
    ['answering no keys', b => { b.says(200, { keys: [] }) }],
    ['answering keys of a wrong kind', b => { b.says(200, { keys: [{ kty: 'oct', k: 'c2VjcmV0' }, { kty: 'RSA', n: 'AQAB', e: 'AQAB' }, 7, null, pairs.one!.privateKey.export({ format: 'jwk' })] }) }],
    ['answering too many keys', b => { b.says(200, { keys: Array.from({ length: 101 }, () => jwk('two')) }) }],
    ['answering too much', b => { b.says(200, { ...set('two'), fill: 'x'.repeat(300_000) }) }],
    ['closing', b => { b.answer = r => { r.destroy() } }]
  ])('while the server is %s', async (_name, breakIt) => {
    backend.says(200, set('one'))
    const { kind, clock, logger } = await setUp()
    expect(await kind(token('one'))).toBe('accepted')
    await breakIt(backend)
    expect(await kind(token('two'))).toBe('down')
    for (let i = 0; i < 5; i++) {
      clock.advance(700_000) // past their best before
      expect(await kind(token('one', undefined, { exp: NOW + 1e7, i }))).toBe('accepted')
      expect(await kind(token('two', undefined, { exp: NOW + 1e7, i }))).toBe('down') // waits for the fetch that the other began
    }
    const warned = logger.lines.filter(l => l.level === 'warn')
    expect([1, 2]).toContain(warned.length) // said once each, not at every try
    expect(warned[0]!.message).toMatch(/last good keys stay/)
  })

  test('while the server is slow: a new kid waits for its time limit, known ones do not', async () => {
    backend.says(200, set('one'))
    const { kind, clock } = await setUp()
    expect(await kind(token('one'))).toBe('accepted')
    backend.answer = () => {}
    const waiting = kind(token('two'))
    await backend.wasAsked(2)
    expect(await kind(token('one', undefined, { n: 1 }))).toBe('accepted')
    clock.advance(5000)
    expect(await waiting).toBe('down')
  })

  test('one bad key among good ones keeps out that one', async () => {
    backend.says(200, { keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'bad' }, jwk('one'), jwk('two', { use: 'enc' })] })
    const { kind, logger } = await setUp()
    expect([await kind(token('one')), await kind(token('two'))]).toEqual(['accepted', 'refused'])
    expect(logger.lines[0]).toMatchObject({ level: 'info', skipped: [expect.stringMatching(/symmetric/), expect.stringMatching(/not for signatures/)] })
  })
})

test('the broker starts without the server: down until the first keys, tried every two seconds, then as ever', async () => {
  await backend.stop()
  const { kind, clock, logger } = await setUp()
  for (let i = 0; i < 5; i++) expect(await kind(token('one'))).toBe('down')
  expect(logger.lines).toMatchObject([{ level: 'warn', message: expect.stringMatching(/nobody can sign in/) as string }])
  await backend.start()
  backend.says(200, set('one'))
  clock.advance(2000)
  expect(await kind(token('one'))).toBe('accepted')
  expect(logger.lines.at(-1)).toMatchObject({ level: 'info', message: expect.stringMatching(/can be fetched again/) as string })
})

test('keys are renewed now and then, without anybody waiting', async () => {
  backend.says(200, set('one'))
  const { kind, clock } = await setUp()
  expect(await kind(token('one'))).toBe('accepted')
  clock.advance(600_000)
  backend.says(200, set('two')) // 'one' is taken back
  expect(await kind(token('one'))).toBe('accepted') // the answer does not wait
  await backend.wasAsked(2)
  while (await kind(token('one')) === 'accepted') await new Promise(resolve => setImmediate(resolve))
  expect(await kind(token('two'))).toBe('accepted')
})

test('beside a secret and keys of a file each algorithm has its own; the JWKS gives no symmetric key', async () => {
  backend.says(200, set('one'))
  const secret = 'a secret of more than thirty-two bytes, äöü'
  const { kind, ask } = await setUp({ secret, publicKey: pairs.three!.publicKey.export({ type: 'spki', format: 'pem' }).toString() })
  const symmetric = (key: string): Promise<string> => new SignJWT({ sub: 'anna', exp: NOW + 60 }).setProtectedHeader({ alg: 'HS256', kid: 'one' }).sign(Buffer.from(key))
  expect([await kind(token('one')), await kind(token('three')), await kind(symmetric(secret))]).toEqual(['accepted', 'accepted', 'accepted'])
  const confused = pairs.one!.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  expect(await ask(await symmetric(confused))).toMatchObject({ kind: 'refused', why: expect.stringMatching(/signature/) as string })
  const without = await setUp()
  expect(await without.ask(await symmetric(confused))).toMatchObject({ kind: 'refused', why: expect.stringMatching(/symmetric/) as string })
})
