// `make cluster`: two nodes and their servers on this machine, to try by hand.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { examples } from '../../broker/cli/greeting.js'
import { endServers } from './end.js'
import { ReplicaSet } from './replica-set.js'
import { startRedis } from './valkey.js'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const JANITOR = fileURLToPath(new URL('janitor.js', import.meta.url))
/** Of the first node; the second one's are beside them. Where one is taken, the next one that is free. */
const PORTS = { mqtt: 1883, ws: 8083, http: 8080 }

interface Node { child: ChildProcess, mqtt: string, ws: string, http: string, over: Promise<void> }

const taken = new Set<number>()
async function portFrom (first: number): Promise<number> {
  for (let port = first; ; port++) {
    if (taken.has(port)) continue
    const server = createServer().listen(port, '127.0.0.1')
    try { await once(server, 'listening') } catch { continue }
    server.close()
    await once(server, 'close')
    taken.add(port)
    return port
  }
}

/** Resolves when it is ready. */
async function startNode (dir: string, name: string, settings: object): Promise<Node> {
  const ports = { mqtt: await portFrom(PORTS.mqtt), ws: await portFrom(PORTS.ws), http: await portFrom(PORTS.http) }
  const home = join(dir, name)
  mkdirSync(home)
  const config = join(home, 'parley.json')
  writeFileSync(config, JSON.stringify({
    dataDir: join(home, 'data'), http: { host: '127.0.0.1', port: ports.http }, auth: { dev: true }, ...settings,
    listeners: [{ protocol: 'mqtt', host: '127.0.0.1', port: ports.mqtt }, { protocol: 'ws', host: '127.0.0.1', port: ports.ws, path: '/mqtt' }]
  }))
  // In a group of its own: Ctrl-C reaches this process, which ends the nodes before their servers.
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', config], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  writeFileSync(join(dir, `${name}.json`), JSON.stringify({ pids: [child.pid] }))
  let said = ''
  const over = once(child, 'exit').then(() => {})
  await new Promise<void>((resolve, reject) => {
    const hear = (b: Buffer): void => {
      said = (said + b.toString()).slice(-4000)
      if (/"msg":"ready"/.test(said)) resolve()
      for (const line of b.toString().split('\n')) if (/"level":"(error|fatal)"/.test(line)) process.stderr.write(`${name}: ${line}\n`)
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    void over.then(() => { reject(new Error(`${name} ended:\n${said}`)) })
  })
  const at = '127.0.0.1:'
  return { child, mqtt: `mqtt://${at}${ports.mqtt}`, ws: `ws://${at}${ports.ws}/mqtt`, http: `http://${at}${ports.http}`, over }
}

function greeting (a: Node, b: Node): string {
  const node = (name: string, n: Node): string[] => [`  ${name}  ${n.mqtt}  ${n.ws}  ${n.http}`]
  return ['', 'Two nodes of Parley are one, for this machine only:', ...node('node-1', a), ...node('node-2', b), '',
    ...examples(a.mqtt, b.mqtt, undefined), '', 'Stop both and their servers with Ctrl-C; nothing is kept.', ''].join('\n')
}

async function run (dir: string, stopped: Promise<unknown>): Promise<void> {
  const [mongo, redis] = await Promise.all([
    ReplicaSet.start(dir, { members: 1 }).then(set => set.url('parley')),
    startRedis(dir).then(({ port }) => `redis://127.0.0.1:${port}`)
  ])
  const settings = { mongo: { url: mongo }, redis: { url: redis } }
  const nodes: Node[] = []
  for (const name of ['node-1', 'node-2']) nodes.push(await startNode(dir, name, settings))
  process.stderr.write(greeting(nodes[0]!, nodes[1]!))
  const ended = Promise.race(nodes.map(async (n, i) => { await n.over; throw new Error(`node-${i + 1} ended`) }))
  ended.catch(() => {}) // they end when they are told to, too
  await Promise.race([stopped, ended])
  for (const n of nodes) n.child.kill('SIGTERM')
  await Promise.all(nodes.map(async n => { await n.over }))
}

const dir = mkdtempSync(join(tmpdir(), 'parley-cluster-'))
spawn(process.execPath, [JANITOR, dir, String(process.pid)], { detached: true, stdio: 'ignore' }).unref()
let signals = 0
const stopped = new Promise<void>(resolve => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (++signals === 1) { resolve(); return }
      endServers(dir)
      process.exit(1)
    })
  }
})
try {
  await Promise.race([run(dir, stopped), stopped.then(async () => await new Promise(resolve => setTimeout(resolve, 30_000)))])
} catch (e) {
  process.stderr.write(`make cluster: ${(e as Error).message}\n`)
  process.exitCode = 1
} finally { endServers(dir) }
process.exit()
