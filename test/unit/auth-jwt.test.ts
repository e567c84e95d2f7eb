import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Value } from '@sinclair/typebox/value'
import { SignJWT } from 'jose'
import type { Credentials, Verdict } from '../../broker/domain/identity.js'
import type { DeviceId } from '../../broker/domain/ids.js'
import type { Hooks, Host } from '../../broker/plugin.js'
import { Keys } from '../../plugins/auth-jwt/key-source.js'
import { KeyRing } from '../../plugins/auth-jwt/keys.js'
import { authJwt, type AuthJwtOptions } from '../../plugins/auth-jwt/index.js'
import { Lru } from '../../broker/domain/lru.js'
import { Verifier } from '../../plugins/auth-jwt/verifier.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

const SECRET = 'a secret of more than thirty-two bytes, äöü'
const NOW = 1_750_000_000
const IN_AN_HOUR = NOW + 3600

const pairs = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  rsa2: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  ed: generateKeyPairSync('ed25519')
}
type PairName = keyof typeof pairs
const pem = (k: KeyObject): string => k.export({ type: 'spki', format: 'pem' }).toString()
const ALL_PEMS = Object.values(pairs).map(p => pem(p.publicKey)).join('')

const ALGS: [alg: string, pair: PairName][] = [
  ['RS256', 'rsa'], ['RS384', 'rsa'], ['RS512', 'rsa'], ['PS256', 'rsa'], ['PS384', 'rsa'], ['PS512', 'rsa'],
  ['ES256', 'p256'], ['ES384', 'p384'], ['ES512', 'p521'], ['EdDSA', 'ed'], ['Ed25519', 'ed']
]

