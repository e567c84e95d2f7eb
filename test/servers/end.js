// Ends the servers of a run: what its files name, and nothing else.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

export function endServers (dir) {
  for (const name of readdirSync(dir).filter(f => f.endsWith('.json'))) {
    for (const pid of JSON.parse(readFileSync(join(dir, name), 'utf8')).pids) {
      try { process.kill(pid, 'SIGKILL') } catch { /* it has ended already */ }
    }
  }
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
}
