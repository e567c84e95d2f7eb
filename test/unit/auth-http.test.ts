import type { ServerResponse } from 'node:http'
import type { Credentials, Verdict } from '../../broker/domain/identity.js'
import type { DeviceId } from '../../broker/domain/ids.js'
import type { Hooks, Host } from '../../broker/plugin.js'
import { webClient } from '../../broker/web-client.js'
import authHttp from '../../plugins/auth-http/index.js'
import { Backend } from '../support/backend.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

let backend: Backend
beforeEach(async () => { backend = await new Backend().start() })
afterEach(async () => { await backend.stop() })

function setUp (more: object = {}) {
  const clock = new FakeClock()
  const logger = recordingLogger()
  const hooks = authHttp.setup({ clock, logger, request: webClient(clock) } as unknown as Host, { url: backend.url, timeoutMs: 3000, cacheMs: 60_000, ...more }) as Hooks
  const ask = async (password: string | Buffer | undefined, c: Partial<Credentials> = {}): Promise<Verdict> =>
    await hooks.authenticate!({ user: 'anna', password: password === undefined ? undefined : Buffer.from(password), device: 'phone' as DeviceId, address: '192.0.2.1', listener: 'mqtts:8883', ...c })
  return { clock, logger, ask }
}
const accepted = (more: object = {}): unknown => ({ kind: 'accepted', identity: { user: 'anna', admin: false, expiresMs: 0, ...more } })
const down = (why: RegExp): unknown => ({ kind: 'down', why: expect.stringMatching(why) })

test('what is asked: POST of JSON, with credentials of the URL as Basic', async () => {
  backend.says(200, { user: 'anna' })
  const { ask } = setUp({ url: backend.url.replace('//', '//parley:s%40cret@') })
  expect(await ask('pass wörd')).toEqual(accepted())
  await ask('x', { user: undefined, device: undefined, listener: 'http' })
  expect(backend.asked.map(a => [a.method, a.headers['content-type'], a.headers.authorization])).toEqual(Array(2).fill(['POST', 'application/json', `Basic ${Buffer.from('parley:s@cret').toString('base64')}`]))
  expect(backend.asked.map(a => JSON.parse(a.body) as unknown)).toEqual([
    { user: 'anna', password: 'pass wörd', device: 'phone', address: '192.0.2.1', listener: 'mqtts:8883' },
    { password: 'x', address: '192.0.2.1', listener: 'http' }
  ])
})

test('what it answers: user, scope, rules, end', async () => {
  const { ask, clock } = setUp({ cacheMs: 0 })
  const acl = [{ allow: ['publish'], topic: 'a/%u' }]
  const exp = clock.now() / 1000 + 60
  backend.says(200, { user: 'u-17', scope: 'chat admin', acl, exp, more: 1 })
  expect(await ask('p')).toEqual({ kind: 'accepted', identity: { user: 'u-17', admin: true, expiresMs: exp * 1000, acl } })
  backend.says(401, 'no')
  expect(await ask('p')).toMatchObject({ kind: 'refused', reason: 'credential' })
  backend.says(403, '')
  expect(await ask('q')).toMatchObject({ kind: 'refused', reason: 'forbidden' })
  backend.says(200, { user: 'anna', exp: exp - 61 })
  expect(await ask('r')).toMatchObject({ kind: 'refused', reason: 'credential' })
})

test.each<[string, number, unknown, RegExp]>([
  ['500', 500, { user: 'anna' }, /answered 500/], ['404', 404, '', /answered 404/], ['204', 204, '', /answered 204/],
  ['a redirect', 302, '', /answered 302/],
  ['no JSON', 200, '<html>', /no JSON/], ['JSON that is no object', 200, '["anna"]', /no JSON object/], ['null', 200, 'null', /no JSON object/],
  ['no user', 200, {}, /user, the user id, is missing/], ['an odd user', 200, { user: 'a/b' }, /user holds "\/"/], ['a number', 200, { user: 7 }, /no string/],
  ['exp in ms', 200, { user: 'anna', exp: 1_800_000_000_000 }, /milliseconds/], ['exp 1e300', 200, '{"user":"anna","exp":1e300}', /milliseconds/], ['exp as text', 200, { user: 'anna', exp: '1800000000' }, /no number/],
  ['rules that are none', 200, { user: 'anna', acl: [{ allow: ['all'], topic: '#' }] }, /acl\[0\] allow/],
  ['too much', 200, { user: 'anna', fill: 'x'.repeat(70_000) }, /too much/]
])('a backend that answers %s is down, not a wrong password', async (_name, status, body, why) => {
  backend.says(status, body)
  expect(await setUp().ask('p')).toEqual(down(why))
})

