// The two brokers: Parley as built in dist/, and Mosquitto, which keeps everything in memory, beside it.
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { end, removeFolder, spawn, temporaryFolder } from './children.mjs'

const START_MS = 60000

export const freePort = () => new Promise((resolve, reject) => {
  const server = net.createServer()
  server.once('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => { resolve(port) })
  })
})

/** Waits until `check` says yes; a child that does not come that far is ended. */
async function ready (child, check, everyMs, broken) {
  const deadline = performance.now() + START_MS
  while (!await check()) {
    if (broken() !== null) throw new Error(broken())
    if (performance.now() > deadline) {
      await end(child, 'SIGKILL')
      throw new Error(`not ready within ${START_MS / 1000} s`)
    }
    await sleep(everyMs)
  }
}

const answers200 = (port) => new Promise((resolve) => {
  const request = http.get({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (response) => {
    response.resume()
    resolve(response.statusCode === 200)
  })
  request.on('error', () => { resolve(false) })
})

const accepts = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('connect', () => { socket.destroy(); resolve(true) })
  socket.on('error', () => { resolve(false) })
})

/** A self-signed certificate, or an error that says what is missing. */
function makeCertificate (folder) {
  const cert = path.join(folder, 'tls.crt')
  const key = path.join(folder, 'tls.key')
  try {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' })
  } catch (error) {
    throw new Error('openssl could not make a certificate; is it installed?', { cause: error })
  }
  return { cert, key }
}

/** What Parley is measured with, port numbers and folders aside. */
export const parleyConfig = ({ dataDir, port, httpPort, tls, auth = { dev: true }, acl }) => ({
  dataDir,
  listeners: [tls === undefined ? { protocol: 'mqtt', host: '127.0.0.1', port } : { protocol: 'mqtts', host: '127.0.0.1', port, ...tls }],
  http: { host: '127.0.0.1', port: httpPort },
  auth,
  ...(acl === undefined ? {} : { acl }),
  limits: { publishPerSecond: 0, connectionsPerUser: 0 },
})

/**
 * Starts Parley and waits until /readyz answers 200. `dataDir`: a store to go on with, which `stop` then leaves.
 * `auth`: who may sign in, if not whoever says a name; `acl`: rules for ordinary topics. `inspect`: with Node's inspector on `inspectPort`; `nodeOptions`: more of Node's own. `readyMs` is counted from the spawn.
 */
export async function startParley (main, { dataDir, auth, acl, secure = false, inspect = false, nodeOptions = [] } = {}) {
  if (!existsSync(main)) throw new Error(`${path.relative('.', main)} is missing: npm run build`)
  const folder = temporaryFolder('parley')
  const [port, httpPort, inspectPort] = [await freePort(), await freePort(), inspect ? await freePort() : null]
  const config = parleyConfig({ dataDir: dataDir ?? path.join(folder, 'data'), port, httpPort, auth, acl, tls: secure ? makeCertificate(folder) : undefined })
  const file = path.join(folder, 'parley.json')
  writeFileSync(file, JSON.stringify(config))
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...nodeOptions, ...(inspect ? [`--inspect=127.0.0.1:${inspectPort}`] : []), main, 'serve', '--config', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => { said = (said + bytes).slice(-2000) })
  const broken = () => child.exitCode === null && child.signalCode === null ? null : `Parley ended (${child.exitCode ?? child.signalCode})\n${said}`
  await ready(child, () => answers200(httpPort), 5, broken)
  return {
    name: 'Parley', to: 'parley', port, secure, inspectPort, pid: child.pid, broken,
    readyMs: performance.now() - startedAt,
    stop: async () => {
      const early = broken()
      await end(child)
      removeFolder(folder)
      if (early !== null) throw new Error(early)
    },
  }
}

// Where Debian keeps servers; often not in the PATH of who is not root.
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`

export const mosquittoConfig = (port) => [
  `listener ${port} 127.0.0.1`,
  'allow_anonymous true',
  'max_queued_messages 0',
  'max_inflight_messages 0',
  'persistence false',
  'set_tcp_nodelay true',
]

/** Null when Mosquitto is not installed. */
export function mosquittoVersion () {
  try {
    execFileSync('mosquitto', ['-h'], { env: { PATH }, stdio: 'pipe' })
  } catch (error) {   // its help exits 3
    return /version ([\d.]+)/.exec(String(error.stdout))?.[1] ?? null
  }
  return null
}

export async function startMosquitto () {
  const folder = temporaryFolder('mosquitto')
  const port = await freePort()
  const file = path.join(folder, 'mosquitto.conf')
  writeFileSync(file, mosquittoConfig(port).join('\n') + '\n')
  const child = spawn('mosquitto', ['-c', file], { stdio: 'ignore', env: { PATH } })
  const broken = () => child.exitCode === null && child.signalCode === null ? null : `Mosquitto ended (${child.exitCode ?? child.signalCode})`
  await ready(child, () => accepts(port), 20, broken)
  return { name: 'Mosquitto', to: 'plain', port, pid: child.pid, broken, stop: async () => { await end(child); removeFolder(folder) } }
}
