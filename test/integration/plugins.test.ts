import { EventEmitter, once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { fill, range, seqs } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let dir: string
/** What the plugins under test say, and what they go by: they live in this process. */
let world: EventEmitter & { mood?: string, calls: string[] }
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'parley-plugins-'))
  world = Object.assign(new EventEmitter(), { calls: [] })
  Object.assign(globalThis, { world })
})
afterEach(async () => {
  await closeAll()
  rmSync(dir, { recursive: true })
})

/** A plugin's file; its setup is given as source. */
function plugin (name: string, setup: string): string {
  const file = join(dir, `${name}.mjs`)
  writeFileSync(file, `export default ({ definePlugin, ParleyError, Type }) => definePlugin({ name: '${name}', async setup (host) { ${setup} } })`)
  return file
}

const acks = (c: Client) => c.on('me/ack').map(d => d.json)
const bodies = (c: Client) => c.on('me/msg').map(d => d.json.body)
const users = async (p: Parley, ...names: string[]) => await Promise.all(names.map(async user => await p.client({ user, subscribe: ['me/#'] })))

/** A hook that does what the body of each message says. */
const MOODY = `return { willPublish (message) {
  const mood = message.body()
  if (mood === 'throw') throw new TypeError('secret detail')
  if (mood === 'reject') return Promise.reject(undefined)
  if (mood === 'reject later') return new Promise((_resolve, reject) => setImmediate(reject))
  if (mood === 'refuse') throw new ParleyError('muted', 'not now')
  if (mood === 'no such code') throw new ParleyError('nope', 'x')
  if (mood === 'no such code later') return Promise.resolve().then(() => { throw new ParleyError(undefined, 'x') })
  if (mood === 'a code changed') throw Object.assign(new ParleyError('muted', 'x'), { code: 'nope' })
  if (mood === 'a code changed later') return Promise.reject(Object.assign(new ParleyError('muted', 'x'), { code: 'nope' }))
  if (mood === 'without a word') throw new ParleyError('muted')
  if (mood === 'too many words') throw new ParleyError('muted', 'x'.repeat(1e6))
  if (mood === 'nonsense') return { deny: true }
  if (mood === 'nonsense later') return Promise.resolve('no')
  if (mood === 'no JSON') message.replaceBody(undefined)
  if (mood === 'a circle') { const o = {}; o.o = o; message.replaceBody(o) }
} }`

test('a will hook that throws, rejects or answers nonsense costs its own message at most', async () => {
  const p = await startParley({ plugins: [plugin('moody', MOODY)] })
  const [alice, bob] = await users(p, 'alice', 'bob') as [Client, Client]
  const sent = ['a', 'throw', 'b', 'reject', 'reject later', 'c', 'refuse', 'nonsense', 'nonsense later', 'no JSON', 'a circle', 'd']
  const ids = sent.map((body, i) => alice.publish('u/bob/msg', { cid: `c${i}`, body }))
  await Promise.all(ids.map(async id => await alice.answer('puback', id)))
  const internal = { code: 'internal', message: expect.not.stringContaining('secret') as string }
  expect(acks(alice).map(a => [a.cid, a.seq ?? (a.error as { code: string }).code])).toEqual([
    ['c0', 1], ['c1', 'internal'], ['c2', 2], ['c3', 'internal'], ['c4', 'internal'], ['c5', 3], ['c6', 'muted'], ['c7', 4], ['c8', 5], ['c9', 'internal'], ['c10', 'internal'], ['c11', 6]
  ])
  expect(acks(alice)[1]).toEqual({ cid: 'c1', error: internal })
  await bob.got('me/msg', 6)
  expect(bodies(bob)).toEqual(['a', 'b', 'c', 'nonsense', 'nonsense later', 'd'])
  expect(p.lines.filter(l => l.level === 'error')).toEqual([expect.objectContaining({ plugin: 'moody', hook: 'willPublish' })]) // the first of a minute
  expect(await (await p.http('/metrics')).text()).toMatch(/parley_plugin_failures_total\{[^}]*plugin="moody"[^}]*\} 5\n/)
})

const SLOW = `return { async willPublish (message) {
  if (message.body() !== 'x' || world.mood === 'well') return
  world.calls.push(message.cid)
  world.emit('called')
  await new Promise(resolve => world.once('end', resolve))
} }`