test.each<[string, (r: ServerResponse) => void, RegExp]>([
  ['closes', r => { r.destroy() }, /backend: /],
  ['answers half', r => { r.writeHead(200, { 'content-length': '100' }).write('{'); setImmediate(() => r.destroy()) }, /backend: /],
  ['redirects for ever', r => { r.writeHead(307, { location: '/auth' }).end() }, /answered 307/],
  ['sends without end', r => { r.writeHead(200); const on = (): void => { if (!r.destroyed) r.write('x'.repeat(9000), () => { setImmediate(on) }) }; on() }, /too much/]
])('a backend that %s is down', async (_name, answer, why) => {
  backend.answer = answer
  expect(await setUp().ask('p')).toEqual(down(why))
  expect(backend.asked).toHaveLength(1)
})

test.each<[string, (r: ServerResponse) => void]>([
  ['never answers', () => {}], ['begins and never ends', r => { r.writeHead(200).write('{"user":') }]
])('a backend that %s is down when the time is over', async (_name, answer) => {
  backend.answer = answer
  const { ask, clock } = setUp()
  const verdict = ask('p')
  await backend.wasAsked(1)
  clock.advance(3000)
  expect(await verdict).toEqual(down(/no answer within 3000 ms/))
  expect(clock.waiting).toBe(0)
})

test('down and back are logged once each, without the password', async () => {
  const { ask, logger } = setUp()
  backend.says(500, '')
  for (let i = 0; i < 5; i++) await ask(`hunter${i}`)
  backend.says(200, { user: 'anna' })
  for (let i = 0; i < 5; i++) await ask(`hunter${i}`)
  expect(logger.lines.map(l => l.level)).toEqual(['warn', 'info'])
  expect(JSON.stringify(logger.lines)).not.toContain('hunter')
})

describe('memory', () => {
  test('a good answer is used again for cacheMs, for the same question only, and not past its end', async () => {
    const { ask, clock } = setUp()
    backend.says(200, { user: 'anna' })
    for (let i = 0; i < 3; i++) expect(await ask('p')).toEqual(accepted())
    expect(backend.asked).toHaveLength(1)
    await ask('q'); await ask('p', { user: 'bob' }); await ask('p', { device: 'tablet' as DeviceId }); await ask('p', { address: '192.0.2.2' }); await ask('p', { listener: 'ws:1' })
    expect(backend.asked).toHaveLength(6)
    clock.advance(60_000)
    backend.says(200, { user: 'anna', exp: clock.now() / 1000 + 5 })
    await ask('p')
    clock.advance(4999)
    await ask('p')
    expect(backend.asked).toHaveLength(7)
    clock.advance(1)
    backend.says(401, '')
    expect((await ask('p')).kind).toBe('refused')
  })

  test('cacheMs 0: each sign-in asks', async () => {
    const { ask } = setUp({ cacheMs: 0 })
    backend.says(200, { user: 'anna' })
    await ask('p'); await ask('p')
    expect(backend.asked).toHaveLength(2)
  })

  test('an expired credential replayed for ever does not reach the backend, for half a minute each time', async () => {
    const { ask, clock } = setUp()
    backend.says(401, '')
    for (let s = 0; s < 29; s++) { expect((await ask('old')).kind).toBe('refused'); clock.advance(1000) }
    expect(backend.asked).toHaveLength(1)
    clock.advance(1000)
    backend.says(200, { user: 'anna' })
    expect(await ask('old')).toEqual(accepted())
  })

  test('that the backend was down is not remembered', async () => {
    const { ask } = setUp()
    backend.says(503, '')
    expect((await ask('p')).kind).toBe('down')
    backend.says(200, { user: 'anna' })
    expect(await ask('p')).toEqual(accepted())
  })

  test('the same question while it is under way is asked once', async () => {
    let release: () => void = () => {}
    const { ask } = setUp()
    backend.answer = r => { release = () => { r.end('{"user":"anna"}') } }
    const all = Array.from({ length: 20 }, () => ask('p'))
    await backend.wasAsked(1)
    release()
    expect(await Promise.all(all)).toEqual(Array(20).fill(accepted()))
    expect(backend.asked).toHaveLength(1)
  })
})

test('a bounded number is asked at a time; those that waited too long are told, unasked', async () => {
  backend.answer = () => {}
  const { ask, clock } = setUp()
  const all = Array.from({ length: 2100 }, (_, i) => ask(`p${i}`, { address: `10.0.0.${i % 10}` }))
  await backend.wasAsked(50)
  clock.advance(3000)
  const why = (await Promise.all(all)).map(v => v.kind === 'down' ? v.why : v.kind)
  expect([backend.asked.length, backend.mostOpen]).toEqual([50, 50])
  expect([/no answer/, /was not asked/, /too many/].map(w => why.filter(x => w.test(x)).length)).toEqual([50, 2000, 50])
})

test('what is not asked: nothing to ask about, too long, no text', async () => {
  const { ask } = setUp()
  expect([await ask(undefined), await ask('')]).toEqual(Array(2).fill({ kind: 'not-mine' }))
  expect(await ask('x'.repeat(64 << 10))).toMatchObject({ kind: 'refused', reason: 'credential' })
  expect(await ask(Buffer.from([0xff, 0xfe]))).toMatchObject({ kind: 'refused', reason: 'credential' })
  expect(backend.asked).toHaveLength(0)
})
