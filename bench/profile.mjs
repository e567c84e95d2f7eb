#!/usr/bin/env node
// Where a broker's time goes under one load: node bench/profile.mjs MODE [name=value …], the load's own words
// (bench/load.mjs). Prints the shares of the main thread by part, then the functions with the most of their own.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { startParley } from './rig/brokers.mjs'
import { removeFolder, temporaryFolder } from './rig/children.mjs'
import { load } from './rig/measure.mjs'

const TOP = 25
const [mode, ...pairs] = process.argv.slice(2)
if (mode === undefined) {
  console.error('usage: node bench/profile.mjs MODE [name=value …]')
  process.exit(2)
}

const PARTS = [
  ['idle', ({ functionName }) => functionName === '(idle)'],
  ['garbage collection', ({ functionName }) => functionName === '(garbage collector)'],
  ['socket writes', ({ functionName, url }) => /^write(v|Buffer|Utf8String|Latin1String)$/.test(functionName) && url === ''],
  ['LMDB', ({ url }) => url.includes('node_modules/lmdb')],
  ['store (stores/lmdb)', ({ url }) => url.includes('/broker/stores/')],
  ['reading content, building entries (domain)', ({ url }) => url.includes('/broker/domain/')],
  ['core', ({ url }) => url.includes('/broker/core/') || url.includes('/plugins/')],
  ['MQTT (broker/mqtt)', ({ url }) => url.includes('/broker/mqtt/')],
  ['Node (streams, timers, buffers)', ({ url }) => url.startsWith('node:')],
  ['other', () => true],
]

const folder = temporaryFolder('profile')
const main = path.join(import.meta.dirname, '..', 'dist', 'main.js')
const broker = await startParley(main, { nodeOptions: ['--cpu-prof', `--cpu-prof-dir=${folder}`] })
const args = Object.fromEntries(pairs.map((pair) => pair.split('=')))
await load(mode, args, broker) // warms up
const beginUs = Number(process.hrtime.bigint() / 1000n) // the profile's clock is the same one
const result = await load(mode, args, broker)
await broker.stop()

const profile = JSON.parse(readFileSync(path.join(folder, readdirSync(folder)[0]), 'utf8'))
removeFolder(folder)
const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
const parts = new Map(PARTS.map(([name]) => [name, 0]))
const own = new Map()
let total = 0
let atUs = profile.startTime
profile.samples.forEach((id, i) => {
  const frame = frames.get(id)
  const us = profile.timeDeltas[i]
  atUs += us
  if (atUs < beginUs) return
  const part = PARTS.find(([, is]) => is(frame))[0]
  parts.set(part, parts.get(part) + us)
  if (part === 'idle') return
  total += us
  const name = `${frame.functionName || '(anonymous)'} ${frame.url.split('/').slice(-2).join('/')}:${frame.lineNumber + 1}`
  own.set(name, (own.get(name) ?? 0) + us)
})

const percent = (us) => `${(100 * us / total).toFixed(1).padStart(5)} %`
console.log(JSON.stringify(result))
console.log(`\nmain thread, of ${(total / 1e6).toFixed(1)} s busy (idle: ${(parts.get('idle') / 1e6).toFixed(1)} s)`)
for (const [name, us] of [...parts].sort((a, b) => b[1] - a[1])) if (name !== 'idle') console.log(`${percent(us)}  ${name}`)
console.log('\nfunctions')
for (const [name, us] of [...own].sort((a, b) => b[1] - a[1]).slice(0, TOP)) console.log(`${percent(us)}  ${name}`)
