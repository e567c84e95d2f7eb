import { randomBytes, scryptSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hash as argon2 } from '@node-rs/argon2'
import { hashPassword } from '../../broker/cli/hash.js'
import type { Credentials, Verdict } from '../../broker/domain/identity.js'
import type { DeviceId } from '../../broker/domain/ids.js'
import type { Hooks, Host } from '../../broker/plugin.js'
import authStatic from '../../plugins/auth-static/index.js'
import { readHash } from '../../plugins/auth-static/phc.js'
import { Users } from '../../plugins/auth-static/users.js'
import { recordingLogger } from '../support/recording-logger.js'

const dir = mkdtempSync(join(tmpdir(), 'parley-users-'))
const file = join(dir, 'users.yaml')
afterAll(() => { rmSync(dir, { recursive: true }) })

const unpadded = (b: Buffer): string => b.toString('base64').replace(/=+$/, '')
/** A hash that costs next to nothing. */
function quick (password: string, ln = 4): string {
  const salt = randomBytes(16)
  return `$scrypt$ln=${ln},r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync(password, salt, 32, { N: 2 ** ln, r: 8, p: 1, maxmem: 1 << 28 }))}`
}

async function setUp (users: object[] | string) {
  writeFileSync(file, typeof users === 'string' ? users : JSON.stringify(users))
  const logger = recordingLogger()
  const hooks = await authStatic.setup({ logger } as unknown as Host, { file }) as Hooks
  const ask = async (user: string | undefined, password?: string | Buffer, more: Partial<Credentials> = {}): Promise<Verdict> =>
    await hooks.authenticate!({ user, password: password === undefined ? undefined : Buffer.from(password), device: 'phone' as DeviceId, address: '192.0.2.1', listener: 'mqtts:8883', ...more })
  return { ask, hooks, logger }
}
const accepted = (more: object = {}): unknown => ({ kind: 'accepted', identity: { user: 'anna', admin: false, expiresMs: 0, ...more } })
const WRONG = { kind: 'refused', reason: 'credential', why: 'a wrong password' }
const OTHERS = { kind: 'not-mine' }

describe('hashes', () => {
  test('what `parley hash` prints, and argon2id with other settings', async () => {
    const hashes = [await hashPassword(Buffer.from('pass wörd')), await argon2('pass wörd', { memoryCost: 1024, timeCost: 3, parallelism: 2 }), quick('pass wörd')]
    for (const hash of hashes) {
      const { ask } = await setUp([{ user: 'anna', hash }])
      expect(await ask('anna', 'pass wörd')).toEqual(accepted())
      for (const password of ['pass word', 'pass wörd ', 'x', Buffer.from([0xff])]) expect(await ask('anna', password)).toEqual(WRONG)
    }
  })

  // From RFC 7914, 12, and from the reference implementation of Argon2 (its README).
  test.each([
    ['$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw', 'pleaseletmein'],
    ['$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', 'password']
  ])('%s', async (hash, password) => {
    const check = readHash(hash)
    expect(typeof check).toBe('function')
    if (typeof check === 'function') expect([await check(Buffer.from(password)), await check(Buffer.from(`${password}x`))]).toEqual([true, false])
  })

  test.each([
    ['hunter2', /neither/], ['', /neither/], ['$2b$12$abcdefghijklmnopqrstuv', /neither/], ['$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', /neither/],
    ['$scrypt$ln=14,r=8,p=1$U29k$cCO9', /no hash of the form/], ['$scrypt$ln=14,r=8,p=1', /no hash of the form/],
    ['$scrypt$ln=40,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o', /256 MiB/], ['$scrypt$ln=14,r=8,p=99$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o', /passes/], ['$scrypt$ln=0,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o', /none/],
    ['$argon2id$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', /no hash of the form/],
    ['$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', /256 MiB/], ['$argon2id$v=19$m=65536,t=200,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', /passes/]
  ])('%s is refused, without being quoted', (hash, why) => {
    const read = readHash(hash)
    expect(read).toMatch(why)
    if (hash.length > 20) expect(read).not.toContain(hash.slice(12, 30))
  })
})

