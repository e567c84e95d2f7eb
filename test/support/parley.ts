import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningNode, startNode } from '../../broker/compose.js'
import { loadConfig } from '../../broker/config/load.js'
import { showProblem } from '../../broker/config/problem.js'
import type { Clock } from '../../broker/ports/clock.js'
import { newServers } from '../servers/shared.js'
import { Client, type ClientOptions } from './client.js'
import { type LogLine, recordingLogger } from './recording-logger.js'

/** A node in this process, on ports of its own. */
export interface Parley {
  node: RunningNode
  dataDir: string
  lines: LogLine[]
  /** Port of the first listener of a protocol. */
  port (protocol: string): number
  http (path: string): Promise<Response>
  /** A raw MQTT client, connected; closed when the test ends. */
  client (options: ClientOptions): Promise<Client>
  /** The same store, another process life. Clients are gone. */
  restart (): Promise<void>
  close (): Promise<void>
}

type Settings = Record<string, unknown>
const open = new Set<Parley>()

/** Put into `afterEach`: ends what a test began. */
export async function closeAll (): Promise<void> {
  for (const p of [...open]) await p.close()
}

/** Starts a node with `auth.dev`, no rate limits, and what `settings` says instead. */
export async function startParley (settings: Settings = {}, clock?: Clock): Promise<Parley> {
  const dir = mkdtempSync(join(tmpdir(), 'parley-'))
  const servers = process.env['PARLEY_TEST_ON'] === 'cluster' && !('mongo' in settings) ? await newServers() : { settings: {}, drop: async () => {} }
  const { limits, listeners, ...rest }: Settings = { ...servers.settings, ...settings }
  const file = join(dir, 'parley.json')
  writeFileSync(file, JSON.stringify({
    dataDir: join(dir, 'data'),
    listeners: listeners ?? [{ protocol: 'mqtt', host: '127.0.0.1', port: 0 }],
    http: { host: '127.0.0.1', port: 0 },
    auth: { dev: true },
    limits: { publishPerSecond: 0, connectionsPerUser: 0, connectsPerMinute: 0, ...(limits as Settings | undefined) },
    drain: { timeoutMs: 2000, perSecond: 0 },
    ...rest
  }))
  const { config, problems } = loadConfig({ file, env: {}, cwd: dir })
  if (problems.length > 0) throw new Error(problems.map(showProblem).join('\n'))
  const log = recordingLogger()
  const clients = new Set<Client>()
  const parley: Parley = {
    node: await startNode(config, { log, clock }),
    dataDir: join(dir, 'data'),
    lines: log.lines,
    port: protocol => Number(new URL(parley.node.addresses.find(a => a.protocol === protocol)!.url.replace(/^\w+:/, 'http:')).port),
    http: async path => await fetch(parley.node.addresses.find(a => a.protocol === 'http')!.url + path),
    client: async options => {
      const c = await Client.connect(parley.port('mqtt'), options)
      clients.add(c)
      return c
    },
    restart: async () => {
      for (const c of clients) c.destroy()
      clients.clear()
      await parley.node.close()
      parley.node = await startNode(config, { log, clock })
    },
    close: async () => {
      open.delete(parley)
      for (const c of clients) c.destroy()
      await parley.node.close()
      rmSync(dir, { recursive: true, force: true })
      await servers.drop()
    }
  }
  open.add(parley)
  return parley
}
