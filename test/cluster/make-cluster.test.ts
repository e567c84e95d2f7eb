import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from '../servers/server-process.js'
import { Client } from '../support/client.js'

// What `make cluster` runs.
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const args = ['--import', here('../servers/typescript.js'), here('../servers/cluster.ts')]
const READY_MS = 60_000

let root: string
let child: ChildProcess
let said: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'parley-make-'))
  const { NODE_OPTIONS: _options, ...env } = process.env
  said = ''
  child = spawn(process.execPath, args, { env: { ...env, TMPDIR: root }, stdio: ['ignore', 'ignore', 'pipe'] })
  child.stderr!.on('data', (b: Buffer) => { said += b.toString() })
})
afterEach(() => {
  child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

/** The processes that were started so far, by name. */
function started (): Map<string, number> {
  const [dir] = readdirSync(root)
  if (dir === undefined) return new Map()
  const files = readdirSync(join(root, dir)).filter(f => f.endsWith('.json'))
  return new Map(files.map(f => [f.replace('.json', ''), (JSON.parse(readFileSync(join(root, dir, f), 'utf8')) as { pids: number[] }).pids[0]!]))
}

/** One that nobody has waited for yet has ended, too. */
function runs (pid: number): boolean {
  try { process.kill(pid, 0) } catch { return false }
  try { return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8')) } catch { return process.platform !== 'linux' }
}

async function gone (pids: Iterable<number>): Promise<void> {
  await until(async () => {
    for (const pid of pids) if (runs(pid)) throw new Error(`process ${pid} is left running`)
    if (readdirSync(root).length > 0) throw new Error('files are left')
  })
}

async function ready (): Promise<void> {
  await until(async () => {
    if (child.exitCode !== null) throw new Error(said)
    if (!said.includes('Ctrl-C')) throw new Error(`not ready:\n${said}`)
  }, READY_MS)
}

test('make cluster: what it prints works; Ctrl-C ends all of it, and leaves nothing', async () => {
  await ready()
  const port = (line: RegExp): number => Number(line.exec(said)![1])
  const [listens, writes] = [port(/mosquitto_sub -p (\d+) -u bob/), port(/mosquitto_pub -p (\d+) -u alice/)]
  expect([...said.matchAll(/^ {2}node-\d +mqtt:\/\/127\.0\.0\.1:(\d+) /gm)].map(m => Number(m[1]))).toEqual([listens, writes])
  const bob = await Client.connect(listens, { user: 'bob', subscribe: ['me/#'] })
  const alice = await Client.connect(writes, { user: 'alice' })
  await alice.say('u/bob/msg', { body: 'hello bob' })
  expect((await bob.got('me/msg', 1))[0]!.json).toMatchObject({ conv: 'u/alice', body: 'hello bob' })
  const all = started()
  expect([...all.keys()].sort()).toEqual(['mongod-0', 'node-1', 'node-2', 'redis'])
  child.kill('SIGINT')
  expect(await once(child, 'exit')).toEqual([0, null])
  await gone(all.values())
}, 2 * READY_MS)

test('killed, it leaves nothing running either', async () => {
  await ready()
  const all = started()
  child.kill('SIGKILL')
  await gone(all.values())
}, 2 * READY_MS)

test('killed while its servers start, the same', async () => {
  const all = await until(async () => {
    const some = started()
    if (some.size === 0) throw new Error('nothing was started yet')
    return some
  })
  child.kill('SIGKILL')
  await gone(all.values())
}, READY_MS)

test('a node that ends is told, and all ends with it', async () => {
  await ready()
  const all = started()
  process.kill(all.get('node-2')!, 'SIGKILL')
  expect(await once(child, 'exit')).toEqual([1, null])
  expect(said).toContain('make cluster: node-2 ended')
  await gone(all.values())
}, 2 * READY_MS)
