import { Campaign, culprit, type Findings, type Progress, replay } from './campaign.js'
import { PER_SCRIPT, type Script, scriptOf, written } from './script.js'
import { Target } from './target.js'

const USAGE = `Attacks a broker process with spoilt packets while two people chat. Arguments are name=value:
  n=100000      inputs
  seed=…        the same seed gives the same inputs; default: one of chance, printed
  parallel=48   connections at once
  at=…,…        plays only the scripts that hold these inputs, one after the other, and prints them as files for test/fuzz/kept`

/** @throws Error with what is wrong */
function args (given: readonly string[]): { n: number, seed: number, parallel: number, at?: number[] } {
  const read: ReturnType<typeof args> = { n: 100_000, seed: Math.floor(Math.random() * 2 ** 31), parallel: 48 }
  for (const a of given) {
    const [, name, value] = /^(n|seed|parallel)=(\d{1,10})$/.exec(a) ?? []
    const inputs = /^at=(\d+(?:,\d+)*)$/.exec(a)?.[1]
    if (name !== undefined) Object.assign(read, { [name]: Number(value) })
    else if (inputs !== undefined) read.at = inputs.split(',').map(Number)
    else throw new Error(`${a} is no argument.\n${USAGE}`)
  }
  return read
}

const number = (n: number): string => Math.round(n).toLocaleString('en')
const percent = (n: number, of: number): string => `${Math.round(n / of * 100)} %`

const line = (p: Progress): string => `${number(p.played)} of ${number(p.inputs)} · ${number(p.perSecond)}/s · answered ${percent(p.verdicts.answered, p.played)} closed ${percent(p.verdicts.closed, p.played)} left ${percent(p.verdicts.left, p.played)}` +
  ` · heap ${number(p.heapBytes / 1e6)} MB · longest pause ${number(p.pauseMs)} ms · bystanders ${number(p.arrived)} messages, slowest ${number(p.slowestMs)} ms`

function memory ({ samples }: Findings): string {
  const fifth = Math.max(1, Math.floor(samples.length / 5))
  const mean = (of: number[]): string => number(of.reduce((sum, n) => sum + n, 0) / of.length / 1e6)
  const row = (part: typeof samples): string => `${mean(part.map(s => s.heapBytes))} / ${mean(part.map(s => s.anonymousBytes))}`
  return `memory by fifths, live heap / resident, MB: ${Array.from({ length: 5 }, (_, i) => row(samples.slice(i * fifth, (i + 1) * fifth))).filter(r => !r.startsWith('NaN')).join(', ')}`
}

/** One broker, one script after the other, until one goes wrong. */
async function again (scripts: Script[]): Promise<number> {
  const target = await Target.start()
  try {
    for (const s of scripts) {
      const why = await replay(s, target)
      console.log(written(s, why ?? 'nothing was wrong'))
      if (why !== null) return 1
    }
    return 0
  } finally { await target.stop() }
}

async function main (): Promise<number> {
  const { n, seed, parallel, at } = args(process.argv.slice(2))
  if (at !== undefined) return await again(at.map(input => scriptOf(seed, Math.floor(input / PER_SCRIPT))))
  console.log(`seed=${seed}`)
  const found = await Campaign.run({ seed, inputs: n, parallel, report: p => { console.log(line(p)) } })
  console.log(memory(found))
  if (found.fault === null) { console.log('nothing was wrong'); return 0 }
  console.error(`\n${found.fault}\n\nsuspects: ${found.suspects.map(s => `at=${s * PER_SCRIPT}`).join(' ')} of seed=${seed}; playing each alone …`)
  const one = await culprit(seed, found.suspects)
  console.error(one === undefined ? 'none of them does it alone' : `make fuzz ARGS='seed=${seed} at=${one.n * PER_SCRIPT}'\n${one.file}`)
  return 1
}

try { process.exitCode = await main() } catch (e) {
  console.error((e as Error).message)
  process.exitCode = 2
}
