#!/usr/bin/env node
// The load generator: raw sockets, MQTT 3.1.1, no dependencies; README.md beside it lists modes and options.
//   node bench/load.mjs MODE port=1883 [to=parley|plain] [n=… m=… window=… …]
// Prints one JSON line (before it, in some modes, lines {"phase":…}).
import { lost } from './load/client.mjs'
import { options } from './load/scene.mjs'
import { guess } from './load/guess.mjs'
import { fanout, pairs, storm } from './load/throughput.mjs'
import { frozen, steady } from './load/paced.mjs'
import { behind } from './load/behind.mjs'
import { fill, idle } from './load/at-rest.mjs'

const modes = { fanout, pairs, storm, steady, frozen, behind, idle, fill, guess }

const run = modes[options.mode]
if (run === undefined) {
  console.error(`usage: node bench/load.mjs MODE port=PORT [name=value …]\nmodes: ${Object.keys(modes).join(' ')}`)
  process.exit(2)
}
try {
  const began = performance.eventLoopUtilization()
  const result = await run()
  // Near 1 the generator, not the broker, was the limit.
  const busy = +performance.eventLoopUtilization(began).utilization.toFixed(2)
  const line = { mode: options.mode, ...result, busy, ...(lost.connections > 0 ? { lostConnections: lost.connections } : {}) }
  process.stdout.write(JSON.stringify(line) + '\n', () => { process.exit(0) })
} catch (error) {
  console.error(`${options.mode}: ${error.message}`)
  process.exit(1)
}
