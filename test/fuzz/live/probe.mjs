// Runs inside the broker under attack (node --import): says over IPC what only the process itself knows.
import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const lag = monitorEventLoopDelay({ resolution: 5 })
lag.enable()
/** Memory of the process's own: what is mapped from the store's file is the kernel's to take back. */
const anonymousBytes = () => Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024

process.on('message', () => {
  const pauseMs = lag.max / 1e6
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  process.send({ pauseMs, heapBytes: heapUsed + external, anonymousBytes: anonymousBytes() })
  setImmediate(() => lag.reset()) // the collection above is no pause of the broker's
})
process.channel.unref() // it ends when the broker ends