const b64 = (v: unknown): string => Buffer.from(typeof v === 'string' ? v : JSON.stringify(v)).toString('base64url')
/** A token of any claims and header, also of those that a library refuses to sign. `payload` as text is taken as it stands. */
function hs256 (payload: object | string, header: object = {}, secret: string | Buffer = SECRET): string {
  const head = `${b64({ alg: 'HS256', ...header })}.${b64(payload)}`
  return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`
}
const signed = (alg: string, pair: PairName, claims: object = {}, header: object = {}): Promise<string> =>
  new SignJWT({ sub: 'anna', exp: IN_AN_HOUR, ...claims }).setProtectedHeader({ alg, ...header }).sign(pairs[pair].privateKey)
const good = { sub: 'anna', exp: IN_AN_HOUR }

async function setUp (options: Partial<AuthJwtOptions> = { secret: SECRET }) {
  const clock = new FakeClock(NOW * 1000)
  const logger = recordingLogger()
  const config = Value.Default(authJwt.config!, { ...options }) as AuthJwtOptions
  expect(Value.Check(authJwt.config!, config)).toBe(true)
  const hooks = await authJwt.setup({ clock, logger } as unknown as Host, config) as Hooks
  const ask = async (token: string | Buffer | undefined, more: Partial<Credentials> = {}): Promise<Verdict> =>
    await hooks.authenticate!({ address: '192.0.2.1', listener: 'mqtt:1883', device: 'phone' as DeviceId, password: token === undefined ? undefined : Buffer.from(token), ...more })
  return { ask, clock, logger }
}

const accepted = (more: object = {}): Verdict => ({ kind: 'accepted', identity: { user: 'anna', admin: false, expiresMs: IN_AN_HOUR * 1000, issuedMs: 0, ...more } as never })
const refused = (why: RegExp, reason = 'credential'): unknown => ({ kind: 'refused', reason, why: expect.stringMatching(why) })

describe('algorithms', () => {
  test('HS256 with the secret', async () => {
    const { ask } = await setUp()
    expect(await ask(hs256(good))).toEqual(accepted())
    expect(await ask(await new SignJWT(good).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET)))).toEqual(accepted())
    expect(await ask(hs256(good, {}, `${SECRET}.`))).toEqual(refused(/signature/))
  })

  test.each(ALGS)('%s with its key alone, with a file of all keys, and with no other key', async (alg, pair) => {
    const token = await signed(alg, pair)
    expect(await (await setUp({ publicKey: pem(pairs[pair].publicKey) })).ask(token)).toEqual(accepted())
    expect(await (await setUp({ publicKey: ALL_PEMS, secret: SECRET })).ask(token)).toEqual(accepted())
    const others = Object.entries(pairs).filter(([name]) => name !== pair).map(([, p]) => pem(p.publicKey)).join('')
    expect((await (await setUp({ publicKey: others, secret: SECRET })).ask(token)).kind).toBe('refused')
    expect(await (await setUp()).ask(token)).toEqual(refused(/no public key/))
  })

  test.each(['none', 'None', 'NONE', 'nOnE'])('alg %s is refused, signed or not', async alg => {
    for (const options of [{ secret: SECRET }, { publicKey: ALL_PEMS }, { secret: SECRET, publicKey: ALL_PEMS }]) {
      const { ask } = await setUp(options)
      expect(await ask(`${b64({ alg })}.${b64(good)}.`)).toEqual(refused(/alg none/))
      expect(await ask(hs256(good, { alg }))).toEqual(refused(/alg none/))
    }
  })

  test.each(['HS384', 'HS512', 'ES256K', 'RS1', 'RSA-OAEP', 'dir', 'hs256', 'constructor', '__proto__', ''])('alg %p is not taken', async alg => {
    const { ask } = await setUp({ secret: SECRET, publicKey: ALL_PEMS })
    expect(await ask(hs256(good, { alg }))).toEqual(refused(/is not taken/))
  })

  test.each([[undefined], [null], [256], [['HS256']], [{}]])('alg %j is missing', async alg => {
    expect(await (await setUp()).ask(hs256(good, { alg }))).toEqual(refused(/alg is missing/))
  })

  test('key confusion: a public key is no secret', async () => {
    for (const { publicKey } of Object.values(pairs)) {
      const text = pem(publicKey)
      for (const secret of [text, text.trim(), publicKey.export({ type: 'spki', format: 'der' })]) {
        const token = hs256(good, {}, secret)
        expect(await (await setUp({ publicKey: text })).ask(token)).toEqual(refused(/symmetric/))
        expect(await (await setUp({ publicKey: text, secret: SECRET })).ask(token)).toEqual(refused(/signature/))
      }
    }
  })

  test('a signature of another algorithm of the same key is wrong', async () => {
    const { ask } = await setUp({ publicKey: pem(pairs.rsa.publicKey) })
    const head = `${b64({ alg: 'PS256' })}.${b64(good)}`
    expect(await ask(`${head}.${sign('sha256', Buffer.from(head), pairs.rsa.privateKey).toString('base64url')}`)).toEqual(refused(/signature/))
  })

  test('crit, unencoded payloads and keys that the token brings along', async () => {
    const { ask } = await setUp({ publicKey: pem(pairs.rsa.publicKey), secret: SECRET })
    expect((await ask(hs256(good, { crit: ['exp'], exp: 1 }))).kind).toBe('refused')
    const head = `${b64({ alg: 'HS256', b64: false, crit: ['b64'] })}.e30`
    expect(await ask(`${head}.${createHmac('sha256', SECRET).update(head).digest('base64url')}`)).toEqual(refused(/unencoded/))
    const jwk = pairs.rsa2.publicKey.export({ format: 'jwk' })
    expect(await ask(await signed('RS256', 'rsa2', {}, { jwk, kid: 'x' }))).toEqual(refused(/signature/))
  })
})

describe('keys', () => {
  const jwk = (pair: PairName, more: object = {}): object => ({ ...pairs[pair].publicKey.export({ format: 'jwk' }), ...more })
  const setup = (options: Partial<AuthJwtOptions>) => expect(setUp(options)).rejects

  test('JWKS: kid and alg choose the key; keys without kid go with any', async () => {
    const { ask } = await setUp({ publicKey: JSON.stringify({ keys: [jwk('rsa', { kid: 'old' }), jwk('rsa2', { kid: 'new', alg: 'RS256', use: 'sig' }), jwk('ed')] }) })
    expect(await ask(await signed('RS256', 'rsa', {}, { kid: 'old' }))).toEqual(accepted())
    expect(await ask(await signed('RS256', 'rsa2', {}, { kid: 'new' }))).toEqual(accepted())
    expect(await ask(await signed('RS256', 'rsa2'))).toEqual(accepted())
    expect(await ask(await signed('EdDSA', 'ed', {}, { kid: 'any' }))).toEqual(accepted())
    expect(await ask(await signed('RS256', 'rsa', {}, { kid: 'new' }))).toEqual(refused(/signature/))
    expect(await ask(await signed('PS256', 'rsa2', {}, { kid: 'new' }))).toEqual(refused(/no public key for PS256 with kid "new"/))
    expect(await ask(await signed('RS256', 'rsa', {}, { kid: 'gone' }))).toEqual(refused(/no public key for RS256 with kid "gone"/))
  })

  test('JWKS: keys for other uses are passed over with a warning; a single JWK works', async () => {
    const { ask, logger } = await setUp({ publicKey: JSON.stringify({ keys: [jwk('rsa', { use: 'enc' }), { kty: 'new' }, jwk('p256')] }) })
    expect(await ask(await signed('ES256', 'p256'))).toEqual(accepted())
    expect(await ask(await signed('RS256', 'rsa'))).toEqual(refused(/no public key/))
    expect(logger.lines.map(l => l.level)).toEqual(['warn', 'warn'])
    expect(await (await setUp({ publicKey: JSON.stringify(jwk('ed')) })).ask(await signed('EdDSA', 'ed'))).toEqual(accepted())
  })

  test('publicKeyFile is read at setup', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'parley-jwt-'))
    try {
      await writeFile(join(dir, 'keys.pem'), ALL_PEMS)
      expect(await (await setUp({ publicKeyFile: join(dir, 'keys.pem') })).ask(await signed('ES384', 'p384'))).toEqual(accepted())
      await setup({ publicKeyFile: join(dir, 'none.pem') }).toThrow(/none\.pem/)
      await setup({ publicKeyFile: join(dir, 'keys.pem'), publicKey: ALL_PEMS }).toThrow(/only one/)
    } finally { await rm(dir, { recursive: true }) }
  })

  test('what cannot be safe is refused at setup, in words', async () => {
    await setup({}).toThrow(/neither a secret nor a public key/)
    await setup({ secret: 'x'.repeat(31) }).toThrow(/31 bytes.*at least 32/)
    await setUp({ secret: 'x'.repeat(32) })
    await setup({ secret: 'ä'.repeat(15) }).toThrow(/30 bytes/)
    await setUp({ secret: 'ä'.repeat(16) })
    await setup({ publicKey: pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey) }).toThrow(/1024 bits.*2048/)
    await setup({ publicKey: pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey) }).toThrow(/secp256k1/)
    await setup({ publicKey: pem(generateKeyPairSync('ed448').publicKey) }).toThrow(/ed448/)
    await setup({ publicKey: pem(pairs.rsa.publicKey) + pairs.ed.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }).toThrow(/block 2.*private/)
    await setup({ publicKey: pem(pairs.rsa.publicKey).slice(0, 200) }).toThrow(/block 1 \(PUBLIC KEY\) cannot be read/)
    await setup({ publicKey: 'no key' }).toThrow(/neither PEM nor JSON/)
    await setup({ publicKey: '{"keys":[]}' }).toThrow(/no public key/)
    await setup({ publicKey: JSON.stringify({ keys: [{ kty: 'oct', k: b64(SECRET) }] }) }).toThrow(/symmetric/)
    await setup({ publicKey: JSON.stringify(pairs.ed.privateKey.export({ format: 'jwk' })) }).toThrow(/private/)
  })
})

describe('claims', () => {
  test('issuer and audience', async () => {
    const { ask } = await setUp({ secret: SECRET, issuer: 'https://id.example', audience: 'chat' })
    const right = { ...good, iss: 'https://id.example', aud: 'chat' }
    expect(await ask(hs256(right))).toEqual(accepted())
    expect(await ask(hs256({ ...right, aud: ['web', 'chat'] }))).toEqual(accepted())
    for (const aud of [undefined, 'chat2', ['web'], [], { chat: 1 }, 'cha', [['chat']]]) expect(await ask(hs256({ ...right, aud }))).toEqual(refused(/aud/))
    for (const iss of [undefined, 'https://id.example/', ['https://id.example'], null]) expect(await ask(hs256({ ...right, iss }))).toEqual(refused(/iss/))
    // Not asked for, not judged.
    expect(await (await setUp()).ask(hs256({ ...right, iss: 'x', aud: 'y' }))).toEqual(accepted())
  })

  test('exp: good until then, with the tolerance', async () => {
    const { ask, clock } = await setUp({ secret: SECRET, clockToleranceMs: 500 })
    const token = hs256(good)
    clock.advance(3_600_000 + 499)
    expect(await ask(token)).toEqual(accepted())
    clock.advance(1)
    expect(await ask(token)).toEqual(refused(/expired at 2025-06-15T16:06:40/))
    expect(await ask(hs256({ sub: 'anna', exp: NOW }))).toEqual(refused(/expired/))
    for (const exp of [0, -1, -1e300]) expect(await ask(hs256({ sub: 'anna', exp }))).toEqual(refused(/expired/))
  })

  test('nbf: good from then on, with the tolerance; a token refused as too early is good later', async () => {
    const { ask, clock } = await setUp({ secret: SECRET, clockToleranceMs: 500 })
    const token = hs256({ ...good, nbf: NOW + 10 })
    clock.advance(9499)
    expect(await ask(token)).toEqual(refused(/good from .* on only/))
    clock.advance(1)
    expect(await ask(token)).toEqual(accepted())
  })

  test('exp is required unless the options say otherwise', async () => {
    expect(await (await setUp()).ask(hs256({ sub: 'anna' }))).toEqual(refused(/exp is missing/))
    const { ask, clock } = await setUp({ secret: SECRET, requireExp: false })
    expect(await ask(hs256({ sub: 'anna' }))).toEqual(accepted({ expiresMs: 0 }))
    expect(await ask(hs256(good))).toEqual(accepted())
    clock.advance(2 * 3_600_000)
    expect(await ask(hs256({ sub: 'anna' }))).toEqual(accepted({ expiresMs: 0 }))
    expect(await ask(hs256(good))).toEqual(refused(/expired/))
  })

  test.each(['exp', 'nbf', 'iat'])('%s that is no time in seconds is refused, and said so', async name => {
    const { ask } = await setUp({ secret: SECRET, requireExp: false })
    for (const v of ['1e300', '1e999', String(IN_AN_HOUR * 1000), '253402300800']) expect(await ask(hs256(`{"sub":"anna","${name}":${v}}`))).toEqual(refused(new RegExp(`^${name} .*milliseconds`)))
    for (const v of ['"1750003600"', 'null', 'true', '[1750003600]', '{}', '"2030-01-01T00:00:00Z"']) expect(await ask(hs256(`{"sub":"anna","${name}":${v}}`))).toEqual(refused(new RegExp(`^${name} is no number`)))
  })

  test('a life of 60 days and one to the end of time', async () => {
    const { ask } = await setUp()
    expect(await ask(hs256({ sub: 'anna', exp: NOW + 60 * 86_400 }))).toEqual(accepted({ expiresMs: (NOW + 60 * 86_400) * 1000 }))
    expect(await ask(hs256({ sub: 'anna', exp: 253_402_300_799 }))).toEqual(accepted({ expiresMs: 253_402_300_799_000 }))
  })

  test('the user id: required, within the grammar, and the log learns which character is wrong', async () => {
    const { ask } = await setUp()
    for (const sub of ['auth0|5f7c8ec7', 'anna@example.org', 'tenant:anna', 'a', 'x'.repeat(128)]) expect(await ask(hs256({ ...good, sub }))).toEqual(accepted({ user: sub }))
    expect(await ask(hs256({ ...good, sub: '+4912345' }))).toEqual(refused(/sub holds "\+"/))
    expect(await ask(hs256({ ...good, sub: 'anna/#' }))).toEqual(refused(/sub holds "\/"/))
    expect(await ask(hs256({ ...good, sub: 'a\n' }))).toEqual(refused(/sub holds "\\n"/))
    expect(await ask(hs256({ ...good, sub: '' }))).toEqual(refused(/0 characters/))
    expect(await ask(hs256({ ...good, sub: 'x'.repeat(129) }))).toEqual(refused(/129 characters/))
    expect(await ask(hs256({ exp: IN_AN_HOUR }))).toEqual(refused(/sub.*missing/))
    for (const sub of [42, null, ['anna'], {}]) expect(await ask(hs256({ ...good, sub }))).toEqual(refused(/sub.*no string/))
  })

  test('other names for the claims', async () => {
    const { ask } = await setUp({ secret: SECRET, userClaim: 'https://example.org/uid', deviceClaim: 'install' })
    expect(await ask(hs256({ exp: IN_AN_HOUR, 'https://example.org/uid': 'anna', sub: 'x/y', dev: 'tablet' }))).toEqual(accepted())
    expect(await ask(hs256({ exp: IN_AN_HOUR, 'https://example.org/uid': 'anna', install: 'tablet' }))).toEqual(refused(/another device/, 'forbidden'))
    const inherited = await setUp({ secret: SECRET, userClaim: 'constructor' })
    expect(await inherited.ask(hs256(good))).toEqual(refused(/constructor.*missing/))
  })

  test('a device-bound token is good for that device only', async () => {
    const { ask } = await setUp()
    const token = hs256({ ...good, dev: 'phone' })
    expect(await ask(token)).toEqual(accepted())
    expect(await ask(token, { device: 'Phone' as DeviceId })).toEqual(refused(/another device/, 'forbidden'))
    expect(await ask(token, { device: undefined })).toEqual(accepted())
    for (const dev of ['', 'x'.repeat(129), 'a\u0000', 7, null, ['phone']]) expect(await ask(hs256({ ...good, dev }))).toEqual(refused(/dev is no device id/))
  })

  test('scope admin, as text, as a list apart by spaces and as an array', async () => {
    const { ask } = await setUp()
    for (const scope of ['admin', 'chat admin', 'admin chat', ['chat', 'admin']]) expect(await ask(hs256({ ...good, scope }))).toEqual(accepted({ admin: true }))
    for (const scope of ['administrator', 'Admin', '', 'chat,admin', ['chat admin'], [['admin']], { admin: true }, true, null]) expect(await ask(hs256({ ...good, scope }))).toEqual(accepted())
  })

  test('a user name, when given, has to be the token\'s user', async () => {
    const { ask } = await setUp()
    expect(await ask(hs256(good), { user: 'anna' })).toEqual(accepted())
    expect(await ask(hs256(good), { user: '' })).toEqual(accepted())
    expect(await ask(hs256(good), { user: 'bob' })).toEqual(refused(/another user name/, 'forbidden'))
    expect(await ask(hs256(good), { user: 'Anna' })).toEqual(refused(/another user name/, 'forbidden'))
  })

  test('a payload that is no JSON object', async () => {
    const { ask } = await setUp()
    for (const payload of ['', 'x', '[]', '"anna"', 'null', '1', '{"sub":"anna"', Buffer.from([0x7b, 0xff, 0x7d])]) {
      const head = `${b64({ alg: 'HS256' })}.${Buffer.from(payload).toString('base64url')}`
      expect(await ask(`${head}.${createHmac('sha256', SECRET).update(head).digest('base64url')}`)).toEqual(refused(/no JSON object/))
    }
  })
})

describe('what is not a token', () => {
  test('is for other providers', async () => {
    const { ask } = await setUp()
    const [head, payload] = hs256(good).split('.')
    for (const password of [undefined, '', 'hunter2', 'a.b.c', 'eyes.wide.shut', `${head}.${payload}`, `${hs256(good)}.x.y`, `${hs256(good)}\n`, ` ${hs256(good)}`, '..', 'x'.repeat(100_000), Buffer.from([0x65, 0xff, 0x2e])]) {
      expect(await ask(password)).toEqual({ kind: 'not-mine' })
    }
  })

  test('a tampered token is refused', async () => {
    const { ask } = await setUp({ secret: SECRET, publicKey: ALL_PEMS })
    for (const token of [hs256(good), await signed('RS256', 'rsa'), await signed('ES256', 'p256'), await signed('EdDSA', 'ed')]) {
      const [head, payload, signature] = token.split('.') as [string, string, string]
      expect(await ask(token)).toEqual(accepted())
      expect(await ask(`${head}.${b64({ ...good, sub: 'bob' })}.${signature}`)).toEqual(refused(/signature/))
      expect(await ask(`${head}.${payload}.${signature.slice(0, -4)}`)).toEqual(refused(/signature/))
      expect(await ask(`${head}.${payload}.`)).toEqual(refused(/signature/))
      const other = signature.startsWith('A') ? 'B' : 'A'
      expect(await ask(`${head}.${payload}.${other}${signature.slice(1)}`)).toEqual(refused(/signature/))
    }
  })

  test('more than 8 KiB is refused without a look', async () => {
    const { ask } = await setUp()
    const withFill = (bytes: number): string => hs256({ ...good, fill: 'x'.repeat(bytes) })
    const longest = withFill(6000)
    expect(longest.length).toBeLessThanOrEqual(8192)
    expect(await ask(longest)).toEqual(accepted())
    expect(await ask(withFill(6200))).toEqual(refused(/at most 8192/))
    const verifier = new Verifier(new Keys(await KeyRing.read(SECRET, undefined, () => {}), null), { userClaim: 'sub', deviceClaim: 'dev', requireExp: true })
    expect(await verifier.verify(Buffer.from(withFill(48_000)))).toMatch(/a token of 6\d{4} bytes/)
    expect([verifier.checks, verifier.remembered]).toEqual([0, 0])
  })

  test('garbage never throws and never gets in', async () => {
    const { ask } = await setUp({ secret: SECRET, publicKey: ALL_PEMS })
    const part = fc.oneof(fc.string(), fc.base64String().map(s => s.replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_')), fc.json().map(b64))
    const header = fc.record({ alg: fc.constantFrom('HS256', 'RS256', 'PS512', 'ES256', 'ES512', 'EdDSA', 'none', 'x'), kid: fc.option(fc.anything()), crit: fc.option(fc.anything()) }).map(h => b64(JSON.stringify(h)))
    const password = fc.oneof(
      fc.uint8Array({ maxLength: 9000 }).map(a => Buffer.from(a)),
      fc.tuple(fc.oneof(header, part), part, part).map(p => Buffer.from(p.join('.')))
    )
    await fc.assert(fc.asyncProperty(password, async p => {
      expect((await ask(p)).kind).toMatch(/^(refused|not-mine)$/)
    }), { numRuns: 2000 })
  })

  test('any signed claims: never throws, and who gets in is a user', async () => {
    const { ask } = await setUp({ secret: SECRET, requireExp: false })
    const claim = fc.oneof(fc.anything(), fc.double(), fc.string())
    await fc.assert(fc.asyncProperty(fc.record({ sub: claim, exp: claim, nbf: claim, iat: claim, dev: claim, scope: claim }, { requiredKeys: [] }), async claims => {
      const verdict = await ask(hs256(JSON.stringify(claims, (_k, v: unknown) => typeof v === 'bigint' ? Number(v) : v)))
      if (verdict.kind === 'accepted') expect(verdict.identity.user).toMatch(/^[A-Za-z0-9._\-@=|:~!]{1,128}$/)
      else expect(verdict.kind).toBe('refused')
    }), { numRuns: 1000 })
  })
})

describe('memory', () => {
  const rules = { userClaim: 'sub', deviceClaim: 'dev', requireExp: true }
  const verifier = async (): Promise<Verifier> => new Verifier(new Keys(await KeyRing.read(SECRET, ALL_PEMS, () => {}), null), rules)

  test('a token seen before is not verified again, and a wrong one neither', async () => {
    const v = await verifier()
    const token = Buffer.from(hs256(good))
    const first = await v.verify(token)
    expect(await v.verify(token)).toEqual(first)
    expect(first).toMatchObject({ user: 'anna' })
    expect(v.checks).toBe(1)
    const wrong = Buffer.from(hs256(good, {}, 'x'.repeat(40)))
    for (let i = 0; i < 3; i++) expect(await v.verify(wrong)).toMatch(/signature/)
    expect(v.checks).toBe(2)
  })

  test('what was not asked for longest is forgotten first', () => {
    const lru = new Lru<number>(2)
    lru.set('a', 1)
    lru.set('b', 2)
    lru.get('a')
    lru.set('c', 3)
    lru.set('c', 4)
    expect(['a', 'b', 'c'].map(k => lru.get(k))).toEqual([1, undefined, 4])
    expect(lru.size).toBe(2)
  })

  test('what is remembered is judged by the time of its use', async () => {
    const { ask, clock } = await setUp()
    const token = hs256(good)
    expect(await ask(token)).toEqual(accepted())
    clock.advance(3_601_000)
    for (let i = 0; i < 2; i++) expect(await ask(token)).toEqual(refused(/expired/))
  })

  test('made-up tokens push out no real one; memory has a bound', async () => {
    const v = await verifier()
    const token = Buffer.from(hs256(good))
    const first = Buffer.from(hs256({ ...good, n: -1 }, { alg: 'none' }))
    await v.verify(token)
    await v.verify(first)
    for (let i = 0; i < 10_000; i++) await v.verify(Buffer.from(`${b64({ alg: 'none' })}.${b64(String(i))}.`))
    await v.verify(token)
    expect(v.checks).toBe(1)
    expect(v.remembered).toBe(10_001)
  })
})
