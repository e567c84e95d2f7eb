import fc from 'fast-check'
import { type Content, cidOf, decodeContent, type Envelope } from '../../broker/domain/content.js'
import { type Entry, entryJson } from '../../broker/domain/entry.js'
import { ParleyError } from '../../broker/domain/errors.js'

function decode (payload: Buffer, env: Envelope = { raw: false }): Content | ParleyError {
  try { return decodeContent(payload, env) } catch (e) {
    if (e instanceof ParleyError) return e
    throw e
  }
}

/** What a receiver is given of it. */
function delivered (c: Content): Record<string, unknown> {
  const entry: Entry = { conv: 'd/a/b' as never, seq: 1, ts: 1, counts: [0, 0], from: 'a' as never, dev: '', cid: c.cid, type: c.type, fields: c.fields, bytes: c.bytes, exp: 0, hash: 0, packetId: 0, push: c.push }
  const text = entryJson(entry, { conv: 'u/a' as never, own: false, full: false }, 1).toString()
  return JSON.parse(text) as Record<string, unknown>
}

const members = fc.dictionary(fc.constantFrom('body', 'cid', 'type', 'ref', 'thread', 'mentions', 'ttl', 'push', '__proto__', 'constructor', 'x'),
  fc.oneof(fc.jsonValue(), fc.integer(), fc.string(), fc.constantFrom('edit', 'recall', 'react', 'system', 'p.x', '@all')), { noNullPrototype: false })
const json = members.map(m => Buffer.from(JSON.stringify(m)))
const noise = fc.uint8Array({ maxLength: 100 }).map(a => Buffer.from(a))
const text = fc.string({ unit: 'binary' }).map(s => Buffer.from(s))
const envelope: fc.Arbitrary<Envelope> = fc.record({
  raw: fc.boolean(),
  cid: fc.oneof(fc.constant(undefined), fc.string({ minLength: 1 })),
  contentType: fc.oneof(fc.constantFrom(undefined, 'application/json', 'text/plain', 'image/png', ''), fc.string({ unit: 'binary' })),
  expirySeconds: fc.option(fc.nat(), { nil: undefined }),
  user: fc.option(fc.array(fc.tuple(fc.constantFrom('cid', 'type', 'ref', 'thread', 'ttl', '__proto__', 'toString'), fc.oneof(fc.string(), fc.nat().map(String)))), { nil: undefined })
}) as fc.Arbitrary<Envelope>

test('any payload under any envelope is a content or bad-request, and what is delivered of it is JSON', () => {
  fc.assert(fc.property(fc.oneof(json, noise, text), envelope, (payload, env) => {
    const c = decode(payload, env)
    if (c instanceof ParleyError) { expect(c.code).toBe('bad-request'); expect(typeof cidOf(payload, env)).toBe('string'); return }
    const out = delivered(c)
    expect(Object.keys(out).filter(k => !['conv', 'seq', 'ts', 'type', 'body', 'bytes', 'mime', 'ref', 'thread', 'mentions'].includes(k))).toEqual([])
    expect([out.conv, out.seq, out.ts, out.from]).toEqual(['u/a', 1, 1, undefined]) // nothing in a content stands for what the broker says
    expect(c.cid === '' || /^[\x20-\x7e]{1,64}$/.test(c.cid)).toBe(true)
    expect(c.ttlSeconds >= 0 && Number.isSafeInteger(c.ttlSeconds * 1000)).toBe(true)
  }), { numRuns: 10_000 })
})

test('a body comes out as it went in', () => {
  fc.assert(fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (body, s) => {
    const c = decode(Buffer.from(JSON.stringify({ body, cid: 'c' })))
    expect(delivered(c as Content).body).toEqual(JSON.parse(JSON.stringify(body)))
    const plain = Buffer.from(s).toString()
    const t = decode(Buffer.from(plain), { raw: false, contentType: 'text/plain' })
    if (!(t instanceof ParleyError)) expect(delivered(t).body).toBe(plain)
  }), { numRuns: 3000 })
})

test('opaque bytes come out as they went in', () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), bytes => {
    const out = delivered(decode(Buffer.from(bytes), { raw: true }) as Content)
    expect(Buffer.from(out.bytes as string, 'base64')).toEqual(Buffer.from(bytes))
  }))
})
