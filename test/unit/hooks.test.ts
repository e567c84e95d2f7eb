import { HookRunner, type HookFailure, type HookName, type PluginHooks } from '../../broker/core/hooks.js'
import { ParleyError } from '../../broker/domain/errors.js'
import type { Credentials, Verdict } from '../../broker/domain/identity.js'
import type { ConvKey, DeviceId, UserId } from '../../broker/domain/ids.js'
import type { Hooks, Publishing } from '../../broker/plugin.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

const message: Publishing = {
  user: 'anna' as UserId, device: 'phone' as DeviceId, conv: 'd/anna/bob' as ConvKey, type: 'text', cid: 'c1', body: () => 'hi', replaceBody () {}
}
const connected = { user: 'anna' as UserId, device: 'phone' as DeviceId, address: '192.0.2.1' }
const credentials: Credentials = { user: 'anna', address: '192.0.2.1', listener: 'mqtt:1883' }
const accepted: Verdict = { kind: 'accepted', identity: { user: 'anna' as UserId, admin: false, expiresMs: 0 } }
const never = new Promise<never>(() => {})

function setUp (hooks: Hooks[], opts: { timeoutMs?: number, maxUnfinished?: number } = {}) {
  const clock = new FakeClock()
  const logger = recordingLogger()
  const failures: [string, HookName, HookFailure][] = []
  const plugins: PluginHooks[] = hooks.map((h, i) => ({ plugin: `p${i}`, timeoutMs: opts.timeoutMs ?? 1000, hooks: h }))
  const runner = new HookRunner(plugins, { clock, logger, maxUnfinished: opts.maxUnfinished, onFailure: (...f) => failures.push(f) })
  return { runner, clock, logger, failures }
}

/** What `run` throws, at once or later. */
async function thrownBy (run: () => unknown): Promise<ParleyError> {
  try { await run() } catch (e) { return e as ParleyError }
  throw new Error('nothing was thrown')
}

/** Lets all promises that can settle do so. */
const settle = async (): Promise<void> => { await new Promise(resolve => setImmediate(resolve)) }

// What a plugin of plain JavaScript may do and a type would forbid.
const returning = (value: unknown): never => (() => value) as never
const throwing = (value: unknown): (() => never) => () => { throw value }

const rejecting = (value: unknown) => async (): Promise<never> => await Promise.reject(value)

describe('has', () => {
  test('tells which hooks there are', () => {
    const { runner } = setUp([{ willPublish () {} }, {}, { didConnect () {} }])
    expect(['willPublish', 'didPublish', 'didConnect', 'didDisconnect', 'authenticate'].filter(n => runner.has(n as HookName))).toEqual(['willPublish', 'didConnect'])
  })
})

