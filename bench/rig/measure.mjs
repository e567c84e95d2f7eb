// Runs the generator against brokers, turn about.
import path from 'node:path'
import { createInterface } from 'node:readline'
import { end, spawn } from './children.mjs'

const LOAD = path.join(import.meta.dirname, '..', 'load.mjs')

export function median (numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

/** The words that `load` starts the generator with, for whoever wants to repeat a figure by hand. */
export const command = (mode, args, to = 'parley') =>
  `node bench/load.mjs ${[mode, ...Object.entries(args).map(([name, value]) => `${name}=${value}`), 'port=PORT', `to=${to}`].join(' ')}`

/**
 * Starts the generator in a process of its own. `result` resolves with its last line, `phase(name)` when it says that
 * this phase begins; `stop` ends it early.
 */
export function startLoad (mode, args, broker) {
  const words = Object.entries({ ...args, ...(broker.secure ? { tls: 1 } : {}), port: broker.port, to: broker.to }).map(([name, value]) => `${name}=${value}`)
  const child = spawn(process.execPath, [LOAD, mode, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  const phases = new Map()
  let onPhase = () => {}
  let last
  let complaint = ''
  child.stderr.on('data', (bytes) => { complaint = (complaint + bytes).slice(-1000) })
  createInterface({ input: child.stdout }).on('line', (line) => {
    last = JSON.parse(line)
    if (last.phase === undefined) return
    onPhase(last.phase)
    phases.get(last.phase)?.()
  })
  const result = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(last)
      else reject(new Error(broker.broken() ?? `the load ended with ${code}: ${complaint.trim()}`))
    })
  })
  result.catch(() => {})   // whoever needs it awaits it
  return {
    result,
    phase: (name) => Promise.race([new Promise((resolve) => { phases.set(name, resolve) }), result]),
    onPhase: (listener) => { onPhase = listener },
    stop: () => end(child, 'SIGKILL'),
  }
}

export const load = (mode, args, broker) => startLoad(mode, args, broker).result

/**
 * One round that warms up, then `rounds` that count. Each calls `measure` for every contender, in turns so that what
 * else the machine does meets all alike. Returns a list of the rounds' results per contender.
 */
export async function turnAbout (contenders, rounds, measure, progress) {
  const results = contenders.map(() => [])
  for (let round = 0; round <= rounds; round++) {
    const order = contenders.map((_, i) => i)
    if (round % 2 === 1) order.reverse()
    const now = []
    for (const i of order) now[i] = await measure(contenders[i], round === 0)
    progress(round === 0 ? 'warm-up' : `round ${round}/${rounds}`, now)
    if (round > 0) now.forEach((result, i) => { results[i].push(result) })
  }
  return results
}

/** Of each round: a's value by b's. */
export const ratios = (as, bs, value) => as.map((a, i) => +(value(a) / value(bs[i])).toFixed(3))
