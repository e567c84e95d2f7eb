import fc from 'fast-check'
import { type ErrorCode, errorCodes } from '../../broker/domain/errors.js'
import { builtInOperations } from '../../broker/write-operations.js'
import { Bystanders } from '../support/bystanders.js'
import type { Client } from '../support/client.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let p: Parley
let by: Bystanders
beforeEach(async () => {
  p = await startParley()
  by = await Bystanders.join(p)
})
afterEach(async () => { await by.unharmed(); await closeAll() })

/** What a client may be refused with: never by a failure of the broker's own. */
const REFUSALS: ErrorCode[] = errorCodes.filter(c => c !== 'internal' && c !== 'unavailable')

/** JSON as it may come over the wire: names and numbers that no stringifier writes, too deep, or not quite JSON. */
const name = fc.constantFrom('__proto__', 'constructor', 'toString', 'x', 'conv', '', 'id', '\\u0000')
const scalar = fc.constantFrom('null', 'true', '0', '-1', '1', '1e400', '-0', '9007199254740993', '1.5', '""', '"__proto__"', '"u/bob"', '"g/team"', '"u/mallory"', '"team"', '"bob"', '"u/__proto__"', '"g/none"', '"\\u0000"', '"\\ud800"', '"owner"', '"+"', `"${'x'.repeat(2000)}"`)
const { value } = fc.letrec<{ value: string }>(tie => ({
  value: fc.oneof({ depthSize: 'small' }, { arbitrary: scalar, weight: 5 }, fc.json(),
    fc.array(tie('value'), { maxLength: 4 }).map(items => `[${items.join(',')}]`),
    fc.array(fc.tuple(fc.oneof(name, fc.constantFrom('u/bob', 'g/team', 'provider', 'token')), tie('value')), { maxLength: 4 }).map(all => `{${all.map(([k, v]) => `"${k}":${v}`).join(',')}}`))
}))
const tooMuch = fc.constantFrom('['.repeat(70) + ']'.repeat(70), '['.repeat(20_000), '{"a":'.repeat(100) + '1' + '}'.repeat(100), `[${'"bob",'.repeat(2000)}"bob"]`, `{${Array.from({ length: 3000 }, (_, i) => `"u/${i}":1`).join(',')}}`, `"${'x'.repeat(300_000)}"`, '{', 'NaN', '')
const hostile = fc.oneof({ arbitrary: value, weight: 12 }, tooMuch)

/** Publishes at QoS 1, and gives what `me/ack` refuses it with, if it does. */
async function said (c: Client, topic: string, payload: string | Buffer): Promise<string | undefined> {
  c.heard.length = 0
  await c.say(topic, payload)
  return (c.on('me/ack')[0]?.json.error as { code: string } | undefined)?.code
}

test('every declared operation answers any params with a result or an error of the contract', async () => {
  const operations = await builtInOperations()
  const c = await p.client({ user: 'mallory', subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await bob.rpc('group.create', { group: 'team', members: ['mallory'] })
  await bob.say('u/mallory/msg', { body: 1 })
  await bob.say('g/team/msg', { body: 1 })
  const request = fc.constantFrom(...operations).chain(op => fc.tuple(
    fc.constant(op.name),
    fc.array(fc.tuple(fc.oneof({ arbitrary: fc.constantFrom('x', ...Object.keys(op.params.properties as object)), weight: 6 }, name), hostile), { maxLength: 4 })
  ))
  await fc.assert(fc.asyncProperty(request, async ([method, members]) => {
    const refused = await said(c, `rpc/${method}`, `{${members.map(([k, v]) => `"${k}":${v},`).join('')}"id":"one"}`)
    if (refused !== undefined) { expect(['bad-request', 'too-large']).toContain(refused); return } // no request, so nothing to answer to
    const { json } = (await c.got('me/rpc', 1))[0]!
    expect([json.id, 'result' in json !== 'error' in json]).toEqual(['one', true])
    if (json.error !== undefined) expect([method, ...REFUSALS]).toContain((json.error as { code: string }).code)
  }), { numRuns: 1500, endOnFailure: true })
  expect((await bob.rpc('inbox')).error).toBeUndefined()
})

test('whatever a request is named and holds, it is answered', async () => {
  const c = await p.client({ user: 'mallory', subscribe: ['me/#'] })
  const method = fc.oneof(fc.constantFrom('__proto__', 'constructor', 'server.info', 'server', 'a.b.c', '', '+', 'x'.repeat(300)), fc.stringMatching(/^[a-z]{1,5}(\.[a-z]{1,5})?$/))
  const payload = fc.oneof(hostile, hostile.map(v => `{"id":${v}}`), fc.uint8Array({ maxLength: 60 }).map(b => Buffer.from(b)))
  await fc.assert(fc.asyncProperty(method, payload, async (m, body) => {
    const refused = await said(c, `rpc/${m}`, body)
    if (refused === undefined) await c.got('me/rpc', 1)
    else expect(['bad-request', 'too-large']).toContain(refused)
  }), { numRuns: 600, endOnFailure: true })
})

test('signals, receipts and state: taken, or refused on me/ack; and what others get of them is JSON and says from where', async () => {
  const c = await p.client({ user: 'mallory', subscribe: ['me/#'] })
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await bob.rpc('group.create', { group: 'team', members: ['mallory'] })
  await bob.say('u/mallory/msg', { body: 1 })
  const topic = fc.constantFrom('u/bob/sig', 'g/team/sig', 'g/none/sig', 'u/mallory/sig', 'u/bob/rcpt', 'g/team/rcpt', 'u/nobody/rcpt', 'state')
  const member = fc.tuple(fc.oneof(name, fc.constantFrom('delivered', 'read', 'active', 'from', 'typing')), hostile).map(([k, v]) => `"${k}":${v}`)
  const payload = fc.oneof(hostile, fc.array(member, { maxLength: 3 }).map(all => `{${all.join(',')}}`), fc.uint8Array({ maxLength: 60 }).map(b => Buffer.from(b)))
  await fc.assert(fc.asyncProperty(topic, payload, async (t, body) => {
    bob.heard.length = 0
    const refused = await said(c, t, body)
    if (refused !== undefined) { expect([t, ...REFUSALS]).toContain(refused); return }
    await bob.settled()
    for (const d of bob.on('me/sig')) {
      JSON.parse(d.packet.payload.toString())
      expect([d.json.conv, d.json.from]).toEqual(t === 'g/team/sig' ? ['g/team', 'mallory'] : ['u/mallory', undefined])
    }
  }), { numRuns: 1000, endOnFailure: true })
})
