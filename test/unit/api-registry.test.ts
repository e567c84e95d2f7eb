import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import { jsonBytes } from '../../broker/api/json.js'
import { serverInfo } from '../../broker/api/operations/server-info.js'
import { Operations } from '../../broker/api/registry.js'
import { ParleyError } from '../../broker/domain/errors.js'
import type { UserId } from '../../broker/domain/ids.js'
import { type Call, defineOperation, type Operation, RawJson } from '../../broker/plugin.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

const me: Call = { user: 'me' as UserId, device: '', admin: false, maxBytes: 1000 }

const echo = defineOperation({
  name: 'test.echo',
  summary: 'Gives back.',
  params: Type.Object({
    text: Type.Optional(Type.String({ maxLength: 5 })),
    kind: Type.Optional(Type.Union([Type.Literal('red'), Type.Literal('blue')])),
    push: Type.Optional(Type.Array(Type.Object({ provider: Type.String() }))),
    any: Type.Optional(Type.Unknown()),
    cursors: Type.Optional(Type.Record(Type.String(), Type.Integer({ minimum: 0 })))
  }),
  result: Type.Unknown(),
  who: 'user',
  handle: async (_call, p) => p
})
const needs = defineOperation({ name: 'needs', summary: '', params: Type.Object({ conv: Type.String() }), result: Type.Unknown(), who: 'user', handle: async (_call, p) => p })

/** As a plugin of plain JavaScript may declare one. */
const odd = (more: object): Operation => ({ name: 'odd', summary: '', params: Type.Object({}), result: Type.Object({ n: Type.Integer() }), who: 'user', handle: async () => ({ n: 1 }), ...more })
const circle = (): object => { const o = { n: 1, more: {} }; o.more = o; return o }
const deep = (levels: number): unknown => { let v: unknown = 1; for (let i = 0; i < levels; i++) v = [v]; return v }

function registry (...more: Operation[]) {
  const logger = recordingLogger()
  const clock = new FakeClock()
  const operations = new Operations({ logger, clock })
  for (const op of [echo, needs, ...more]) operations.register(op)
  const ask = async (name: string, params: unknown, call = me): Promise<unknown> => JSON.parse((await operations.call(name, call, params)).toString())
  const refused = async (name: string, params: unknown, call = me): Promise<[string, string]> => {
    try { await operations.call(name, call, params) } catch (e) {
      if (e instanceof ParleyError) return [e.code, e.message]
      throw e
    }
    throw new Error('not refused')
  }
  return { operations, logger, clock, ask, refused }
}

