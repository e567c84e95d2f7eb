// Runs inside the broker under attack (node --import): says over IPC what only the process itself knows.
import { readFileSync } from 'node:fs'

const ROUND_MS = 5
let pauseMs = 0
let lastMs = performance.now()
let lastCpu = process.cpuUsage()

/** How long one turn of the event loop took; not more than it computed: the machine may have been busy with others. */
function round () {
  const now = performance.now()
  const { user, system } = process.cpuUsage(lastCpu)
  pauseMs = Math.max(pauseMs, Math.min(now - lastMs, (user + system) / 1000))
  lastMs = now
  lastCpu = process.cpuUsage()
}
setInterval(round, ROUND_MS).unref()

/** Memory of the process's own: what is mapped from the store's file is the kernel's to take back. */
const anonymousBytes = () => Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024

process.on('message', () => {
  round()
  const said = pauseMs
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  process.send({ pauseMs: said, heapBytes: heapUsed + external, anonymousBytes: anonymousBytes() })
  round()
  pauseMs = 0 // this was no pause of the broker's
})
process.channel.unref() // it ends when the broker ends