describe('willPublish', () => {
  test('makes no promise when there is nothing to wait for', () => {
    expect(setUp([]).runner.willPublish(message)).toBeUndefined()
    let runs = 0
    const { runner, clock } = setUp([{ willPublish () { runs++ } }, { willPublish () { runs++ } }])
    expect(runner.willPublish(message)).toBeUndefined()
    expect(runs).toBe(2)
    expect(clock.waiting).toBe(0)
  })

  test('runs the hooks in order, each after the one before has finished', async () => {
    const order: string[] = []
    const slow = (name: string) => async (): Promise<void> => { order.push(`${name} begins`); await settle(); order.push(`${name} ends`) }
    const quick = (name: string) => (): void => { order.push(name) }
    const { runner, clock } = setUp([{ willPublish: quick('a') }, { willPublish: slow('b') }, { willPublish: quick('c') }, { willPublish: slow('d') }])
    await runner.willPublish(message)
    expect(order).toEqual(['a', 'b begins', 'b ends', 'c', 'd begins', 'd ends'])
    expect(clock.waiting).toBe(0)
  })

  test('keeps `this` of hooks that belong to an object', () => {
    class Counter { seen = 0; willPublish (): void { this.seen++ } }
    const counter = new Counter()
    void setUp([counter]).runner.willPublish(message)
    expect(counter.seen).toBe(1)
  })

  test.each([['at once', (e: Error) => { throw e }], ['later', async (e: Error) => { await settle(); throw e }]])('a ParleyError thrown %s refuses, and stops the chain', async (_when, fail) => {
    const refusal = new ParleyError('forbidden', 'no links here')
    let after = 0
    const { runner, failures, logger } = setUp([{ willPublish: () => fail(refusal) }, { willPublish () { after++ } }])
    expect(await thrownBy(() => runner.willPublish(message))).toBe(refusal)
    expect(after).toBe(0)
    expect(failures).toEqual([])
    expect(logger.lines).toEqual([])
  })

  test('knows a ParleyError of another copy of the package', async () => {
    const foreign = Object.assign(new Error('no links here'), { name: 'ParleyError', code: 'muted' })
    const e = await thrownBy(() => setUp([{ willPublish: throwing(foreign) }]).runner.willPublish(message))
    expect(e).toBeInstanceOf(ParleyError)
    expect([e.code, e.message]).toEqual(['muted', 'no links here'])
    const wrong = Object.assign(new Error('x'), { name: 'ParleyError', code: 'toString' })
    expect((await thrownBy(() => setUp([{ willPublish: throwing(wrong) }]).runner.willPublish(message))).code).toBe('internal')
  })

  test.each([[new TypeError('secret detail')], [undefined], [null], ['text'], [42]])('anything else thrown (%p) is internal, and logged with the name', async thrown => {
    for (const willPublish of [throwing(thrown), rejecting(thrown)]) {
      const { runner, failures, logger } = setUp([{}, { willPublish }])
      const e = await thrownBy(() => runner.willPublish(message))
      expect(e).toBeInstanceOf(ParleyError)
      expect(e.code).toBe('internal')
      expect(e.message).not.toContain('secret')
      expect(failures).toEqual([['p1', 'willPublish', 'error']])
      expect(logger.lines).toMatchObject([{ level: 'error', plugin: 'p1', hook: 'willPublish', err: thrown }])
    }
  })

  test('a hook over its time limit refuses as unavailable; what it does later is harmless', async () => {
    let rejectLate: (e: Error) => void = () => {}
    const { runner, clock, failures, logger } = setUp([{ willPublish: () => new Promise<void>((_resolve, reject) => { rejectLate = reject }) }], { timeoutMs: 500 })
    const answer = thrownBy(() => runner.willPublish(message))
    clock.advance(499)
    await settle()
    expect(failures).toEqual([])
    clock.advance(1)
    const e = await answer
    expect([e.code, e.final]).toEqual(['unavailable', false])
    expect(failures).toEqual([['p0', 'willPublish', 'timeout']])
    expect(logger.lines).toMatchObject([{ plugin: 'p0', hook: 'willPublish' }])
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => { unhandled.push(reason) }
    process.on('unhandledRejection', note)
    rejectLate(new Error('too late'))
    await settle()
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
    expect(failures).toHaveLength(1)
  })

  test('a hook that does not finish is no longer called after many calls, until it recovers', async () => {
    const ends: (() => void)[] = []
    const { runner, clock, failures } = setUp([{ willPublish: () => new Promise<void>(resolve => ends.push(resolve)) }], { maxUnfinished: 3 })
    const fives = async (): Promise<ParleyError[]> => {
      const all = Array.from({ length: 5 }, () => thrownBy(() => runner.willPublish(message)))
      clock.advance(1000)
      return await Promise.all(all)
    }
    // Slow alone is no reason: all five of the first flight are called.
    expect((await fives()).map(e => e.code)).toEqual(Array(5).fill('unavailable'))
    expect(ends).toHaveLength(5)
    expect((await fives()).map(e => e.code)).toEqual(Array(5).fill('unavailable'))
    expect(ends).toHaveLength(5)
    expect(failures.filter(f => f[2] === 'skipped')).toHaveLength(5)
    ends.forEach(end => end())
    await settle()
    const answer = runner.willPublish(message)
    ends[5]!()
    await answer
  })

  test.each([[42], ['refused'], [{ then: 1 }], [[]], [false]])('nonsense returned (%p) is ignored', value => {
    let after = 0
    const { runner, failures } = setUp([{ willPublish: returning(value) }, { willPublish () { after++ } }])
    expect(runner.willPublish(message)).toBeUndefined()
    expect(after).toBe(1)
    expect(failures).toEqual([])
  })

  test('a promise of nonsense is ignored, a foreign thenable is waited for, a broken one fails', async () => {
    await expect(setUp([{ willPublish: returning(Promise.resolve({ deny: true })) }]).runner.willPublish(message)).resolves.toBeUndefined()
    let asked = 0
    const thenable = { then (done: () => void) { asked++; done() } }
    await setUp([{ willPublish: returning(thenable) }]).runner.willPublish(message)
    expect(asked).toBe(1)
    const broken = { get then (): never { throw new Error('x') } }
    expect((await thrownBy(() => setUp([{ willPublish: returning(broken) }]).runner.willPublish(message))).code).toBe('internal')
  })
})

