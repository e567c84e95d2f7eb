// results.json → RESULTS.md
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { mosquittoConfig, parleyConfig } from './rig/brokers.mjs'

const verdict = (holds) => holds === null ? 'not judged' : holds ? 'holds' : '**falls short**'
const fence = (kind, text) => ['```' + kind, text, '```']
const describe = ({ cpu, cores, memoryGb, kernel, node }) => `${cpu}, ${cores} cores, ${memoryGb} GB; ${kernel}; Node ${node}`

export function readResults (folder) {
  try {
    return JSON.parse(readFileSync(path.join(folder, 'results.json'), 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT') return {}
    throw error
  }
}

/** Keeps `results` and renders them; `order` is that of the rows. */
export function writeResults (folder, results, order) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'results.json'), JSON.stringify(results, null, 1) + '\n')
  writeFileSync(path.join(folder, 'RESULTS.md'), render(order.filter((name) => name in results).map((name) => [name, results[name]])))
}

function render (rows) {
  return [
    '# Benchmark results',
    '',
    'Written by `make bench` (`node bench/run.mjs`, which after a build measures everything; with names, only those rows). How it is measured, and what each load does: [README.md](README.md).',
    'Ratios count, absolute figures do not travel: generator and brokers share the machine. Parley has every message on the disk before it acknowledges it; Mosquitto keeps all in memory.',
    '',
    '| load | must hold | measured | |',
    '|---|---|---|---|',
    ...rows.flatMap(([, row]) => row.parts.map(({ what, must, measured, holds }) => `| ${what} | ${must} | ${measured} | ${verdict(holds)} |`)),
    '',
    ...rows.flatMap(([name, row]) => section(name, row)),
    '## The brokers',
    '',
    'Parley (`parley serve --config FILE`), with its own Node process on free ports:',
    '',
    ...fence('json', JSON.stringify(parleyConfig({ dataDir: 'an empty folder', port: 'PORT', httpPort: 'PORT' }), null, 1).replaceAll('"PORT"', 'PORT')),
    '',
    'Mosquitto (`mosquitto -c FILE`):',
    '',
    ...fence('', mosquittoConfig('PORT').join('\n')),
    '',
  ].join('\n')
}

const section = (name, { title, date, commit, machine, mosquitto, rounds, commands, notes = [] }) => [
  `## ${title}`,
  '',
  `- ${date}, commit ${commit ?? 'none'}, ${rounds} rounds${mosquitto === null ? '' : `, Mosquitto ${mosquitto}`}`,
  `- ${describe(machine)}; fsync ${machine.fsyncMs} ms (median)`,
  ...notes.map((note) => `- ${note}`),
  '',
  ...fence('sh', [`node bench/run.mjs ${name}${rounds === 5 ? '' : ` --rounds=${rounds}`}   # which runs, against brokers on free ports:`, ...commands].join('\n')),
  '',
]