test('errors that are none are failures, and what they say is bounded', async () => {
  const p = await startParley({ plugins: [plugin('moody', MOODY)] })
  const [alice] = await users(p, 'alice') as [Client]
  for (const body of ['no such code', 'no such code later', 'a code changed', 'a code changed later', 'without a word', 'too many words', 'a']) await alice.say('u/bob/msg', { body })
  expect(acks(alice).map(a => (a.error as { code: string } | undefined)?.code ?? a.seq)).toEqual(['internal', 'internal', 'internal', 'internal', 'muted', 'muted', 1])
  expect(acks(alice)[4]).toMatchObject({ error: { message: '' } })
  expect(acks(alice)[5]).toMatchObject({ error: { message: 'x'.repeat(500) } })
})

test.each<[unknown, number]>([[NaN, 1000], ['soon', 1000], [-5, 100], [0, 100], [1e15, 60_000], [Infinity, 1000]])('a hook that asks for %p ms is asked again after %d', async (retryAfterMs, after) => {
  const clock = new FakeClock()
  Object.assign(world, { retryAfterMs })
  const p = await startParley({ plugins: [plugin('odd', 'return { willPublish () { world.calls.push("asked"); throw new ParleyError("unavailable", "x", { retryAfterMs: world.retryAfterMs }) } }')] }, clock)
  const [alice] = await users(p, 'alice') as [Client]
  alice.publish('u/bob/msg', { body: 'x' })
  await alice.settled()
  clock.advance(after - 1)
  expect(world.calls).toHaveLength(1)
  clock.advance(1)
  expect(world.calls).toHaveLength(2)
})

test('a will hook that hangs delays what its sender sends, in order, and nobody else', async () => {
  const clock = new FakeClock()
  const p = await startParley({ plugins: [{ use: plugin('slow', SLOW), timeoutMs: 50 }] }, clock)
  const [alice, bob, carol] = await users(p, 'alice', 'bob', 'carol') as [Client, Client, Client]
  const called = once(world, 'called')
  const first = alice.publish('u/bob/msg', { cid: 'held', body: 'x' })
  const behind = alice.publish('u/bob/msg', { cid: 'behind', body: 'y' })
  await called
  await fill(carol, 'u/bob/msg', 100)
  await bob.got('me/msg', 100)
  await alice.settled()
  expect(acks(alice)).toEqual([])

  const again = once(world, 'called')
  clock.advance(50) // over its limit …
  await alice.settled()
  clock.advance(1000) // … and asked again
  await again
  expect(world.calls).toEqual(['held', 'held'])
  world.mood = 'well'
  clock.advance(50)
  await alice.settled()
  clock.advance(1000)
  await alice.answer('puback', first)
  await alice.answer('puback', behind)
  expect(acks(alice)).toMatchObject([{ cid: 'held', seq: 1 }, { cid: 'behind', seq: 2 }])
  world.emit('end') // the late calls come to an end: nothing more is stored
  await alice.say('u/bob/msg', 'z')
  await bob.got('me/msg', 103)
  expect(bob.on('me/msg').filter(d => d.json.conv === 'u/alice').map(d => d.json.body)).toEqual(['x', 'y', 'z'])
})

test('what is only for now is late: the hook says when', async () => {
  const clock = new FakeClock()
  const p = await startParley({ plugins: [plugin('patient', `return { willPublish () {
    world.calls.push('asked')
    world.emit('called')
    if (world.mood !== 'well') throw new ParleyError('rate-limited', 'one at a time', { retryAfterMs: 5000 })
  } }`)] }, clock)
  const [alice] = await users(p, 'alice') as [Client]
  const called = once(world, 'called')
  const id = alice.publish('u/bob/msg', { cid: 'c', body: 'x' })
  await called
  await alice.settled() // its answer was taken
  world.mood = 'well'
  clock.advance(4999)
  expect(world.calls).toEqual(['asked'])
  clock.advance(1)
  expect(world.calls).toEqual(['asked', 'asked'])
  await alice.answer('puback', id)
  expect(acks(alice)).toMatchObject([{ cid: 'c', seq: 1 }])
})

