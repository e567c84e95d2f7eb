import { loadConfig } from './dist/broker/config/load.js'

// Where the node listens is up to its configuration, so that is asked. Not /readyz: who restarts what is unhealthy
// should not restart a node because MongoDB is away.
const { http } = loadConfig({ file: '/etc/parley/parley.yaml', env: process.env, cwd: process.cwd() }).config
const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[http.host] ?? http.host
const response = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${http.port}/healthz`, { signal: AbortSignal.timeout(4000) })
process.exitCode = response.ok ? 0 : 1