describe('Operations', () => {
  test('names what was meant by an unknown method', async () => {
    const { refused } = registry()
    expect(await refused('test.ecko', {})).toEqual(['not-found', 'there is no "test.ecko": did you mean test.echo?'])
    expect(await refused('zzzzzzzzzzzz', {})).toEqual(['not-found', 'there is no "zzzzzzzzzzzz"'])
    for (const name of ['__proto__', 'constructor', 'toString', '', 'x'.repeat(100_000)]) expect((await refused(name, {}))[0]).toBe('not-found')
  })

  test.each<[string, unknown, string]>([
    ['test.echo', { texd: 'a' }, 'unknown name "texd": did you mean text?'],
    ['test.echo', { zzzzzzzzz: 1 }, 'unknown name "zzzzzzzzz"'],
    ['test.echo', { push: [{ provider: 'a', provder: 'b' }] }, 'unknown name "push.0.provder": did you mean provider?'],
    ['test.echo', { push: [{}] }, 'push.0.provider is missing'],
    ['test.echo', { text: 'toolong' }, 'text: expected string length less or equal to 5'],
    ['test.echo', { text: 5 }, 'text: expected string'],
    ['test.echo', { kind: 'green' }, 'kind: one of red, blue'],
    ['test.echo', { cursors: { 'u/bob': -1 } }, 'cursors.u/bob: expected integer to be greater or equal to 0'],
    ['test.echo', [], 'params: a JSON object'],
    ['test.echo', null, 'params: a JSON object'],
    ['test.echo', 'text', 'params: a JSON object'],
    ['needs', {}, 'conv is missing'],
    ['needs', undefined, 'conv is missing']
  ])('%s refuses %j', async (name, params, message) => {
    expect(await registry().refused(name, params)).toEqual(['bad-request', message])
  })

  test('params left out count as none', async () => {
    expect(await registry().ask('test.echo', undefined)).toEqual({})
  })

  test('operations for admins', async () => {
    const { ask, refused } = registry(defineOperation({ name: 'user.remove', summary: '', params: Type.Object({}), result: Type.Object({}), who: 'admin', handle: async () => ({}) }))
    expect(await refused('user.remove', {})).toEqual(['forbidden', 'user.remove is for admins'])
    expect(await refused('user.remove', { wrong: 1 })).toEqual(['forbidden', 'user.remove is for admins'])
    expect(await ask('user.remove', {}, { ...me, admin: true })).toEqual({})
  })

  test('an answer larger than the caller takes is refused, one of exactly that size is not', async () => {
    const { ask, refused } = registry()
    expect(await ask('test.echo', { any: 'x'.repeat(990) })).toEqual({ any: 'x'.repeat(990) })
    expect((await refused('test.echo', { any: 'x'.repeat(991) }))[0]).toBe('too-large')
    expect((await refused('test.echo', { any: 'ü'.repeat(500) }))[0]).toBe('too-large')
  })

  test('what an operation did not mean to throw is logged and told as internal; the rest goes through', async () => {
    const cause = new TypeError('x is undefined')
    const boom = (name: string, e: Error): Operation => defineOperation({ name, summary: '', params: Type.Object({}), result: Type.Object({}), who: 'user', handle: async () => { throw e } })
    const { refused, logger } = registry(boom('bad', cause), boom('gone', new ParleyError('gone', 'it was deleted')))
    expect(await refused('gone', {})).toEqual(['gone', 'it was deleted'])
    expect(logger.lines).toEqual([])
    expect((await refused('bad', {}))[0]).toBe('internal')
    expect(logger.lines).toEqual([{ level: 'error', message: 'an operation failed', operation: 'bad', user: 'me', err: cause }])
  })

  test('a ParleyError of another copy of the package goes through, too', async () => {
    const foreign = Object.assign(new Error('it was deleted'), { name: 'ParleyError', code: 'gone' })
    expect(await registry(odd({ handle: async () => { throw foreign } })).refused('odd', {})).toEqual(['gone', 'it was deleted'])
  })

  test.each<[string, unknown]>([
    ['nothing', undefined], ['null', null], ['a number too many', { n: 1.5 }], ['a missing name', {}], ['another type', { n: '7' }], ['a list', [{ n: 1 }]],
    ['what JSON has no word for', { n: 1, more: 10n }], ['a circle', circle()], ['more depth than a stack has', { n: 1, more: deep(200_000) }]
  ])('a result that is not as declared (%s) is internal, and logged without what it holds', async (_what, result) => {
    const { refused, logger, ask } = registry(odd({ handle: () => result }))
    expect(await refused('odd', {})).toEqual(['internal', 'the broker failed to do this; its log says why'])
    expect(logger.lines).toEqual([expect.objectContaining({ level: 'error', operation: 'odd', user: 'me' })])
    expect(await ask('needs', { conv: 'x' })).toEqual({ conv: 'x' })
  })

  test('a result may hold more than is declared, and need not come later', async () => {
    expect(await registry(odd({ handle: () => ({ n: 1, more: 'x' }) })).ask('odd', {})).toEqual({ n: 1, more: 'x' })
  })

  test.each<[unknown]>([[undefined], [null], ['text']])('thrown without a reason (%p): internal', async thrown => {
    expect((await registry(odd({ handle: () => { throw thrown } })).refused('odd', {}))[0]).toBe('internal')
  })

  test('one that never ends is answered as unavailable after 30 s, and logged; what it does later is harmless', async () => {
    let fail: (e: Error) => void = () => {}
    const { refused, logger, clock, ask } = registry(odd({ handle: () => new Promise((_resolve, reject) => { fail = reject }) }))
    const asked = refused('odd', {})
    clock.advance(29_999)
    expect(await ask('needs', { conv: 'x' })).toEqual({ conv: 'x' })
    expect(logger.lines).toEqual([])
    clock.advance(1)
    expect(await asked).toEqual(['unavailable', 'not done within 30 s; it may be done yet'])
    expect(logger.lines).toEqual([{ level: 'error', message: 'an operation took too long', operation: 'odd', user: 'me' }])
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => { unhandled.push(reason) }
    process.on('unhandledRejection', note)
    fail(new Error('too late'))
    await new Promise(resolve => setImmediate(resolve))
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
    expect(clock.waiting).toBe(0)
  })

  test.each<[object, string]>([
    [{ who: undefined }, 'who is neither user nor admin'], [{ who: 'everybody' }, 'who is neither user nor admin'], [{ handle: undefined }, 'handle is no function'],
    [{ params: undefined }, 'params is no Type.Object({…})'], [{ params: Type.String() }, 'params is no Type.Object({…})'], [{ params: { type: 'object' } }, 'params is no Type.Object({…})'],
    [{ result: undefined }, 'result is no schema'], [{ result: { type: 'object' } }, 'result is no schema'], [{ name: undefined }, 'a name is lower-case letters']
  ])('a declaration with %p is refused at the start', (more, why) => {
    expect(() => registry(odd(more))).toThrow(why)
  })

  test('a name is registered once, and can stand in a topic', () => {
    const { operations } = registry()
    expect(() => operations.register(echo)).toThrow('operation test.echo is there twice')
    for (const name of ['a.b.c', 'A', 'a/b', '', 'a.']) expect(() => operations.register({ ...echo, name })).toThrow('a name is')
    expect(operations.list().map(o => o.name)).toEqual(['needs', 'test.echo'])
  })

  test('64 levels of nesting pass, more are refused, however many', async () => {
    const { ask, refused } = registry()
    const nested = (levels: number): unknown => JSON.parse(`{"any":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`)
    expect(await ask('test.echo', nested(64))).toEqual(nested(64))
    for (const levels of [65, 1000, 100_000]) expect(await refused('test.echo', nested(levels))).toEqual(['bad-request', 'more than 64 levels of nesting'])
  })

  test('__proto__ is a name like any other, and pollutes nothing', async () => {
    const { ask, refused } = registry()
    expect(await refused('test.echo', JSON.parse('{"__proto__":{"text":"x","admin":true}}'))).toEqual(['bad-request', 'unknown name "__proto__"'])
    expect(await refused('test.echo', JSON.parse('{"push":[{"provider":"a","__proto__":{}}]}'))).toEqual(['bad-request', 'unknown name "push.0.__proto__"'])
    expect((await refused('test.echo', JSON.parse('{"constructor":{"prototype":{"x":1}}}')))[0]).toBe('bad-request')
    const kept = JSON.parse('{"any":{"__proto__":{"admin":true}}}') as unknown
    expect(JSON.stringify(await ask('test.echo', kept))).toBe(JSON.stringify(kept))
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
  })

  test('whatever the params, there is an answer or a ParleyError', async () => {
    const { operations } = registry()
    await fc.assert(fc.asyncProperty(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom('test.echo', 'needs'), async (params, name) => {
      try { JSON.parse((await operations.call(name, { ...me, maxBytes: 1e6 }, params)).toString()) } catch (e) {
        expect(e).toBeInstanceOf(ParleyError)
        expect((e as ParleyError).code).toBe('bad-request')
        expect((e as ParleyError).message.length).toBeLessThan(300)
      }
    }), { numRuns: 500 })
  })
})