test('a connection that ends while its message is held: the message is sent again and stored once', async () => {
  const clock = new FakeClock()
  const p = await startParley({ plugins: [{ use: plugin('slow', SLOW), timeoutMs: 50 }] }, clock)
  const [alice] = await users(p, 'alice') as [Client]
  const called = once(world, 'called')
  alice.publish('u/bob/msg', { cid: 'held', body: 'x' })
  await called
  alice.destroy()
  const back = await p.client({ user: 'alice', subscribe: ['me/#'] })
  clock.advance(50)
  await back.settled()
  world.mood = 'well'
  clock.advance(1000)
  await back.say('u/carol/msg', 'what was stored before this is stored by now')
  expect((await back.rpc('history', { conv: 'u/bob' })).result).toMatchObject({ entries: [], head: 0 })
  await back.say('u/bob/msg', { cid: 'held', body: 'x' }, { dup: true })
  expect(acks(back)).toMatchObject([{ conv: 'u/carol', seq: 1 }, { cid: 'held', seq: 1 }])
})

test('did hooks can neither change an answer nor stop anything, and are told of everything', async () => {
  const p = await startParley({
    plugins: [
      plugin('throws', 'const fail = () => { throw undefined }; return { didPublish: fail, didConnect: fail, didDisconnect: fail }'),
      plugin('rejects', 'const fail = async () => { throw new Error("x") }; return { didPublish: fail, didConnect: fail, didDisconnect: fail }'),
      { use: plugin('hangs', 'const hang = () => new Promise(() => {}); return { didPublish: hang, didConnect: hang, didDisconnect: hang }'), timeoutMs: 1 },
      plugin('listens', `return {
        didPublish: ({ entry }) => { world.calls.push(entry.type + ' ' + entry.conv + ' ' + entry.seq) },
        didConnect: ({ user, device, address }) => { world.calls.push('+' + user + ' ' + device + ' ' + address) },
        didDisconnect: ({ user, reason }) => { world.calls.push('-' + user + ' ' + reason); world.emit('gone') }
      }`)
    ]
  })
  const [alice] = await users(p, 'alice') as [Client]
  await alice.say('u/bob/msg', { cid: 'c', body: 'x' })
  await alice.say('u/bob/msg', { cid: 'c', body: 'x' }, { dup: true })
  await alice.rpc('group.create', { group: 'team' })
  expect(acks(alice)).toMatchObject([{ cid: 'c', seq: 1 }, { cid: 'c', seq: 1 }])
  const gone = once(world, 'gone')
  await alice.end()
  await gone
  expect(world.calls).toEqual(['+alice phone 127.0.0.1', 'text d/alice/bob 1', 'system g/team 1', '-alice client'])
})

test('two plugins in order change a body; a resend is known by what the client sent', async () => {
  const mark = (name: string): string => plugin(name, `let n = 0; return { willPublish (m) { n++; m.replaceBody(m.body() + '-${name}' + n) } }`)
  const p = await startParley({ plugins: [mark('a'), mark('b')] })
  const [alice, bob] = await users(p, 'alice', 'bob') as [Client, Client]
  await alice.say('u/bob/msg', '{"cid":"c1","body":"x","ref":7,"mentions":["bob"]}')
  await alice.say('u/bob/msg', '{"cid":"c1","body":"x","ref":7,"mentions":["bob"]}')
  await alice.say('u/bob/msg', '{"cid":"c1","body":"x-a1-b1","ref":7,"mentions":["bob"]}')
  await alice.say('u/bob/msg', { cid: 'c2', body: 'y' })
  expect(acks(alice)).toMatchObject([{ cid: 'c1', seq: 1 }, { cid: 'c1', seq: 1 }, { cid: 'c1', error: { code: 'conflict' } }, { cid: 'c2', seq: 2 }])
  const [first, second] = await bob.got('me/msg', 2)
  expect(first!.json).toMatchObject({ seq: 1, body: 'x-a1-b1', ref: 7, mentions: ['bob'] })
  expect(second!.json).toMatchObject({ seq: 2, body: 'y-a4-b4' })
})

