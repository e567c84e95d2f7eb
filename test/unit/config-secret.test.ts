import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../broker/config/load.js'
import { redact, redactUrl } from '../../broker/config/redact.js'
import type { Config } from '../../broker/config/schema.js'
import { ensureSecret, signingSecret } from '../../broker/config/secret.js'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'parley-secret-')) })
afterEach(() => { rmSync(folder, { recursive: true }) })

const configOf = (env: Record<string, string>): Config => loadConfig({ env, cwd: folder }).config

describe('the generated secret', () => {
  test('is made once, for its owner alone, with 32 random bytes', () => {
    const dataDir = join(folder, 'a/b')
    const secret = ensureSecret(dataDir)
    expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
    expect(ensureSecret(dataDir)).toBe(secret)
    expect(readdirSync(dataDir)).toEqual(['jwt-secret'])
    expect(statSync(join(dataDir, 'jwt-secret')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(dataDir, 'jwt-secret'), 'utf8')).toBe(`${secret}\n`)
  })

  test('that was cut short is told, not replaced', () => {
    writeFileSync(join(folder, 'jwt-secret'), 'abc')
    expect(() => ensureSecret(folder)).toThrow(/is damaged/)
  })

  test('is used only where neither secret nor keys are configured', () => {
    expect(signingSecret(configOf({}))).toBe(ensureSecret(join(folder, 'data')))
    expect(signingSecret(configOf({ PARLEY_AUTH_JWT_SECRET: 'mine' }))).toBe('mine')
    writeFileSync(join(folder, 'k.pem'), '')
    expect(signingSecret(configOf({ PARLEY_AUTH_JWT_PUBLIC_KEY_FILE: 'k.pem' }))).toBeUndefined()
  })
})

describe('printing a configuration', () => {
  test('hides every secret and keeps the rest', () => {
    mkdirSync(join(folder, 'x'))
    const config = configOf({
      PARLEY_AUTH_JWT_SECRET: 'hunter2', PARLEY_HTTP_ADMIN_KEY: 'hunter2', PARLEY_MONGO_URL: 'mongodb://me:hunter2@h/p?replicaSet=rs0',
      PARLEY_REDIS_URL: 'rediss://:hunter2@h', PARLEY_PUSH: '{"fcm": {"key": "hunter2"}, "webhook": {"url": "https://h/?token=hunter2", "secret": "hunter2"}}',
    })
    const printed = JSON.stringify(redact(config))
    expect(JSON.stringify(config)).toContain('hunter2')
    expect(printed).not.toContain('hunter2')
    expect(redact(config)).toMatchObject({ mongo: { url: 'mongodb://[hidden]@h/p?replicaSet=rs0' }, http: { port: 8080, adminKey: '[hidden]' }, listeners: config.listeners })
  })

  test.each([
    ['redis://h:1', 'redis://h:1'],
    ['mongodb://u:p/a@b@h1,h2/x?authSource=admin&tlsCertificateKeyFilePassword=p', 'mongodb://[hidden]@h1,h2/x?authSource=[hidden]&tlsCertificateKeyFilePassword=[hidden]'],
    ['https://h/push?Key=a&x=1#f', 'https://h/push?Key=[hidden]&x=1#f'],
  ])('%s', (url, printed) => { expect(redactUrl(url)).toBe(printed) })
})