describe('jsonBytes', () => {
  test('what holds no RawJson is as JSON.stringify has it', () => {
    fc.assert(fc.property(fc.anything({ withDate: true, maxDepth: 4 }).filter(v => JSON.stringify(v) !== undefined), v => {
      expect(jsonBytes(v).toString()).toBe(JSON.stringify(v))
    }), { numRuns: 1000 })
    expect(jsonBytes({ a: undefined, b: [undefined, () => 1], c: '\ud800' }).toString()).toBe('{"b":[null,null],"c":"\\ud800"}')
  })

  test('RawJson goes in as it stands, anywhere', () => {
    const raw = (s: string) => new RawJson(Buffer.from(s))
    expect(jsonBytes(raw('{"n":1.0}')).toString()).toBe('{"n":1.0}')
    expect(jsonBytes({ entries: [raw('{"n":1.10}'), raw('12345678901234567890')], last: raw('"ü"'), more: false }).toString())
      .toBe('{"entries":[{"n":1.10},12345678901234567890],"last":"ü","more":false}')
  })
})

test('server.info', async () => {
  const { ask, refused } = registry(serverInfo({ version: '1.2.3', epoch: 'e1', limits: { messageBytes: 65_536 }, features: ['groups', 'history'] }))
  expect(await ask('server.info', {})).toEqual({ protocol: 1, version: '1.2.3', epoch: 'e1', limits: { messageBytes: 65_536 }, features: ['groups', 'history'] })
  expect((await refused('server.info', { x: 1 }))[0]).toBe('bad-request')
})