test('a body in the place of bytes, and of a text', async () => {
  const p = await startParley({ plugins: [plugin('opens', 'return { willPublish (m) { world.calls.push(typeof m.body()); m.replaceBody({ was: m.body() ?? "sealed", n: [1.5, null] }) } }')] })
  const [alice, bob] = await users(p, 'alice', 'bob') as [Client, Client]
  const five = await p.client({ user: 'alice', device: 'five', version: 5 })
  await five.say('u/bob/msg', Buffer.from([0, 1]), { properties: { contentType: 'image/png', userProperties: { ref: '3' } } })
  await alice.say('u/bob/raw/c1', Buffer.from([2]))
  await alice.say('u/bob/msg', 'plain')
  const [image, raw, text] = (await bob.got('me/msg', 3)).map(d => d.json)
  expect(world.calls).toEqual(['undefined', 'undefined', 'string'])
  const ts = expect.any(Number) as number
  expect(image).toEqual({ conv: 'u/alice', seq: 1, ts, body: { was: 'sealed', n: [1.5, null] }, ref: 3 })
  expect(raw).toEqual({ conv: 'u/alice', seq: 2, ts, body: { was: 'sealed', n: [1.5, null] } })
  expect(text).toEqual({ conv: 'u/alice', seq: 3, ts, body: { was: 'plain', n: [1.5, null] } })
})

test('a refusal by the first plugin is not shown to the second', async () => {
  const p = await startParley({ plugins: [plugin('moody', MOODY), plugin('second', 'return { willPublish (m) { world.calls.push(m.body()) } }')] })
  const [alice] = await users(p, 'alice') as [Client]
  for (const body of ['a', 'refuse', 'throw', 'b']) await alice.say('u/bob/msg', { body })
  expect(world.calls).toEqual(['a', 'b'])
})

test('a resend of what is stored gets the first one\'s answer, whatever a plugin or a group says by now', async () => {
  const p = await startParley({ plugins: [plugin('strict', 'return { willPublish (m) { if (world.mood === "strict") throw new ParleyError("forbidden", "no more") } }')] })
  const [alice, bob] = await users(p, 'alice', 'bob') as [Client, Client]
  await alice.rpc('group.create', { group: 'team', members: ['bob'] })
  const withCid = { cid: 'c1', body: 'x' }
  const id = bob.publish('g/team/msg', { body: 'no cid' })
  await bob.say('g/team/msg', withCid)
  world.mood = 'strict'
  await bob.say('g/team/msg', withCid, { dup: true })
  await bob.say('g/team/msg', { body: 'no cid' }, { dup: true, id })
  await alice.rpc('group.remove', { group: 'team', users: ['bob'] })
  await bob.say('g/team/msg', withCid)
  await bob.say('g/team/msg', { cid: 'c1', body: 'another' })
  await bob.say('g/team/msg', { cid: 'c2', body: 'x' })
  await alice.say('g/team/msg', withCid)
  expect(acks(bob).map(a => [a.cid, a.seq ?? (a.error as { code: string }).code])).toEqual([
    [undefined, 2], ['c1', 3], ['c1', 3], [undefined, 2], ['c1', 3], ['c1', 'not-member'], ['c2', 'not-member']
  ])
  expect(acks(alice)).toMatchObject([{ cid: 'c1', error: { code: 'forbidden' } }]) // another user's cid is no matter
  expect((await alice.rpc('history', { conv: 'g/team' })).result).toMatchObject({ head: 4 })
})

test('who may not write is refused before a plugin is asked, each time', async () => {
  const p = await startParley({ plugins: [plugin('listens', 'return { willPublish (m) { world.calls.push(m.user + " " + m.conv) } }')] })
  const [alice, eve] = await users(p, 'alice', 'eve') as [Client, Client]
  await alice.rpc('group.create', { group: 'team' })
  for (let i = 0; i < 3; i++) await eve.say('g/team/msg', { body: i })
  await alice.say('g/team/msg', { body: 'mine' })
  expect(acks(eve).map(a => (a.error as { code: string }).code)).toEqual(['not-member', 'not-member', 'not-member'])
  expect(world.calls).toEqual(['alice g/team'])
})

