// Ends the servers of a run: what its files name, and nothing else.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

export function endServers (dir) {
  for (const name of readdirSync(dir, { recursive: true }).filter(f => f.endsWith('.json'))) {
    for (const pid of pidsIn(join(dir, name))) {
      try { process.kill(pid, 'SIGKILL') } catch { /* it has ended already */ }
    }
  }
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
}

/** Of a server that is just starting the file may be half written. */
function pidsIn (file) {
  try { return JSON.parse(readFileSync(file, 'utf8')).pids ?? [] } catch { return [] }
}
