import { spawn } from 'node:child_process'
import { scryptSync } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodeJwt, jwtVerify } from 'jose'

// As an operator runs it: the built file, in a process of its own.
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'parley-cli-')) })
afterEach(() => { rmSync(folder, { recursive: true }) })

interface Outcome { code: number | null, out: string, err: string }

const parley = async (args: string[], { input = '', env = {} }: { input?: string, env?: Record<string, string> } = {}): Promise<Outcome> => await new Promise((resolve, reject) => {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_')))
  const child = spawn(process.execPath, [main, ...args], { cwd: folder, env: { ...inherited, ...env } })
  const outcome: Outcome = { code: null, out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => { outcome.out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { outcome.err += chunk.toString() })
  child.on('error', reject)
  child.on('close', (code) => { resolve({ ...outcome, code }) })
  child.stdin.end(input)
})

describe('the command line', () => {
  test.each([[['--help']], [['-h']], [['help']], [['serve', '--help']], [['token', '--help']], [['hash', '-h']], [['check-config', '--nonsense', '--help']]])('%j helps', async (args) => {
    expect(await parley(args)).toMatchObject({ code: 0, out: expect.stringContaining('usage: parley'), err: '' })
  })

  test.each([[['--version']], [['serve', '--version']], [['hash', '--version']]])('%j tells the version', async (args) => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
    expect(await parley(args)).toEqual({ code: 0, out: `${version}\n`, err: '' })
  })

  test.each<[string[], RegExp]>([
    [[], /usage: parley COMMAND/],
    [['srve'], /unknown command srve; did you mean serve\?/],
    [['xyzzy'], /unknown command xyzzy \(/],
    [['--verison'], /unknown option --verison; did you mean --version\?/],
    [['serve', '--confg', 'x'], /unknown option --confg; did you mean --config\?/],
    [['serve', '--limits-message-byte=1'], /unknown option --limits-message-byte; did you mean --limits-message-bytes\?/],
    [['serve', 'now'], /nothing known to do with "now"/],
    [['serve', '--config'], /--config/],
    [['check-config', '--config', ''], /names no file/],
    [['check-config', '--config', 'nope.yaml'], /nope\.yaml: there is no such file/],
    [['token'], /USER is missing/],
    [['token', 'a', 'b'], /nothing known to do with "b"/],
    [['token', 'a b'], /USER: may not hold " "/],
    [['token', 'a', '--ttl', '1 week'], /--ttl: "1 week" is no time span/],
    [['token', 'a', '--ttl', '0'], /--ttl/],
    [['hash', '--config', 'x'], /unknown option --config/],
  ])('%j is wrong usage', async (args, message) => {
    const { code, out, err } = await parley(args)
    expect(err).toMatch(message)
    expect({ code, out }).toEqual({ code: 2, out: '' })
  })
})

describe('check-config', () => {
  test('2 with what the ways to sign in name and is no good; nothing is made by checking', async () => {
    writeFileSync(join(folder, 'users.yaml'), '- { user: alice, hash: hunter2 }\n')
    writeFileSync(join(folder, 'keys.pem'), 'no key')
    writeFileSync(join(folder, 'parley.yaml'), 'dataDir: not-made\nauth: { static: { file: users.yaml }, jwt: { publicKeyFile: keys.pem } }\n')
    const { code, err } = await parley(['check-config', '--config', 'parley.yaml'])
    expect({ code, says: [/auth-static: .*users\.yaml: \[0\] \(alice\) hash is neither/, /auth-jwt: neither PEM nor JSON/].map((pattern) => pattern.test(err)), leaks: err.includes('hunter2') })
      .toEqual({ code: 2, says: [true, true], leaks: false })
    writeFileSync(join(folder, 'parley.yaml'), 'dataDir: not-made\n')
    expect((await parley(['check-config', '--config', 'parley.yaml'])).code).toBe(0)
    expect(existsSync(join(folder, 'not-made'))).toBe(false)
  })

  test('0 for a good one, and shows it without its secrets', async () => {
    writeFileSync(join(folder, 'parley.yaml'), 'auth: { jwt: { secret: hunter2-hunter2-hunter2-hunter2-hunter2 } }\n')
    expect(await parley(['check-config', '--config', 'parley.yaml'])).toEqual({ code: 0, out: 'the configuration is fine\n', err: '' })
    const { code, out } = await parley(['check-config', '--config', 'parley.yaml', '--show', '--log-level', 'warn'], { env: { PARLEY_LIMITS_IN_FLIGHT: '5' } })
    expect({ code, shows: [/level: warn/, /inFlight: 5/, /secret: .?\[hidden\]/].map((pattern) => pattern.test(out)), leaks: out.includes('hunter2') })
      .toEqual({ code: 0, shows: [true, true, true], leaks: false })
  })

  test('2 with every mistake, and serve refuses the same', async () => {
    writeFileSync(join(folder, 'parley.yaml'), 'limits: { messageByte: 1 }\nredis: { url: "redis://h" }\n')
    for (const command of ['check-config', 'serve']) {
      const { code, out, err } = await parley([command, '--config', 'parley.yaml'], { env: { PARLEY_LOG_LEVLE: 'info' } })
      expect({ code, out, err: err.trim().split('\n') }).toEqual({
        code: 2, out: '',
        err: [
          'limits.messageByte: unknown key; did you mean limits.messageBytes? (parley.yaml:1)',
          'PARLEY_LOG_LEVLE: unknown name; did you mean PARLEY_LOG_LEVEL?',
          'redis: carries news between nodes, which keep their messages in MongoDB: set mongo.url, or leave redis out (parley.yaml:2)',
          '3 mistakes in the configuration',
        ],
      })
    }
  })
})

describe('token', () => {
  test('is signed with the configured secret, by the configured names', async () => {
    const env = { PARLEY_AUTH_JWT_SECRET: 'hunter2', PARLEY_AUTH_JWT_ISSUER: 'me', PARLEY_AUTH_JWT_AUDIENCE: 'you', PARLEY_AUTH_JWT_USER_CLAIM: 'uid', PARLEY_AUTH_JWT_DEVICE_CLAIM: 'device' }
    const { code, out } = await parley(['token', 'auth0|bob', '--device', 'phone/1', '--ttl', '30d', '--admin'], { env })
    const { payload } = await jwtVerify(out.trim(), new TextEncoder().encode('hunter2'), { issuer: 'me', audience: 'you', algorithms: ['HS256'] })
    expect({ code, ...payload }).toMatchObject({ code: 0, sub: 'auth0|bob', uid: 'auth0|bob', device: 'phone/1', scope: 'admin' })
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(30 * 86_400)
  })

  test('is signed with the generated secret otherwise, for an hour, no admin', async () => {
    const { out } = await parley(['token', 'bob'])
    const secret = readFileSync(join(folder, 'data/jwt-secret'), 'utf8').trim()
    const { payload } = await jwtVerify(out.trim(), new TextEncoder().encode(secret))
    expect(Object.keys(payload).sort()).toEqual(['exp', 'iat', 'sub'])
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3600)
    expect(decodeJwt((await parley(['token', 'eve', '--data-dir', 'data'])).out.trim()).sub).toBe('eve')
  })

  test('is good whichever of several first processes made the secret', async () => {
    const tokens = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map(async (user) => (await parley(['token', user])).out.trim()))
    const secret = new TextEncoder().encode(readFileSync(join(folder, 'data/jwt-secret'), 'utf8').trim())
    const users = await Promise.all(tokens.map(async (token) => (await jwtVerify(token, secret)).payload.sub))
    expect(users.join('')).toBe('abcdef')
    expect(readdirSync(join(folder, 'data'))).toEqual(['jwt-secret'])
  })

  test('is refused where only public keys are known', async () => {
    writeFileSync(join(folder, 'k.pem'), 'x')
    expect(await parley(['token', 'bob', '--auth-jwt-public-key-file', 'k.pem'])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('no secret') })
  })

  test('1 when the generated secret is damaged', async () => {
    writeFileSync(join(folder, 'jwt-secret'), 'abc')
    expect(await parley(['token', 'bob', '--data-dir', '.'])).toMatchObject({ code: 1, out: '', err: expect.stringContaining('is damaged') })
  })
})

describe('hash', () => {
  const verify = (phc: string, password: string): boolean => {
    const [, name, parameters, salt = '', wanted = ''] = phc.split('$')
    expect([name, parameters]).toEqual(['scrypt', 'ln=15,r=8,p=1'])
    return scryptSync(password, Buffer.from(salt, 'base64'), 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 1 << 26 }).toString('base64').replace(/=+$/, '') === wanted
  }

  test('of standard input, without the newline at its end, salted anew each time', async () => {
    const [first, second] = [await parley(['hash'], { input: 'pässword \n' }), await parley(['hash'], { input: 'pässword ' })]
    expect([first.code, second.code]).toEqual([0, 0])
    expect(first.out).not.toBe(second.out)
    expect([verify(first.out.trim(), 'pässword '), verify(second.out.trim(), 'pässword '), verify(first.out.trim(), 'other')]).toEqual([true, true, false])
    expect(first.out).not.toContain('=\n')
  })

  test.each(['', '\n', 'two\nlines'])('%j is no password', async (input) => {
    expect(await parley(['hash'], { input })).toMatchObject({ code: 2, out: '' })
  })
})
