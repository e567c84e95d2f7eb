import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import { Bystanders } from '../support/bystanders.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let p: Parley
let by: Bystanders
beforeEach(async () => { p = await startParley(); by = await Bystanders.join(p) })
afterEach(async () => { await by.unharmed(); await closeAll() })

/** Writes the bytes and no more; all that comes back until the broker closes. */
async function asked (bytes: Buffer): Promise<string> {
  const socket = connect({ port: p.port('http'), host: '127.0.0.1', allowHalfOpen: true })
  const got: Buffer[] = []
  socket.on('data', (b: Buffer) => { got.push(b) })
  socket.on('error', () => {}) // it may be reset while we still write
  socket.end(bytes)
  await once(socket, 'close')
  return Buffer.concat(got).toString().replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '') // no answer yet
}

const text = fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom('', '/', 'x'.repeat(20_000), '\0', '\r\n', '%00', '%', '../', '%2e%2e', '__proto__', '\u00e9'))
const method = fc.oneof({ arbitrary: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT'), weight: 5 }, text)
const path = fc.oneof({ arbitrary: fc.constantFrom('/healthz', '/readyz', '/metrics', '/v1/history', '/v1/__proto__', '/mqtt', '*', 'http://x/readyz'), weight: 4 }, text.map(t => `/${t}`), fc.tuple(fc.constantFrom('/readyz', '/v1/inbox'), text).map(([at, t]) => `${at}?${t}`))
const header = fc.oneof(
  fc.constantFrom('Content-Length: 5', 'Content-Length: 0', 'Content-Length: -1', 'Content-Length: 99999999999999999999', 'Transfer-Encoding: chunked', 'Transfer-Encoding: x', 'Content-Type: application/json', 'Content-Type: __proto__', 'Authorization: Bearer x', 'Authorization: Bearer ' + 'x'.repeat(10_000),
    'X-Parley-User: alice', 'Upgrade: websocket', 'Connection: Upgrade', 'Connection: close', 'Expect: 100-continue', 'Accept-Encoding: gzip', 'Host: a', 'Host: b', 'Origin: http://evil.example', 'Sec-WebSocket-Key: x', 'Sec-WebSocket-Version: 13'),
  fc.tuple(fc.string({ maxLength: 10 }), text).map(([name, v]) => `${name}: ${v}`))
const body = fc.oneof(fc.constantFrom('', '{}', '{"__proto__":1}', '[', '5\r\nhello\r\n0\r\n\r\n', 'zz\r\n', '['.repeat(5000)), fc.string({ unit: 'binary', maxLength: 50 }))
const request = fc.tuple(method, path, fc.array(header, { maxLength: 5 }), body).map(([m, at, headers, b]) => Buffer.from(`${m} ${at} HTTP/1.1\r\n${['Host: x', ...headers].join('\r\n')}\r\n\r\n${b}`))

test('any request is answered with a status that is the asker’s own fault, or none', async () => {
  await fc.assert(fc.asyncProperty(fc.oneof({ arbitrary: request, weight: 8 }, fc.uint8Array({ maxLength: 200 }).map(b => Buffer.from(b))), async bytes => {
    const answer = await asked(bytes)
    if (answer === '') return
    expect(Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1])).toBeLessThan(500)
    const [, status, body] = /^HTTP\/1\.1 (\d{3}) .*?content-type: application\/json.*?\r\n\r\n(\{.*?)?(?:HTTP\/1\.1 |$)/is.exec(answer) ?? []
    if (status !== '200' && body !== undefined) expect(JSON.parse(body)).toEqual({ error: { code: expect.any(String) as string, message: expect.any(String) as string } })
  }), { numRuns: 800 })
  expect((await p.http('/readyz')).status).toBe(200)
})
