import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { Registry } from 'prom-client'
import { httpApi } from '../../broker/api/http.js'
import { errorCodes } from '../../broker/domain/errors.js'
import { Bystanders } from '../support/bystanders.js'
import { Door } from '../support/door.js'
import { fill } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { recordingLogger } from '../support/recording-logger.js'

afterEach(closeAll)

const metrics = async (p: Parley): Promise<string> => await (await p.http('/metrics')).text()
/** The value of one sample, labels and all. */
async function value (p: Parley, sample: string): Promise<number> {
  const line = (await metrics(p)).split('\n').find(l => l.startsWith(`${sample} `))
  return line === undefined ? 0 : Number(line.slice(sample.length + 1))
}

test('healthz: alive; readyz: every part works', async () => {
  const p = await startParley()
  const health = await p.http('/healthz')
  expect([health.status, await health.json()]).toEqual([200, { ok: true }])
  const ready = await p.http('/readyz')
  expect(ready.status).toBe(200)
  expect(await ready.json()).toEqual({ ok: true, parts: [{ name: 'store', ok: true }, { name: 'node', ok: true }] })
})

test('docs/metrics.md lists exactly what is exposed', async () => {
  const p = await startParley()
  const page = [...readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8').matchAll(/^\| (`.*?) \| (\w+) \|/gm)]
    .flatMap(([, names, type]) => [...names!.matchAll(/`(\w+)`/g)].map(([, name]) => `${name} ${type}`))
  const exposed = [...(await metrics(p)).matchAll(/^# TYPE (\w+ \w+)$/gm)].map(([, of]) => of!)
  const onLinuxOnly = process.platform === 'linux' ? [] : page.filter(of => /process_(open_fds|max_fds|virtual|heap)/.test(of))
  expect([...exposed, ...onLinuxOnly].sort()).toEqual([...page].sort())
})

test('metrics count what happens', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', version: 5, subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', acks: false, subscribe: ['me/#'] })
  const silent = await p.client({ user: 'carol' })
  silent.destroy()
  await silent.untilClosed()
  await fill(alice, 'u/bob/msg', 3)
  await alice.say('u/bob/raw', 'x')
  alice.publish('u/bob/sig', { typing: true }, { qos: 0 })
  await alice.say('u/bob/rcpt', { read: 1 })
  await alice.say('state', { active: true })
  await alice.rpc('server.info')
  await alice.say('u/bob/msg', '{')
  await alice.say('g/nowhere/msg', { body: 1 })
  await alice.say('ordinary', 'x')
  await bob.got('me/msg', 4)
  expect({
    connections: await value(p, 'parley_connections'), total: await value(p, 'parley_connections_total'), sessions: await value(p, 'parley_sessions'),
    msg: await value(p, 'parley_publishes_total{kind="msg"}'), raw: await value(p, 'parley_publishes_total{kind="raw"}'), sig: await value(p, 'parley_publishes_total{kind="sig"}'),
    rcpt: await value(p, 'parley_publishes_total{kind="rcpt"}'), state: await value(p, 'parley_publishes_total{kind="state"}'), rpc: await value(p, 'parley_publishes_total{kind="rpc"}'),
    bad: await value(p, 'parley_refused_total{code="bad-request"}'), notMember: await value(p, 'parley_refused_total{code="not-member"}') + await value(p, 'parley_refused_total{code="not-found"}'),
    forbidden: await value(p, 'parley_refused_total{code="forbidden"}'),
    appends: await value(p, 'parley_append_seconds_count'), deliveries: await value(p, 'parley_deliveries_total'), inFlight: await value(p, 'parley_in_flight'), caughtUp: await value(p, 'parley_catch_up_deliveries_total')
  }).toEqual({ connections: 2, total: 3, sessions: 2, msg: 5, raw: 1, sig: 1, rcpt: 1, state: 1, rpc: 1, bad: 1, notMember: 1, forbidden: 1, appends: 4, deliveries: 4, inFlight: 4, caughtUp: 0 })
  const late = await p.client({ user: 'bob', device: 'late', subscribe: ['me/#'] })
  await late.got('me/msg', 4)
  expect(await value(p, 'parley_catch_up_deliveries_total')).toBe(4)
  for (const [, code] of (await metrics(p)).matchAll(/parley_refused_total\{code="(.*?)"\}/g)) expect(errorCodes).toContain(code)
})

test('a plugin that fails is counted', async () => {
  const door = new Door()
  try {
    const p = await startParley(door.settings)
    door.answer = () => { throw new Error('for a test') }
    await expect(p.client({ user: 'alice' })).rejects.toThrow('closed')
    expect(await value(p, 'parley_plugin_failures_total{plugin="door",hook="authenticate",kind="error"}')).toBe(1)
  } finally { door.remove() }
})

test.each([
  ['another path', 'GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 404, 426],
  ['another method', 'POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', 404, 426],
  ['a path that is no URL', 'GET /%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400, 426],
  ['a body that is no JSON', 'POST /v1/send HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{', 400, 426],
  ['two lengths', 'POST /v1/send HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}', 400, 400],
  ['length and chunks', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400, 400],
  ['headers without end', `GET / HTTP/1.1\r\nHost: x\r\n${'a: bbbbbbbb\r\n'.repeat(5000)}`, 431, 431],
  ['no HTTP', '\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0', 400, 400],
  ['an upgrade to something else', 'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n', 400, 400],
  ['an upgrade without a key', 'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n', 400, 400],
  ['an upgrade of version 7', 'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n', 400, 400],
  ['an upgrade elsewhere', 'GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n', 404, 404]
])('%s is refused, on the HTTP port and on the ws port, and harms nobody', async (_name, request, onHttp, onWs) => {
  const p = await startParley({ listeners: [{ protocol: 'mqtt', host: '127.0.0.1', port: 0 }, { protocol: 'ws', host: '127.0.0.1', port: 0 }] })
  const by = await Bystanders.join(p)
  for (const protocol of ['http', 'ws']) {
    const socket = connect(p.port(protocol), '127.0.0.1')
    let answer = ''
    socket.on('data', b => { answer += b.toString() })
    socket.on('error', () => {})
    socket.write(request, 'latin1')
    await new Promise<void>(resolve => { socket.on('close', () => { resolve() }) })
    expect([protocol, answer.slice(9, 12)]).toEqual([protocol, String(protocol === 'http' ? onHttp : onWs)]) // 426: this port is for WebSockets
  }
  await by.unharmed()
})

test('a request that is never finished, and a socket on which nothing moves, have an end', async () => {
  const { server } = httpApi({ parts: () => [], metrics: new Registry(), logger: recordingLogger() })
  expect([server.requestTimeout, server.timeout]).toEqual([30_000, 60_000])
})
