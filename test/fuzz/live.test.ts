import { readdirSync, readFileSync } from 'node:fs'
import { Campaign, culprit, type Findings, replay } from './live/campaign.js'
import { readScript } from './live/script.js'
import { Target } from './live/target.js'

/** The short form of `make fuzz`: CONTRIBUTING.md says more. */
const INPUTS = 1200
const PARALLEL = 24

/** What stands in the test's report when something was wrong: what, the bytes, and how to play it again. */
async function story (seed: number, f: Findings): Promise<string> {
  if (f.fault === null) return 'nothing was wrong'
  const one = await culprit(seed, f.suspects.slice(0, 5))
  return `seed=${seed}: ${f.fault}\n${one?.file ?? 'no script does it alone'}`
}

test.each([['always the same', 20_261], ['new each time', Math.floor(Math.random() * 2 ** 31)]])('spoilt packets in every state harm nobody (%s, seed=%i)', async (_name, seed) => {
  const found = await Campaign.run({ seed, inputs: INPUTS, parallel: PARALLEL })
  expect(await story(seed, found)).toBe('nothing was wrong')
  expect(found.played).toBeGreaterThanOrEqual(INPUTS)
  expect(found.arrived).toBeGreaterThan(10)
}, 60_000)

describe('kept: what once did harm does none', () => {
  const kept = new URL('./kept/', import.meta.url)
  let target: Target
  beforeAll(async () => { target = await Target.start() })
  afterAll(async () => { await target.stop() })

  test.each(readdirSync(kept))('%s', async name => {
    expect(await replay(readScript(readFileSync(new URL(name, kept), 'utf8')), target)).toBeNull()
  })
})
