#!/usr/bin/env node
// Measures Parley against its targets, Mosquitto beside it where the target is a ratio; README.md says how.
//   node bench/run.mjs [name …] [--rounds=5] [--main=dist/main.js of another checkout] [--out=FOLDER]
//   node bench/run.mjs --than=dist/main.js of another checkout
import path from 'node:path'
import { parseArgs } from 'node:util'
import { mosquittoVersion } from './rig/brokers.mjs'
import { commit, machine } from './rig/machine.mjs'
import { readResults, writeResults } from './report.mjs'
import { behind } from './rows/behind.mjs'
import { frozen, frozenTopic } from './rows/frozen.mjs'
import { guessing } from './rows/guessing.mjs'
import { idle } from './rows/idle.mjs'
import { start } from './rows/start.mjs'
import { steady } from './rows/steady.mjs'
import { storm } from './rows/storm.mjs'
import { builds, fanout, pairs, topics } from './rows/throughput.mjs'

const rows = { fanout, pairs, steady, frozen, idle, storm, behind, start, guessing, topics, frozenTopic }

function usage (complaint) {
  console.error(`${complaint}\nusage: node bench/run.mjs [${Object.keys(rows).join('] [')}] [--rounds=N] [--main=FILE] [--out=FOLDER]\n       node bench/run.mjs --than=FILE [--rounds=N]`)
  process.exit(2)
}

function readArguments () {
  let parsed
  try {
    parsed = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string', default: '5' }, main: { type: 'string' }, than: { type: 'string' }, out: { type: 'string' } } })
  } catch (error) {
    usage(error.message)
  }
  const { values, positionals } = parsed
  const unknown = positionals.find((name) => !Object.hasOwn(rows, name))
  if (unknown !== undefined) usage(`there is no row "${unknown}"`)
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) usage('--rounds is a whole number from 1')
  // Another build's figures do not belong into this checkout's results.
  const out = values.out ?? (values.main === undefined && values.than === undefined ? import.meta.dirname : null)
  const than = values.than === undefined ? null : path.resolve(values.than)
  if (than !== null && positionals.length > 0) usage('--than compares throughput, and nothing else')
  const names = than !== null ? ['builds'] : positionals.length > 0 ? positionals : Object.keys(rows)
  return { names, rounds, than, out, main: path.resolve(values.main ?? path.join(import.meta.dirname, '..', 'dist', 'main.js')) }
}

const { names, rounds, out, main, than } = readArguments()
const began = performance.now()
const say = (line) => { console.log(`${String(Math.round((performance.now() - began) / 1000)).padStart(5)} s  ${line}`) }
const mosquitto = mosquittoVersion()
if (mosquitto === null) say('Mosquitto is not installed: nothing to compare with')

const where = { machine: machine(), commit: commit(path.join(import.meta.dirname, '..')) }
let allHold = true
for (const name of names) {
  const { title, run } = { ...rows, builds }[name]
  try {
    const result = await run({ main, than, rounds, mosquitto, say })
    for (const { what, must, measured, holds } of result.parts) {
      allHold &&= holds !== false
      say(`${holds === null ? 'NOT JUDGED  ' : holds ? 'HOLDS       ' : 'FALLS SHORT '} ${what}: ${measured.replaceAll('**', '')} (must: ${must})`)
    }
    if (out === null) continue
    const row = { title, date: new Date().toISOString().slice(0, 16).replace('T', ' ') + ' UTC', ...where, mosquitto, rounds, ...result }
    writeResults(out, { ...readResults(out), [name]: row }, Object.keys(rows))
  } catch (error) {
    allHold = false
    say(`NOT RUN      ${title}: ${error.message}`)
  }
}
if (out !== null) say(`results: ${path.relative('.', path.join(out, 'RESULTS.md'))}`)
process.exit(allHold ? 0 : 1)
