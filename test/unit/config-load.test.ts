import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig, type LoadInput } from '../../broker/config/load.js'
import { allNames } from '../../broker/config/names.js'
import { showProblem } from '../../broker/config/problem.js'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'parley-config-')) })
afterEach(() => { rmSync(folder, { recursive: true }) })

/** Writes files (`etc/parley.yaml`) into the test's folder. */
const write = (name: string, content: string): string => {
  const file = join(folder, name)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, content)
  return file
}
const load = (input: Partial<LoadInput> = {}) => loadConfig({ env: {}, cwd: folder, ...input })
const shown = (input: Partial<LoadInput>): string[] => load(input).problems.map(showProblem)
/** The configuration of an input without mistakes. */
const fine = (input: Partial<LoadInput> = {}) => {
  const { config, problems } = load(input)
  expect(problems.map(showProblem)).toEqual([])
  return config
}

describe('defaults', () => {
  test('are those of the contract with operators', () => {
    const config = fine()
    expect(config.dataDir).toBe(join(folder, 'data'))
    expect(config.listeners.map(({ protocol, host, port }) => `${protocol} ${host} ${port}`)).toEqual(
      ['mqtt 127.0.0.1 1883', 'mqtt ::1 1883', 'ws 127.0.0.1 8083', 'ws ::1 8083'])
    expect(config.listeners.filter(({ optional }) => optional === true).map(({ host }) => host)).toEqual(['::1', '::1'])
    expect(config.http).toEqual({ host: '127.0.0.1', port: 8080, cors: [] })
    expect(config.auth).toEqual({ dev: true, jwt: { userClaim: 'sub', deviceClaim: 'dev', requireExp: true, clockToleranceMs: 1000 }, ticket: { ttlSeconds: 0 } })
    expect(config.limits).toEqual({
      messageBytes: 65536, inFlight: 32, replay: 200, replayTotal: 5000, connectionsPerUser: 20, devicesPerUser: 50,
      connectsPerMinute: 120, publishPerSecond: 50, groupMembers: 100000, receiptMembers: 100, queuedMessages: 1000,
      retainedMessages: 100000, sessionExpirySeconds: 2592000, keepAliveMinSeconds: 0, keepAliveMaxSeconds: 1200,
    })
    expect([config.users, config.retention, config.drain, config.log, config.acl, config.plugins]).toEqual(
      [{ unknown: 'store' }, { days: 0, perConversation: 0, deviceDays: 90 }, { timeoutMs: 25000, perSecond: 200 }, { level: 'info' }, [], []])
    expect([config.mongo, config.redis, config.admin]).toEqual([undefined, undefined, undefined])
  })

  test('sign-in by name alone ends as soon as a way to sign in is there, even an empty block', () => {
    for (const auth of ['jwt: {}', 'jwt:', 'jwt: { secret: x }', 'dev: false']) expect(fine({ file: write('a.yaml', `auth:\n  ${auth}\n`) }).auth.dev).toBe(false)
    for (const auth of ['', '  ticket: { ttlSeconds: 5 }']) expect(fine({ file: write('a.yaml', `auth:\n${auth}\n`) }).auth.dev).toBe(true)
    expect(fine({ env: { PARLEY_AUTH_JWT_SECRET: 's' } }).auth.dev).toBe(false)
  })
})

