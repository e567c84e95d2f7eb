import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { ChurnMap } from '../../broker/domain/churn-map.js'

test('holds what a Map would, in the same order', () => {
  const step = fc.record({ key: fc.nat(60), add: fc.boolean() })
  fc.assert(fc.property(fc.array(step, { maxLength: 500 }), steps => {
    const churn = new ChurnMap<number, number>()
    const map = new Map<number, number>()
    steps.forEach(({ key, add }, i) => {
      if (add) { churn.set(key, i); map.set(key, i) } else expect(churn.delete(key)).toBe(map.delete(key))
      expect(churn.size).toBe(map.size)
      expect([churn.has(key), churn.get(key)]).toEqual([map.has(key), map.get(key)])
    })
    expect([...churn.values()]).toEqual([...map.values()])
  }))
})

/** How much the old generation grew, bytes, while 5,000 entries of 1 kB came and went, ten at a time. */
function promoted (source: string, name: string): number {
  const script = `
    ${source}
    const map = new ${name}()
    const churn = n => { for (let i = 0; i < n; i++) { map.set(i, new Array(128).fill(i)); map.delete(i - 10) } }
    const old = () => require('node:v8').getHeapSpaceStatistics().find(s => s.space_name === 'old_space').space_used_size
    churn(100)
    gc()
    const before = old()
    churn(5000)
    console.log(old() - before)
  `
  return Number(execFileSync(process.execPath, ['--expose-gc', '--max-semi-space-size=1', '-e', script], { env: { ...process.env, NODE_OPTIONS: '' } }))
}

test('leaves nothing to the old generation that is gone before, as a Map does', () => {
  const source = ChurnMap.toString().replace(/SPARE/g, '16')
  expect(promoted('', 'Map')).toBeGreaterThan(1 << 20)
  expect(promoted(source, 'ChurnMap')).toBeLessThan(256 << 10)
})
