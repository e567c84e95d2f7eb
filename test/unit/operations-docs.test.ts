import { readFileSync } from 'node:fs'
import { Operations } from '../../broker/api/registry.js'
import { builtInOperations, operationsDocs } from '../../broker/write-operations.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

const page = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

test('docs/operations.md is what the declarations say', async () => {
  expect(page('operations.md')).toBe(await operationsDocs())
})

test('every operation is in the contract, can be registered, and says what it does', async () => {
  const contract = page('protocol.md')
  const operations = new Operations({ logger: recordingLogger(), clock: new FakeClock() })
  for (const op of await builtInOperations()) {
    operations.register(op)
    expect(op.summary).toMatch(/^[A-Z].*\.$/)
    const [group, name = group] = op.name.split('.')
    expect([op.name, contract.includes(`\`${op.name}\``) || new RegExp(`\`${group}\\.[\\w .·]*\\b${name}\\b|\`${group}\\.${name}\\b`).test(contract)]).toEqual([op.name, true])
  }
  expect(operations.list().length).toBeGreaterThan(15)
})
