// A process with a store in the folder of its first argument, as built in dist/; its parent calls the store by messages.
import { readFileSync } from 'node:fs'
import { openLmdb } from '../../dist/broker/stores/lmdb/open.js'

const lines = []
const log = Object.fromEntries(['debug', 'info', 'warn', 'error'].map(level => [level, (fields, message) => lines.push({ level, message })]))

/** KiB of the data file that this process has touched. */
function touchedKb () {
  const maps = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
  return maps.filter(m => /store\.mdb$/m.test(m.split('\n')[0])).reduce((kb, m) => kb + Number(/^Rss:\s+(\d+)/m.exec(m)[1]), 0)
}

const startedMs = performance.now()
let stores
try {
  stores = await openLmdb(process.argv[2], { log })
} catch (e) {
  process.send({ refused: { message: e.message, code: e.code } }, () => process.exit(1))
}
if (stores !== undefined) {
  process.send({ opened: performance.now() - startedMs })
  const own = { lines: () => lines, health: () => stores.health(), epoch: () => stores.epoch, touchedKb, close: async () => { await stores.close() } }
  process.on('message', async ({ id, part, method, args }) => {
    try {
      const result = part === 'own' ? await own[method](...args) : await stores[part][method](...args)
      process.send({ id, result })
    } catch (e) {
      process.send({ id, error: { message: e.message, code: e.code } })
    }
  })
}