describe('did hooks', () => {
  test.each(['didPublish', 'didConnect', 'didDisconnect'] as const)('%s: all run, none can do harm', async name => {
    const seen: unknown[] = []
    const { runner, failures, logger } = setUp([
      { [name]: throwing(new Error('a')) },
      { [name]: async () => { await settle(); throw new Error('b') } },
      { [name]: throwing(undefined) },
      { [name]: returning(7) },
      { [name]: (event: unknown) => { seen.push(event) } }
    ])
    const event = { ...connected }
    expect((runner[name] as (e: unknown) => unknown)(event)).toBeUndefined()
    expect(seen).toEqual([event])
    await settle(); await settle()
    expect(failures).toEqual([['p0', name, 'error'], ['p2', name, 'error'], ['p1', name, 'error']])
    expect(logger.lines.map(l => [l.plugin, l.hook])).toEqual([['p0', name], ['p2', name], ['p1', name]])
  })

  test('a hanging one is bounded, logged once a minute, and called again when it recovers', async () => {
    const ends: (() => void)[] = []
    const { runner, clock, failures, logger } = setUp([{ didConnect: () => new Promise<void>(resolve => ends.push(resolve)) }], { maxUnfinished: 10 })
    for (let i = 0; i < 25; i++) runner.didConnect(connected)
    expect(ends).toHaveLength(10)
    expect(failures).toEqual(Array(15).fill(['p0', 'didConnect', 'skipped']))
    expect(logger.lines).toHaveLength(1)
    clock.advance(1000)
    await settle()
    expect(failures.filter(f => f[2] === 'timeout')).toHaveLength(10)
    expect(logger.lines).toHaveLength(2)
    clock.advance(59_000)
    runner.didConnect(connected)
    expect(logger.lines).toHaveLength(3)
    expect(logger.lines[2]).toMatchObject({ failure: 'skipped', notLogged: 14 })
    ends.forEach(end => end())
    await settle()
    runner.didConnect(connected)
    expect(ends).toHaveLength(11)
  })

  test('the limit is 1,000 unless told otherwise', () => {
    let calls = 0
    const { runner } = setUp([{ didConnect: () => { calls++; return never } }])
    for (let i = 0; i < 1500; i++) runner.didConnect(connected)
    expect(calls).toBe(1000)
  })
})

describe('authenticate', () => {
  const saying = (...verdicts: unknown[]): Hooks[] => verdicts.map(v => ({ authenticate: returning(v) }))

  test('asks in order until one does not answer not-mine', async () => {
    const refused: Verdict = { kind: 'refused', reason: 'forbidden', why: 'x' }
    const asked: number[] = []
    const asking = (n: number, v: Verdict): Hooks => ({ authenticate: async () => { asked.push(n); return v } })
    const { runner, clock } = setUp([asking(0, { kind: 'not-mine' }), asking(1, refused), asking(2, accepted)])
    expect(await runner.authenticate(credentials)).toBe(refused)
    expect(asked).toEqual([0, 1])
    expect(clock.waiting).toBe(0)
    expect(await setUp(saying({ kind: 'not-mine' }, accepted)).runner.authenticate(credentials)).toBe(accepted)
  })

  test('nobody took them: refused', async () => {
    const expected = { kind: 'refused', reason: 'credential', why: 'no provider took the credentials' }
    expect(await setUp([]).runner.authenticate(credentials)).toEqual(expected)
    expect(await setUp(saying({ kind: 'not-mine' }, { kind: 'not-mine' })).runner.authenticate(credentials)).toEqual(expected)
  })

  test('a provider that throws or hangs is down: the next is not asked', async () => {
    for (const thrown of [new Error('ECONNREFUSED'), undefined, new ParleyError('forbidden', 'x')]) {
      for (const authenticate of [throwing(thrown), rejecting(thrown)]) {
        const { runner, failures } = setUp([{ authenticate: authenticate as () => never }, ...saying(accepted)])
        expect(await runner.authenticate(credentials)).toMatchObject({ kind: 'down', why: expect.stringContaining('p0') as string })
        expect(failures).toEqual([['p0', 'authenticate', 'error']])
      }
    }
    const { runner, clock, failures } = setUp([{ authenticate: () => never }, ...saying(accepted)], { timeoutMs: 50, maxUnfinished: 1 })
    const verdict = runner.authenticate(credentials)
    clock.advance(50)
    expect(await verdict).toEqual({ kind: 'down', why: 'p0: no answer within 50 ms' })
    expect(await runner.authenticate(credentials)).toMatchObject({ kind: 'down' })
    expect(failures.map(f => f[2])).toEqual(['timeout', 'skipped'])
  })

  test.each<[unknown]>([
    [undefined], [null], [true], ['accepted'], [{}], [{ kind: 'ok' }], [{ kind: 'accepted' }], [{ kind: 'accepted', identity: null }],
    [{ kind: 'refused' }], [{ kind: 'refused', reason: 'because', why: '' }],
    [{ kind: 'accepted', identity: { user: 'a/b', admin: false, expiresMs: 0 } }], [{ kind: 'accepted', identity: { user: '', admin: false, expiresMs: 0 } }],
    [{ kind: 'accepted', identity: { user: ['anna'], admin: false, expiresMs: 0 } }], [{ kind: 'accepted', identity: { user: 'anna', admin: 'no', expiresMs: 0 } }],
    [{ kind: 'accepted', identity: { user: 'anna', admin: false } }], [{ kind: 'accepted', identity: { user: 'anna', admin: false, expiresMs: NaN } }],
  ])('nonsense lets nobody in: %j', async answer => {
    const { runner, failures, logger } = setUp(saying(answer))
    expect(await runner.authenticate(credentials)).toEqual({ kind: 'down', why: 'p0: answered no verdict' })
    expect(failures).toEqual([['p0', 'authenticate', 'invalid']])
    expect(logger.lines).toHaveLength(1)
  })
})
