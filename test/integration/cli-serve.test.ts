import { EventEmitter, once } from 'node:events'
import { greeting } from '../../broker/cli/greeting.js'
import { createLog } from '../../broker/cli/log.js'
import { runNode, type RunningNode } from '../../broker/cli/run-node.js'
import { explainStartFailure } from '../../broker/cli/start-failure.js'
import { loadConfig } from '../../broker/config/load.js'

const { config } = loadConfig({ env: { PARLEY_DRAIN_TIMEOUT_MS: '100' }, cwd: '/' })
const addresses = [{ protocol: 'mqtt', url: 'mqtt://127.0.0.1:1884' }]

/** A life of a node under test: its signals, what it logged and said, and its exit code. */
function live (startNode: () => Promise<RunningNode>) {
  const signals = new EventEmitter()
  const events = new EventEmitter()
  const lines: Record<string, unknown>[] = []
  const said: string[] = []
  const log = createLog('info', {
    write: (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>
      lines.push(entry)
      events.emit(String(entry.msg))
    },
  })
  const code = runNode(config, { startNode, reread: () => config, log, signals, say: (text) => { said.push(text) }, announce: async () => { log.info('ready') } })
  return { signals, lines, said, code, logged: async (msg: string) => { if (!lines.some((line) => line.msg === msg)) await once(events, msg) }, signal: (name: string) => signals.emit(name, name) }
}
const node = (more: Partial<RunningNode> = {}): RunningNode => ({ addresses, close: async () => {}, reload: async () => {}, ...more })

describe('a node in the foreground', () => {
  test.each(['SIGTERM', 'SIGINT'])('%s drains it: exit 0, and no handler stays behind', async (name) => {
    const closed: string[] = []
    const run = live(async () => node({ close: async () => { closed.push('closed') } }))
    await run.logged('ready')
    run.signal(name)
    expect(await run.code).toBe(0)
    expect(closed).toEqual(['closed'])
    expect(run.signals.eventNames()).toEqual([])
  })

  test('a drain that takes too long ends at drain.timeoutMs: exit 1', async () => {
    const run = live(async () => node({ close: async () => { await new Promise(() => {}) } }))
    await run.logged('ready')
    run.signal('SIGTERM')
    expect(await run.code).toBe(1)
    expect(run.lines.at(-1)).toMatchObject({ outcome: 'timeout' })
  })

  test('a second signal ends it at once: exit 1', async () => {
    const run = live(async () => node({ close: async () => { run.signal('SIGINT'); await new Promise(() => {}) } }))
    await run.logged('ready')
    run.signal('SIGINT')
    expect(await run.code).toBe(1)
    expect(run.lines.at(-1)).toMatchObject({ outcome: 'hurried' })
  })

  test('a signal while it starts lets the start end and closes it', async () => {
    let begin = (_node: RunningNode): void => {}
    const closed: string[] = []
    const run = live(async () => await new Promise((resolve) => { begin = resolve }))
    run.signal('SIGTERM')
    await run.logged('stopping')
    begin(node({ close: async () => { closed.push('closed') } }))
    expect(await run.code).toBe(0)
    expect(closed).toEqual(['closed'])
    expect(run.lines.some(({ msg }) => msg === 'ready')).toBe(false)
  })

  test('SIGHUP reloads, and a reload that fails ends nothing', async () => {
    let fails = false
    const run = live(async () => node({ reload: async () => { if (fails) throw new Error('half a key') } }))
    await run.logged('ready')
    run.signal('SIGHUP')
    await run.logged('reloaded')
    fails = true
    run.signal('SIGHUP')
    await run.logged('reload failed; what was loaded before stays')
    run.signal('SIGTERM')
    expect(await run.code).toBe(0)
  })

  test('a start that fails says what to do: exit 1', async () => {
    const run = live(async () => { throw Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE', address: '127.0.0.1', port: 1883 }) })
    expect(await run.code).toBe(1)
    expect(run.said.join('')).toMatch(/^parley: not started: 127\.0\.0\.1:1883 is taken by another program\. .*listeners\[0\]\.port \(PARLEY_LISTENERS\)\.\n$/)
  })
})

test.each<[{ code?: string, port?: number, address?: string, path?: string, message?: string }, RegExp]>([
  [{ code: 'EADDRINUSE', port: 8080, address: '::1' }, /^\[::1\]:8080 is taken.*http\.port \(PARLEY_HTTP_PORT\)/],
  [{ code: 'EACCES', port: 80, address: '0.0.0.0' }, /may not listen on 0\.0\.0\.0:80/],
  [{ code: 'EADDRNOTAVAIL', port: 1883, address: '9.9.9.9' }, /no address of this machine/],
  [{ code: 'EACCES', path: '/data/x' }, /^\/data\/x may not be written/],
  [{ message: 'the store is newer than this version' }, /^the store is newer/],
])('%j is explained', (error, expected) => {
  expect(explainStartFailure(Object.assign(new Error(error.message ?? 'failed'), error), config)).toMatch(expected)
})

test('the log never holds a body or a token', () => {
  let written = ''
  const log = createLog('info', { write: (line) => { written += line } })
  log.info({ password: 'hunter2', body: { text: 'hunter2' }, packet: { payload: Buffer.from('hunter2') }, req: { headers: { authorization: 'hunter2' } }, user: 'bob' }, 'x')
  log.child({ token: 'hunter2' }).info('y')
  expect(written).toContain('"user":"bob"')
  expect(written).not.toMatch(/hunter2|104,117,110/)
})

describe('the greeting', () => {
  test('has two lines to paste with the real port', () => {
    const text = greeting({ addresses: [...addresses, { protocol: 'ws', url: 'ws://[::1]:8083/mqtt' }], dev: true })
    expect(text).toContain('for this machine only')
    expect(text).toContain(`mosquitto_sub -p 1884 -u bob -i phone -t 'me/#' -q 1\n`)
    expect(text).toContain(`mosquitto_pub -p 1884 -u alice -i laptop -t u/bob/msg -q 1 -m '{"body":"hello bob"}'\n`)
    expect(text).toContain(`npx mqtt sub -p 1884 -u bob -i phone -t 'me/#' -q 1\n`)
  })

  test('names the host and the tokens where they are needed', () => {
    const text = greeting({ addresses: [{ protocol: 'mqtt', url: 'mqtt://192.168.1.5:1883' }], dev: false, tokens: { alice: 'aa', bob: 'bb' } })
    expect(text).not.toContain('this machine only')
    expect(text).toContain('mosquitto_sub -p 1883 -h 192.168.1.5 -u bob -P bb -i phone')
  })

  test('gives no examples to who has tokens of his own', () => {
    expect(greeting({ addresses, dev: false })).not.toContain('mosquitto')
  })
})