test('operations of a plugin are asked as the broker\'s own, and fail alone', async () => {
  const op = (name: string, more: string): string => `host.operation({ name: '${name}', summary: 'x', params: Type.Object({ n: Type.Optional(Type.Integer()) }), result: Type.Object({ n: Type.Integer() }), who: 'user', ${more} })`
  const clock = new FakeClock()
  const p = await startParley({
    plugins: [plugin('counts', [
      op('counts.double', 'handle: async (call, { n = 1 }) => ({ n: 2 * n, user: call.user })'),
      op('counts.throw', 'handle () { throw new Error("secret") }'),
      op('counts.reject', 'handle: () => Promise.reject(undefined)'),
      op('counts.lie', 'handle: async () => ({ n: "many" })'),
      op('counts.silent', 'handle () {}'),
      op('counts.refuse', 'async handle () { throw new ParleyError("gone", "no more") }'),
      op('counts.hang', 'handle: () => { world.emit("called"); return new Promise(() => {}) }'),
      op('counts.all', 'handle: async () => ({ n: 0 })').replace("who: 'user'", "who: 'admin'")
    ].join('\n'))]
  }, clock)
  const [alice, bob] = await users(p, 'alice', 'bob') as [Client, Client]
  expect(await alice.rpc('counts.double', { n: 21 })).toMatchObject({ result: { n: 42, user: 'alice' } })
  expect(await alice.rpc('counts.double', { n: 1.5 })).toMatchObject({ error: { code: 'bad-request' } })
  expect(await alice.rpc('counts.double', { m: 1 })).toMatchObject({ error: { code: 'bad-request', message: 'unknown name "m": did you mean n?' } })
  expect(await alice.rpc('counts.duoble')).toMatchObject({ error: { code: 'not-found', message: 'there is no "counts.duoble": did you mean counts.double?' } })
  expect(await alice.rpc('counts.all')).toMatchObject({ error: { code: 'forbidden' } })
  expect(await alice.rpc('counts.refuse')).toMatchObject({ error: { code: 'gone', message: 'no more' } })
  for (const name of ['throw', 'reject', 'lie', 'silent']) expect(await alice.rpc(`counts.${name}`)).toMatchObject({ error: { code: 'internal', message: 'the broker failed to do this; its log says why' } })
  expect(p.lines.filter(l => l.level === 'error').map(l => l.operation)).toEqual(['counts.throw', 'counts.reject', 'counts.lie', 'counts.silent'])

  // As many as one connection has worked on at once, and one more behind them.
  for (const n of range(1, 16)) {
    const called = once(world, 'called')
    alice.publish('rpc/counts.hang', { id: `hang${n}` })
    await called
  }
  alice.publish('rpc/counts.double', { id: 'behind' })
  expect((await bob.rpc('counts.double')).result).toMatchObject({ n: 2 })
  clock.advance(30_000)
  const answers = () => new Map(alice.on('me/rpc').map(d => [d.json.id, d.json]))
  await alice.until(() => answers().has('behind'), 'the answer behind those that hang')
  expect(answers().get('hang16')).toMatchObject({ error: { code: 'unavailable' } })
  expect(answers().get('behind')).toMatchObject({ result: { n: 2 } })
})

test('a plugin signs users in; one that fails lets nobody in, and says nothing final', async () => {
  const p = await startParley({
    auth: { dev: false },
    plugins: [plugin('door', `return { async authenticate ({ user, password }) {
      const word = password?.toString()
      if (word === 'throw') throw new Error('the backend is away')
      if (word === 'nonsense') return { kind: 'accepted', identity: { user: '../root', admin: true, expiresMs: 0 } }
      if (word === 'sesame') return { kind: 'accepted', identity: { user, admin: user === 'root', expiresMs: 0 } }
      return { kind: 'refused', reason: 'forbidden', why: 'wrong word' }
    } }`)]
  })
  const code = async (user: string, password: string): Promise<number> => (await p.client({ user, password })).connack.returnCode!
  expect(await code('alice', 'sesame')).toBe(0)
  expect(await code('alice', 'wrong')).toBe(5)
  for (const word of ['throw', 'nonsense']) await expect(code('alice', word)).rejects.toThrow('the connection is closed')
  expect(await code('bob', 'sesame')).toBe(0)
})

test('a plugin sees what goes through a device at full speed, in order', async () => {
  const p = await startParley({ plugins: [plugin('sometimes', 'return { willPublish (m) { world.calls.push(m.body()); if (m.body() % 3 === 0) return new Promise(resolve => setImmediate(resolve)) } }')] })
  const [alice, bob] = await users(p, 'alice', 'bob') as [Client, Client]
  await fill(alice, 'u/bob/msg', 500)
  await bob.got('me/msg', 500)
  expect(world.calls).toEqual(range(1, 500))
  expect(bodies(bob)).toEqual(range(1, 500))
  expect(seqs(bob)).toEqual(range(1, 500))
})
