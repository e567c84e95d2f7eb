import fc from 'fast-check'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { range } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

/** A plugin whose hook takes as many turns of the event loop as the message says. */
const SLOW = `export default { name: 'slow', setup () { return {
  async willPublish (m) {
    const { turns, refuse } = m.body()
    for (let i = 0; i < turns; i++) await new Promise(resolve => setImmediate(resolve))
    if (refuse) { const { ParleyError } = globalThis.parleyForTests; throw new ParleyError('forbidden', 'not this one') }
  }
} } }`

test('what one connection publishes to one conversation is appended in that order, whatever hooks and look-ups take', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'parley-slow-'))
  try {
    writeFileSync(join(dir, 'slow.mjs'), SLOW)
    const { ParleyError } = await import('../../broker/plugin.js')
    ;(globalThis as { parleyForTests?: object }).parleyForTests = { ParleyError }
    const p = await startParley({ plugins: [join(dir, 'slow.mjs')] })
    let run = 0
    await fc.assert(fc.asyncProperty(
      fc.array(fc.record({ to: fc.nat(2), turns: fc.nat(6), refuse: fc.boolean(), qos: fc.constantFrom(0, 1, 2) as fc.Arbitrary<0 | 1 | 2> }), { minLength: 1, maxLength: 40 }),
      async messages => {
        const n = ++run
        const readers = await Promise.all(range(0, 2).map(async i => await p.client({ user: `r${i}-${n}`, subscribe: ['me/#'] })))
        const alice = await p.client({ user: `alice${n}`, subscribe: ['me/#'] })
        for (const [i, m] of messages.entries()) alice.publish(`u/r${m.to}-${n}/msg`, { cid: `c${i}`, body: { i, turns: m.turns, refuse: m.refuse } }, { qos: m.qos })
        const acks = await alice.got('me/ack', messages.length)
        expect(acks.map(d => d.json.cid)).toEqual(messages.map((_, i) => `c${i}`))
        for (const [to, r] of readers.entries()) {
          const due = messages.flatMap((m, i) => m.to === to && !m.refuse ? [i] : [])
          const got = await r.got('me/msg', due.length)
          expect(got.map(d => [d.json.seq, (d.json.body as { i: number }).i])).toEqual(due.map((i, at) => [at + 1, i]))
        }
        for (const c of [alice, ...readers]) c.destroy()
      }), { numRuns: 25 })
  } finally {
    rmSync(dir, { recursive: true })
  }
})
