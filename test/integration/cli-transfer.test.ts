import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openLmdb } from '../../broker/stores/lmdb/open.js'
import { direct, draft } from '../contract/opened.js'
import { until } from '../servers/server-process.js'
import { newDatabase } from '../servers/shared.js'
import { Client } from '../support/client.js'
import { Home } from '../support/process.js'
import { recordingLogger } from '../support/recording-logger.js'

// As an operator runs them: the built file, in processes of their own.
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
let folder: string
const children = new Set<ChildProcess>()
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'parley-cli-')) })
afterEach(() => {
  for (const c of children) c.kill('SIGKILL')
  children.clear()
  rmSync(folder, { recursive: true })
})

interface Running { child: ChildProcess, over: Promise<{ code: number | null, signal: string | null, out: string, err: string }> }
/** `limit`: kilobytes that a file may have. */
function start (args: string[], { env = {}, limit = 0 }: { env?: Record<string, string>, limit?: number } = {}): Running {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_') && name !== 'NODE_OPTIONS'))
  const command = [process.execPath, main, ...args]
  const [program, ...rest] = limit === 0 ? command : ['/bin/sh', '-c', `ulimit -f ${2 * limit} && exec "$0" "$@"`, ...command]
  const child = spawn(program!, rest, { cwd: folder, env: { ...inherited, ...env } })
  children.add(child)
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  return { child, over: once(child, 'close').then(() => ({ code: child.exitCode, signal: child.signalCode, out, err })) }
}
const parley = async (...[args, more]: Parameters<typeof start>) => await start(args, more).over

/** A store of 40 MB; no part of what moves it may hold all. */
async function large (): Promise<void> {
  const { log, close } = await openLmdb(join(folder, 'large'), { log: recordingLogger() })
  const body = Buffer.from(`"body":"${'x'.repeat(20_000)}"`)
  for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 100 }, async () => await log.append(draft(direct('alice', 'bob'), { fields: body }))))
  await close()
}

test.each<[string[], number, RegExp]>([
  [['export', '--help'], 0, /usage: parley export DIR \[--config FILE\]/],
  [['import', '--help'], 0, /usage: parley import DIR \[--config FILE\]/],
  [['export'], 2, /DIR is missing/],
  [['import', 'a', 'b'], 2, /nothing known to do with "b"/],
  [['import', ''], 2, /DIR: names no folder/],
  [['export', 'a', '--config', 'nope.yaml'], 2, /there is no such file/],
  [['exprt', 'a'], 2, /did you mean export\?/],
  [['export', 'a', '--data-dir', 'nothing-here'], 1, /there is no store in .*nothing-here: check dataDir/],
  [['import', 'a'], 1, /a holds no whole export/]
])('%j: exit %i', async (args, code, says) => {
  const outcome = await parley(args)
  expect(outcome.out + outcome.err).toMatch(says)
  expect(outcome.code).toBe(code)
  expect(existsSync(join(folder, 'nothing-here'))).toBe(false)
})