describe('the file', () => {
  test('users with devices, scope and rules', async () => {
    const acl = [{ allow: ['publish'], topic: 'a/%u' }]
    const { ask } = await setUp([
      { user: 'anna', hash: quick('any') }, { user: 'anna', device: 'tablet', hash: quick('own'), scope: 'admin', acl },
      { user: 'bob', device: 'tablet', hash: quick('bob') }
    ])
    expect(await ask('anna', 'any')).toEqual(accepted())
    expect(await ask('anna', 'own', { device: 'tablet' as DeviceId })).toEqual(accepted({ admin: true, acl }))
    expect(await ask('anna', 'own')).toEqual(WRONG)
    expect(await ask('anna', 'any', { device: 'tablet' as DeviceId })).toEqual(WRONG)
    expect(await ask('bob', 'bob')).toMatchObject({ kind: 'refused', reason: 'forbidden' })
    expect(await ask('bob', 'wrong')).toEqual(WRONG)
    expect(await ask('bob', 'bob', { device: undefined })).toEqual(accepted({ user: 'bob' })) // over HTTP as that device
  })

  test.each<[string, RegExp]>([
    ['', /no list of users/], ['{}', /no list/], ['anna: x', /no list/], ['- anna', /\[0\] is no user/], ['[null]', /\[0\] is no user/],
    ['- { hash: x }', /\[0\] user, the user id, is missing/], ['- { user: a/b, hash: x }', /user holds "\/"/], ['- { user: anna }', /\(anna\) hash is missing/], ['- { user: anna, hash: hunter2 }', /\(anna\) hash is neither/],
    ['- { user: anna, pass: x }', /holds "pass"; known are user, hash/],
    [`- { user: anna, hash: "${quick('x')}", scope: root }`, /scope/], [`- { user: anna, hash: "${quick('x')}", device: "" }`, /device/], [`- { user: anna, hash: "${quick('x')}", acl: [{}] }`, /acl\[0\] needs either/],
    [`- { user: anna, hash: "${quick('x')}" }\n- { user: anna, hash: "${quick('x')}" }`, /anna stands there twice/],
    ['- { user: anna\n', /line 2/], ['['.repeat(5000), /nested/], ['- &a [*a]', /anchor|alias/i]
  ])('%j is refused in words', (text, why) => { expect(() => Users.read(text)).toThrow(why) })

  test('all mistakes at once, of many the first', () => {
    expect(() => Users.read(JSON.stringify(Array.from({ length: 20 }, () => ({ user: 'a b' }))))).toThrow(/\[0\].*\[9\].*10 more/)
  })

  test('read again: a new list counts at once; a broken one leaves the old in use', async () => {
    const { ask, hooks, logger } = await setUp([{ user: 'anna', hash: quick('old') }])
    expect(await ask('anna', 'old')).toEqual(accepted())
    writeFileSync(file, JSON.stringify([{ user: 'anna', hash: quick('new') }, { user: 'bob', hash: quick('bob') }]))
    await hooks.reload!()
    expect([await ask('anna', 'old'), await ask('anna', 'new'), (await ask('bob', 'bob')).kind]).toEqual([WRONG, accepted(), 'accepted'])
    expect(logger.lines).toMatchObject([{ level: 'info', users: 2 }])
    for (const broken of ['- { user: anna', '- { user: eve, hash: x }', 'nothing']) {
      writeFileSync(file, broken)
      await expect((async () => { await hooks.reload!() })()).rejects.toThrow(file)
    }
    rmSync(file)
    await expect((async () => { await hooks.reload!() })()).rejects.toThrow(/ENOENT/)
    expect(await ask('anna', 'new')).toEqual(accepted())
    await expect(setUp('- x')).rejects.toThrow(file)
    await expect((async () => { await authStatic.check!({ file: join(dir, 'none') }) })()).rejects.toThrow(/ENOENT/)
  })
})

test('whom others are asked about: no user name, no password, tokens, unknown users, long ones', async () => {
  const { ask } = await setUp([{ user: 'anna', hash: quick('p') }])
  for (const [user, password] of [[undefined, 'p'], ['', 'p'], ['anna', undefined], ['anna', ''], ['anna', 'eyJhbGciOiJub25lIn0.e30.x'], ['bob', 'p'], ['__proto__', 'p'], ['anna', 'x'.repeat(1025)]] as const) {
    expect(await ask(user, password)).toEqual(OTHERS)
  }
  const empty = await setUp([])
  expect(await empty.ask('anna', 'p')).toEqual(OTHERS)
})

test('an unknown user is hashed for as a wrong password is, and a right one, once known, not again', async () => {
  const { ask } = await setUp([{ user: 'anna', hash: quick('right', 13) }])
  /** Of so many at once those that found no place in the queue for a hash. */
  const turnedAway = async (user: string, password: string): Promise<number> =>
    (await Promise.all(Array.from({ length: 60 }, async () => await ask(user, password)))).filter(v => v.kind === 'down').length
  const wrong = await turnedAway('anna', 'wrong')
  expect(wrong).toBeGreaterThan(0)
  expect(await turnedAway('nobody', 'wrong')).toBe(wrong)
  await ask('anna', 'right')
  expect(await turnedAway('anna', 'right')).toBe(0)
})

test('hashing is off the event loop and bounded; another address does not wait for a flood', async () => {
  const { ask } = await setUp([{ user: 'anna', hash: quick('right', 13) }])
  const order: string[] = []
  const flood = Array.from({ length: 500 }, async () => { const v = await ask('anna', 'wrong'); order.push('flood'); return v })
  const other = ask('anna', 'right', { address: '198.51.100.7' }).then(v => { order.push('other'); return v })
  let turns = 0
  let done = false
  const spinning = (async () => { while (!done) { turns++; await new Promise(resolve => setImmediate(resolve)) } })()
  const verdicts = await Promise.all(flood)
  expect(await other).toEqual(accepted())
  done = true
  await spinning
  const kinds = verdicts.map(v => v.kind)
  const hashed = kinds.filter(k => k === 'refused').length
  expect(hashed).toBeLessThanOrEqual(34) // 32 wait, one or two run
  expect(kinds.filter(k => k === 'down')).toHaveLength(500 - hashed)
  // behind those that found no room and the one or two that were being hashed already, not behind the 32
  expect(order.filter(o => o === 'flood').length - order.slice(order.indexOf('other')).filter(o => o === 'flood').length).toBeLessThanOrEqual(500 - hashed + 4)
  expect(turns).toBeGreaterThan(100)
})