describe('order', () => {
  test('file, then environment, then flags; the last wins, key by key', () => {
    const file = write('parley.yaml', 'limits: { messageBytes: 1, inFlight: 2, replay: 3 }\nlog: { level: warn }\n')
    const { config, sources } = load({ file, env: { PARLEY_LIMITS_IN_FLIGHT: '20', PARLEY_LIMITS_REPLAY: '30' }, flags: { 'limits-replay': '300' } })
    expect(config.limits).toMatchObject({ messageBytes: 1, inFlight: 20, replay: 300, replayTotal: 5000 })
    expect(sources.get('limits.messageBytes')).toEqual({ from: 'file', name: 'parley.yaml', line: 1 })
    expect(sources.get('log.level')).toEqual({ from: 'file', name: 'parley.yaml', line: 2 })
    expect(sources.get('limits.inFlight')).toEqual({ from: 'environment', name: 'PARLEY_LIMITS_IN_FLIGHT' })
    expect(sources.get('limits.replay')).toEqual({ from: 'flag', name: '--limits-replay' })
    expect(sources.has('limits.replayTotal')).toBe(false)
  })

  test('a block given as JSON is merged, and a single key of it wins over it', () => {
    const file = write('parley.json', '{"limits": {"messageBytes": 1, "replay": 7}}')
    const { limits } = fine({ file, env: { PARLEY_LIMITS_MESSAGE_BYTES: '3', PARLEY_LIMITS: '{"messageBytes": 2, "inFlight": 9}' } })
    expect(limits).toMatchObject({ messageBytes: 3, inFlight: 9, replay: 7 })
  })

  test('a list is replaced whole', () => {
    const file = write('parley.yaml', 'listeners:\n  - { protocol: ws, host: 127.0.0.1, port: 1 }\n')
    const { listeners } = fine({ file, env: { PARLEY_LISTENERS: '[{"protocol":"mqtt","host":"::1","port":2}]' } })
    expect(listeners).toEqual([{ protocol: 'mqtt', host: '::1', port: 2, proxyProtocol: false, path: '/mqtt', origins: [], pingSeconds: 45 }])
  })

  test('paths are relative to the file, else to the working directory', () => {
    const file = write('etc/parley.yaml', 'dataDir: ../var\nplugins: [./mine.js, some-package, /abs.js]\n')
    const config = fine({ file: 'etc/parley.yaml' })
    expect(config.dataDir).toBe(join(folder, 'var'))
    expect(config.plugins).toEqual([{ use: join(folder, 'etc/mine.js') }, { use: 'some-package' }, { use: '/abs.js' }])
    expect(fine({ file, env: { PARLEY_DATA_DIR: 'here' } }).dataDir).toBe(join(folder, 'here'))
    expect(fine({ file, flags: { 'data-dir': '../there' } }).dataDir).toBe(join(folder, '../there'))
  })
})

describe('environment', () => {
  test('names follow from the schema', () => {
    const names = allNames().map(({ environment }) => environment)
    expect(names).toEqual(expect.arrayContaining([
      'PARLEY_MONGO_URL', 'PARLEY_LIMITS_MESSAGE_BYTES', 'PARLEY_LISTENERS', 'PARLEY_AUTH_JWT_PUBLIC_KEY_FILE',
      'PARLEY_AUTH_STATIC_FILE', 'PARLEY_HTTP_ADMIN_KEY', 'PARLEY_DATA_DIR', 'PARLEY_PUSH_BAIDU_SPP_BASE_URL', 'PARLEY_AUTH']))
    expect(new Set(names).size).toBe(names.length)
  })

  test('scalars are read by the type of their key', () => {
    const config = fine({ env: { PARLEY_HTTP_PORT: '81', PARLEY_AUTH_JWT_REQUIRE_EXP: 'false', PARLEY_AUTH_JWT_SECRET: '12345', PARLEY_HTTP_CORS: '["https://a"]' } })
    expect([config.http.port, config.auth.jwt.requireExp, config.auth.jwt.secret, config.http.cors]).toEqual([81, false, '12345', ['https://a']])
  })

  test('_FILE reads the value from a file, without the newline at its end', () => {
    write('secret', 'hunter2\n')
    write('limits', '{"inFlight": 3}\r\n')
    const config = fine({ env: { PARLEY_AUTH_JWT_SECRET_FILE: 'secret', PARLEY_LIMITS_FILE: join(folder, 'limits') } })
    expect([config.auth.jwt.secret, config.limits.inFlight]).toEqual(['hunter2', 3])
  })

  test('a name with _FILE that is a key itself is that key', () => {
    const file = write('jwt.pem', 'key')
    expect(fine({ env: { PARLEY_AUTH_JWT_PUBLIC_KEY_FILE: 'jwt.pem' } }).auth.jwt.publicKeyFile).toBe(file)
    write('pointer', 'jwt.pem\n')
    expect(fine({ env: { PARLEY_AUTH_JWT_PUBLIC_KEY_FILE_FILE: 'pointer' } }).auth.jwt.publicKeyFile).toBe(file)
  })

  test('what Kubernetes injects for a Service, and PARLEY_TEST_, is ignored', () => {
    fine({
      env: {
        PARLEY_SERVICE_HOST: '10.0.0.1', PARLEY_SERVICE_PORT: '1883', PARLEY_SERVICE_PORT_MQTT: '1883', PARLEY_PORT: 'tcp://10.0.0.1:1883',
        PARLEY_PORT_1883_TCP: 'tcp://10.0.0.1:1883', PARLEY_PORT_1883_TCP_PROTO: 'tcp', PARLEY_PORT_1883_TCP_PORT: '1883', PARLEY_PORT_1883_TCP_ADDR: '10.0.0.1',
        PARLEY_WS_SERVICE_HOST: '10.0.0.2', PARLEY_HTTP_PORT: 'tcp://10.0.0.2:8080', PARLEY_HTTP_PORT_8080_TCP_ADDR: '10.0.0.2', PARLEY_MY_DNS_PORT: 'udp://10.0.0.3:53',
        PARLEY_TEST_MONGO_URL: 'x', PATH: '/bin', NOT_PARLEY_X: '1',
      },
    })
  })

  test('anything else unknown, empty, twice or unreadable is refused', () => {
    expect(shown({
      env: {
        PARLEY_LIMITS_MESSAGE_BYTE: '1', PARLEY_XYZZY_NOTHING_LIKE_IT: '1', PARLEY_LOG_LEVEL: '', PARLEY_LISTENERS: '[secret', PARLEY_LIMITS_REPLAY: '1.5',
        PARLEY_AUTH_JWT_SECRET_FILE: '/nowhere/at/all', PARLEY_HTTP_ADMIN_KEY: 'a', PARLEY_HTTP_ADMIN_KEY_FILE: 'b', PARLEY_PORT: '1883',
      },
    })).toEqual([
      'PARLEY_LIMITS_MESSAGE_BYTE: unknown name; did you mean PARLEY_LIMITS_MESSAGE_BYTES?',
      'PARLEY_XYZZY_NOTHING_LIKE_IT: unknown name',
      'PARLEY_LOG_LEVEL: is set but empty: give a value, or unset it',
      'PARLEY_LISTENERS: should be a list written as JSON',
      'PARLEY_AUTH_JWT_SECRET_FILE: the file that it names: there is no such file',
      'PARLEY_HTTP_ADMIN_KEY_FILE: and PARLEY_HTTP_ADMIN_KEY are both set: keep one',
      'PARLEY_PORT: unknown name; did you mean PARLEY_HTTP_PORT?',
      'limits.replay: should be a whole number from 0 to 1000000, is the text "1.5" (PARLEY_LIMITS_REPLAY)',
    ])
  })
})