test('a node\'s data moves to MongoDB, where the chat goes on; not while the node has it', async () => {
  const home = new Home()
  const { url, drop } = await newDatabase()
  const clustered = new Home({ mongo: { url } })
  const [config, toMongo] = [join(home.dir, 'parley.json'), join(clustered.dir, 'parley.json')]
  const files = join(folder, 'files')
  try {
    const node = await home.start()
    const alice = await Client.connect(node.mqttPort, { user: 'alice', clean: false, subscribe: ['me/#'] })
    const bob = await Client.connect(node.mqttPort, { user: 'bob', clean: false, subscribe: ['me/#'] })
    await alice.say('u/bob/msg', { cid: 'c1', body: 'before' })
    await bob.got('me/msg', 1)
    await bob.end()
    await alice.say('u/bob/msg', { cid: 'c2', body: 'while bob is away' })
    await alice.end()
    expect(await parley(['export', files, '--config', config])).toMatchObject({ code: 1, err: expect.stringContaining('parley: ') as string })
    expect(await node.stop()).toBe(0)

    const done = await parley(['export', files, '--config', config])
    expect(done).toMatchObject({ code: 0, out: '' })
    expect(done.err.trim().split('\n').at(-1)).toMatch(/^exported 1 conversations, 2 cursors, 2 inbox rows, 0 members, 0 groups, 2 users, 0 blocks, 2 devices, .*, 2 entries, into /)
    for (let i = 0; i < 2; i++) {
      const { code, err } = await parley(['import', files, '--config', toMongo])
      expect({ code, last: err.trim().split('\n').at(-1) }).toEqual({ code: 0, last: expect.stringMatching(/^imported 1 conversations, .*, 2 entries; every conversation was compared with the files$/) as string })
    }

    const there = await clustered.start()
    const again = await Client.connect(there.mqttPort, { user: 'bob', clean: false, subscribe: ['me/#'] })
    await again.got('me/msg', 1)
    const writer = await Client.connect(there.mqttPort, { user: 'alice', clean: false, subscribe: ['me/#'] })
    await writer.say('u/bob/msg', { cid: 'c2', body: 'while bob is away' })
    await writer.say('u/bob/msg', { cid: 'c3', body: 'after' })
    await again.got('me/msg', 2)
    expect(again.on('me/msg').map(d => [d.json.seq, d.json.body])).toEqual([[2, 'while bob is away'], [3, 'after']])
    expect(await parley(['import', files, '--config', toMongo])).toMatchObject({ code: 1, err: expect.stringContaining('import while none does') as string })
    expect((await parley(['export', join(folder, 'beside'), '--config', toMongo])).code).toBe(0)
    await there.stop()
  } finally {
    await home.close()
    await clustered.close()
    await drop()
  }
})

test.each<[NodeJS.Signals, object]>([
  ['SIGKILL', { signal: 'SIGKILL' }],
  ['SIGTERM', { code: 1, err: expect.stringContaining('stopped by SIGTERM; nothing is whole yet') as string }]
])('an import that %s ends is no store; run again, it is whole. With little memory, telling how far it is', async (signal, ends) => {
  await large()
  const env = { NODE_OPTIONS: '--max-old-space-size=40' }
  expect((await parley(['export', 'files', '--data-dir', 'large'], { env })).code).toBe(0)
  const running = start(['import', 'files', '--data-dir', 'target'])
  const store = join(folder, 'target/store.mdb')
  await until(async () => { if (statSync(store).size < 1 << 20) throw new Error('nothing is stored yet') })
  running.child.kill(signal)
  expect(await running.over).toMatchObject(ends)
  writeFileSync(join(folder, 'parley.yaml'), 'dataDir: target\nlisteners: [ { protocol: mqtt, host: 127.0.0.1, port: 0 } ]\nhttp: { port: 0 }\n')
  expect(await parley(['serve', '--config', 'parley.yaml'])).toMatchObject({ code: 1, err: expect.stringContaining('a part of an import only: run `parley import` again') as string })
  const { code, err } = await parley(['import', 'files', '--data-dir', 'target'], { env })
  expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining('2000 entries; every conversation was compared') as string })
  expect((await parley(['export', 'again', '--data-dir', 'target'])).code).toBe(0)
  expect(readFileSync(join(folder, 'again/manifest.json'), 'utf8')).toBe(readFileSync(join(folder, 'files/manifest.json'), 'utf8'))
})

test('a disk that is full: exit 1, said so, nothing told as done; with room, the same again', async () => {
  await large()
  const full = await parley(['export', 'files', '--data-dir', 'large'], { limit: 5000 })
  expect(full).toMatchObject({ code: 1, err: expect.stringMatching(/the disk is full .*nothing is whole yet/) as string })
  expect(existsSync(join(folder, 'files/manifest.json'))).toBe(false)
  expect((await parley(['export', 'files', '--data-dir', 'large'])).code).toBe(0)
  const stuck = await parley(['import', 'files', '--data-dir', 'target'], { limit: 5000 })
  expect(stuck).toMatchObject({ code: 1, err: expect.stringMatching(/writing to .*target fails .*nothing is whole yet/) as string })
  expect((await parley(['import', 'files', '--data-dir', 'target'])).code).toBe(0)
})
