import path from 'node:path'
import { removeFolder, temporaryFolder } from '../rig/children.mjs'
import { occupiedBytes } from '../rig/machine.mjs'
import { command, load, median } from '../rig/measure.mjs'
import { count } from './words.mjs'
import { withParley } from './with-brokers.mjs'

const WHAT = 'start with a 1 GB store'
const ARGS = { n: 2000, mb: 1024, size: 60000, max: 600 }
const READY_MS = 2000

export const start = {
  title: 'Start',
  run: async (context) => {
    const folder = temporaryFolder('store')
    const settings = { dataDir: path.join(folder, 'data') }
    const filled = await withParley(context, (parley) => load('fill', ARGS, parley), settings)
    const storeMb = occupiedBytes(settings.dataDir) / 2 ** 20
    context.say(`start: a store of ${count(storeMb)} MB after ${filled.secs} s`)
    const readyMs = []
    for (let i = 1; i <= context.rounds; i++) {
      readyMs.push(Math.round(await withParley(context, (parley) => parley.readyMs, settings)))
      context.say(`start, round ${i}/${context.rounds}: ready after ${count(readyMs.at(-1))} ms`)
    }
    removeFolder(folder)
    const worst = Math.max(...readyMs)
    return {
      parts: [{
        what: WHAT,
        must: `ready within ${READY_MS / 1000} s`,
        measured: `**${count(median(readyMs))} ms**, at worst ${count(worst)} ms, with ${count(storeMb)} MB`,
        holds: worst <= READY_MS && storeMb >= ARGS.mb,
      }],
      series: { [WHAT]: { filled, storeMb: Math.round(storeMb), readyMs } },
      commands: [command('fill', ARGS)],
      notes: ['From the spawn of the process to 200 on /readyz; the store was written just before, so it lies in the page cache.'],
    }
  },
}