describe('mistakes in a file', () => {
  test('all are told at once, with path, nearest key and line', () => {
    const file = write('parley.yaml', [
      'messageBytes: 5',
      'limits:',
      '  messageByte: 1',
      '  in_flight: 3',
      '  inFlight: 0',
      '  replay: "5"',
      'listeners:',
      '  - { protocol: mqtt, host: 127.0.0.1, prot: 1 }',
      '  - 5',
      'log: { level: inof }',
      'users: [reject]',
      'auth: { jwt: { secret: 123456789, issuer: yes } }',
      'drian: {}',
    ].join('\n'))
    expect(shown({ file })).toEqual([
      'messageBytes: unknown key; did you mean limits.messageBytes? (parley.yaml:1)',
      'limits.messageByte: unknown key; did you mean limits.messageBytes? (parley.yaml:3)',
      'limits.in_flight: unknown key; did you mean limits.inFlight? (parley.yaml:4)',
      'limits.inFlight: should be a whole number from 1 to 65535, is the number 0 (parley.yaml:5)',
      'limits.replay: should be a whole number from 0 to 1000000, is the text "5" (parley.yaml:6)',
      'listeners[0].prot: unknown key (known here: protocol, host, port, proxyProtocol, path, origins, pingSeconds, cert, key, clientCa, clientCert); did you mean listeners[0].port? (parley.yaml:8)',
      'listeners[1]: should be a block of keys, is a number (parley.yaml:9)',
      'log.level: should be one of trace, debug, info, warn, error, fatal, silent, is the text "inof"; did you mean info? (parley.yaml:10)',
      'users: should be a block of keys, is a list (parley.yaml:11)',
      'auth.jwt.secret: should be a text, is a number: put it in quotes (parley.yaml:12)',
      'drian: unknown key; did you mean drain? (parley.yaml:13)',
      'listeners[0].port: is required (parley.yaml:8)',
    ])
  })

  test('the loader\'s own field is no key', () => {
    const file = write('a.yaml', 'listeners: [{ protocol: mqtt, host: 127.0.0.1, port: 1, optional: true }]\n')
    expect(load({ file }).problems.map(({ path }) => path)).toEqual(['listeners[0].optional'])
  })

  test('a missing file, a folder, an empty file', () => {
    expect(shown({ file: 'nope.yaml' })).toEqual(['nope.yaml: there is no such file'])
    expect(shown({ file: '.' })[0]).toMatch(/is a folder, not a file$/)
    fine({ file: write('empty.yaml', '# nothing\n') })
  })
})
