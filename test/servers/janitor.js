// Waits for the end of a run of jest, and ends its servers if it could not do so itself.
import { existsSync } from 'node:fs'
import { endServers } from './end.js'

const [dir, jest] = process.argv.slice(2)
setInterval(() => {
  if (!existsSync(dir)) process.exit()
  try { process.kill(Number(jest), 0) } catch {
    endServers(dir)
    process.exit()
  }
}, 1000)
