import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../broker/config/load.js'
import { notYet, notYetIn } from '../../broker/config/not-yet.js'
import { showProblem } from '../../broker/config/problem.js'

// Made for this test with `openssl req -x509`, CN=localhost, good until 2126; the key guards nothing.
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaNM9aecrgdsY1SjC
MFw3jZXbLPvPwAxtwt0Si6ffzRShRANCAARvvOzaQOQDlL684gURHx7KHZPua9wb
Ijn7GqtMHNu+WcVbw2IEGcL0gLnwxFN0Gc+/2GdbAmP4znmnlIYJV8dy
-----END PRIVATE KEY-----
`
const cert = `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUHF/lHYDajjxKWFA0piFq8LkjUncwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTA0MDQwMFoYDzIxMjYxMTAx
MDQwNDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARvvOzaQOQDlL684gURHx7KHZPua9wbIjn7GqtMHNu+WcVbw2IEGcL0
gLnwxFN0Gc+/2GdbAmP4znmnlIYJV8dyo1MwUTAdBgNVHQ4EFgQURxxpIDOsy5IN
M78+oyF0ztwDjEkwHwYDVR0jBBgwFoAURxxpIDOsy5INM78+oyF0ztwDjEkwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA3VkJTpNwczto3pOFouW4
mB8QlPjeTaEAA85CcFSBcNcCIBcSx8oHM3qsw9tRNrEdyiw8k1BvB5ncPs8uYLPq
/I+e
-----END CERTIFICATE-----
`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-config-'))
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  for (const [name, content] of Object.entries({ 'tls.crt': cert, 'tls.key': key, 'other.key': other, 'no.pem': 'hello' })) writeFileSync(join(folder, name), content)
})
afterAll(() => { rmSync(folder, { recursive: true }) })

const problemsOf = (content: object): string[] => {
  const file = join(folder, 'parley.json')
  writeFileSync(file, JSON.stringify(content))
  return loadConfig({ file, env: {}, cwd: folder }).problems.map((problem) => showProblem(problem).replace(/ \(parley\.json:1\)$/, '').replaceAll(`${folder}/`, ''))
}
const listener = (more: object): object => ({ protocol: 'mqtt', host: '127.0.0.1', port: 1883, ...more })

describe('certificates', () => {
  const tls = (more: object) => problemsOf({ listeners: [listener({ protocol: 'mqtts', ...more })] })

  test('a matching pair is fine', () => { expect(tls({ cert: 'tls.crt', key: 'tls.key' })).toEqual([]) })
  test('both are required', () => {
    expect(tls({})).toEqual(['listeners[0].cert: is required for mqtts', 'listeners[0].key: is required for mqtts'])
  })
  test('unreadable, wrong and mismatched ones are told', () => {
    expect(tls({ cert: 'nope.crt', key: 'nope.key' })).toEqual(['listeners[0].cert: nope.crt: there is no such file', 'listeners[0].key: nope.key: there is no such file'])
    expect(tls({ cert: 'no.pem', key: 'no.pem' })).toEqual(['listeners[0].cert: holds no certificate (PEM)', 'listeners[0].key: holds no private key (PEM, without a passphrase)'])
    expect(tls({ cert: 'tls.crt', key: 'other.key' })).toEqual(['listeners[0].key: does not belong to the certificate in cert'])
  })
  test('on a plain listener they are refused: somebody believes it to be encrypted', () => {
    expect(problemsOf({ listeners: [listener({ cert: 'tls.crt', key: 'tls.key', path: '/x' })] })).toEqual([
      'listeners[0].cert: only mqtts and wss have this, the protocol here is mqtt',
      'listeners[0].key: only mqtts and wss have this, the protocol here is mqtt',
      'listeners[0].path: only ws and wss have this, the protocol here is mqtt',
    ])
  })
  test('clientCert needs clientCa', () => {
    expect(tls({ cert: 'tls.crt', key: 'tls.key', clientCert: 'optional' })).toEqual(['listeners[0].clientCert: needs clientCa, the authority to check with'])
  })
  test('clientCa holds certificates, all of them whole', () => {
    const problem = 'listeners[0].clientCa: holds no certificate (PEM), or one that is cut off'
    const pair = { cert: 'tls.crt', key: 'tls.key' }
    expect(tls({ ...pair, clientCa: 'tls.crt' })).toEqual([])
    expect(tls({ ...pair, clientCa: 'nope.crt' })).toEqual(['listeners[0].clientCa: nope.crt: there is no such file'])
    for (const content of ['', 'hello', key, cert + cert.slice(0, 300), cert.replace('MIIB', 'MIIX'), cert.replace('CERTIFICATE-----\n', 'CERTIFICATE-----\n***\n')]) {
      writeFileSync(join(folder, 'ca.crt'), content)
      expect([content, tls({ ...pair, clientCa: 'ca.crt' })]).toEqual([content, [problem]])
    }
    writeFileSync(join(folder, 'ca.crt'), `Subject: CN=localhost\n${cert}\n${cert}`)
    expect(tls({ ...pair, clientCa: 'ca.crt' })).toEqual([])
  })
  test('other files that are named have to be there', () => {
    expect(problemsOf({ auth: { jwt: { publicKeyFile: 'nope.pem' } } })).toEqual(['auth.jwt.publicKeyFile: nope.pem: there is no such file'])
    expect(problemsOf({ dataDir: 'tls.crt' })).toEqual(['dataDir: is a file, not a folder'])
    expect(problemsOf({ dataDir: 'tls.crt/below' })).toEqual(['dataDir: lies below a file, not a folder'])
  })
})

describe('sign-in by name alone', () => {
  const open = listener({ host: '0.0.0.0' })

  test.each(['127.0.0.1', '127.9.9.9', '::1', 'localhost', '::ffff:127.0.0.1'])('is fine on %s', (host) => {
    expect(problemsOf({ listeners: [listener({ host })], auth: { dev: true } })).toEqual([])
  })
  test.each(['0.0.0.0', '::', '192.168.1.1', 'example.org', '127.0.0.1.example.org'])('is refused on %s', (host) => {
    expect(problemsOf({ listeners: [listener({ host })], auth: { dev: true } }).join()).toMatch(/^auth\.dev: a user name alone signs in, which is refused while other machines can connect: listeners\[0\]/)
  })
  test('is refused when it is only the default, and when only http is open', () => {
    expect(problemsOf({ listeners: [open] }).join()).toMatch(/^auth: nothing is set.*listeners\[0\] \(0\.0\.0\.0:1883\)\. Set auth\.jwt/)
    expect(problemsOf({ http: { host: '0.0.0.0' } }).join()).toMatch(/^auth: .*http \(0\.0\.0\.0:8080\)/)
    expect(problemsOf({ listeners: [open], auth: { dev: true, jwt: {} } }).join()).toMatch(/^auth\.dev: /)
  })
  test('ends with tokens', () => { expect(problemsOf({ listeners: [open], auth: { jwt: {} } })).toEqual([]) })
})

describe('ports', () => {
  const taken = (a: string, b: string) => problemsOf({ auth: { jwt: {} }, listeners: [listener({ host: a }), listener({ host: b })] })

  test.each([['127.0.0.1', '127.0.0.1'], ['0.0.0.0', '127.0.0.1'], ['::', '0.0.0.0'], ['::', '127.0.0.1'], ['::1', '::'], ['Host', 'host']])('%s and %s collide', (a, b) => {
    expect(taken(a, b).join()).toMatch(/^listeners\[1\]\.port: .*:1883 is already taken by listeners\[0\]$/)
  })
  test.each([['127.0.0.1', '::1'], ['127.0.0.1', '127.0.0.2'], ['0.0.0.0', '::1']])('%s and %s do not', (a, b) => { expect(taken(a, b)).toEqual([]) })
  test('http counts, port 0 does not', () => {
    expect(problemsOf({ listeners: [listener({ port: 8080 })] })).toEqual(['http.port: 127.0.0.1:8080 is already taken by listeners[0]'])
    expect(problemsOf({ listeners: [listener({ port: 0 }), listener({ port: 0 })], http: { port: 0 } })).toEqual([])
  })
})

describe('limits', () => {
  test('0 means no limit, but not for messageBytes and inFlight', () => {
    const zero = { replayTotal: 0, connectionsPerUser: 0, devicesPerUser: 0, connectsPerMinute: 0, publishPerSecond: 0, groupMembers: 0, receiptMembers: 0, queuedMessages: 0, retainedMessages: 0, sessionExpirySeconds: 0, keepAliveMinSeconds: 0, keepAliveMaxSeconds: 0 }
    expect(problemsOf({ limits: zero })).toEqual([])
    expect(problemsOf({ limits: { messageBytes: 0, inFlight: 0 } })).toHaveLength(2)
  })
  test('the shortest keep-alive is not above the longest', () => {
    expect(problemsOf({ limits: { keepAliveMinSeconds: 60, keepAliveMaxSeconds: 30 } })).toEqual(['limits.keepAliveMinSeconds: is 60, more than limits.keepAliveMaxSeconds (30)'])
    expect(problemsOf({ limits: { keepAliveMinSeconds: 60, keepAliveMaxSeconds: 0 } })).toEqual([])
  })
})

describe('ways to sign in', () => {
  test('addresses have to be URLs; http:// is one', () => {
    expect(problemsOf({ auth: { jwt: { jwksUrl: 'http://' }, http: { url: 'https://a b' } } })).toEqual(['auth.jwt.jwksUrl: is no URL', 'auth.http.url: is no URL'])
    expect(problemsOf({ auth: { jwt: { jwksUrl: 'ftp://h' }, http: { url: 'h' } } }).map((line) => line.split(':')[0])).toEqual(['auth.jwt.jwksUrl', 'auth.http.url'])
    expect(problemsOf({ auth: { jwt: { jwksUrl: 'http://127.0.0.1:1/k' }, http: { url: 'http://u:p@127.0.0.1:1' } } })).toEqual([])
  })
  test('the users file has to be there', () => {
    expect(problemsOf({ auth: { static: { file: 'nope.yaml' } } })).toEqual(['auth.static.file: nope.yaml: there is no such file'])
  })
  test('certificates need a listener that checks them', () => {
    expect(problemsOf({ auth: { mtls: {} } })).toEqual(['auth.mtls: needs a listener with clientCa, the authority that client certificates are checked with'])
    expect(problemsOf({ auth: { mtls: { userFrom: 'proxy-cn' } } })).toEqual(['auth.mtls.userFrom: proxy-cn needs a listener with proxyProtocol'])
  })
  test('their order is that of the file, whatever the schema\'s', () => {
    const file = join(folder, 'order.json')
    const ways = (auth: object): string[] => {
      writeFileSync(file, JSON.stringify({ auth }))
      return Object.keys(loadConfig({ file, env: { PARLEY_AUTH_ANONYMOUS: 'guest' }, cwd: folder }).config.auth)
    }
    expect(ways({ static: { file: 'no.pem' }, http: { url: 'http://h' }, jwt: {} })).toEqual(['static', 'http', 'jwt', 'anonymous', 'dev', 'ticket'])
    expect(ways({ http: { url: 'http://h' } })).toEqual(['http', 'anonymous', 'dev', 'jwt', 'ticket'])
  })
})

describe('what this version cannot do', () => {
  test('is refused in a sentence, once each', () => {
    const content = {
      mongo: { url: 'mongodb://h/p' }, redis: { url: 'redis://h' }, admin: { port: 1 },
      auth: { jwt: { jwksUrl: 'https://h' }, http: { url: 'https://h' }, static: { file: 'no.pem' }, mtls: {}, anonymous: 'guest' },
      listeners: [listener({ protocol: 'mqtts', cert: 'tls.crt', key: 'tls.key', clientCa: 'tls.crt', proxyProtocol: true })],
      retention: { days: 1, perConversation: 1 }, push: { fcm: { projectId: 'p' } },
    }
    const asked = notYet.map(({ path }) => path.replace('[]', '[0]'))
    expect(problemsOf(content).filter((line) => line.endsWith(' is not in this version')).map((line) => line.split(':')[0])).toEqual(asked)
    expect(problemsOf(content)).toHaveLength(asked.length)
  })

  test('its defaults are no request for it', () => {
    expect(problemsOf({ acl: [], push: {}, retention: { days: 0, perConversation: 0, deviceDays: 5 }, listeners: [listener({ proxyProtocol: false })] })).toEqual([])
    expect(notYetIn({})).toEqual([])
  })
})

test('a rule allows or denies', () => {
  expect(problemsOf({ acl: [{ topic: 'x' }, { topic: 'x', allow: [], deny: [] }] }).slice(0, 2)).toEqual(['acl[0]: needs either allow or deny', 'acl[1]: needs either allow or deny'])
})

test('the anonymous user is a user', () => {
  expect(problemsOf({ auth: { anonymous: 'a b' } })[0]).toMatch(/^auth\.anonymous: is not a user id/)
})
