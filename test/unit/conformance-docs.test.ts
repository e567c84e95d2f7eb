import { readFileSync } from 'node:fs'
import { conformance, readStatements, readTests, type Statement } from '../conformance/page.mjs'

test('docs/mqtt-conformance.md is what the statements and the tests say, and every statement is accounted for', () => {
  const { page, problems } = conformance(readStatements(), readTests())
  expect(problems).toEqual([])
  expect(readFileSync(new URL('../../docs/mqtt-conformance.md', import.meta.url), 'utf8')).toBe(page)
})

test('numbers run without a gap, but for 2.2.1-1, which MQTT 5.0 does not have', () => {
  for (const statements of Object.values(readStatements())) {
    const bySection = new Map<string, number[]>()
    for (const [section, n] of Object.keys(statements).map(id => id.split('-') as [string, string])) bySection.set(section, [...bySection.get(section) ?? [], Number(n)])
    for (const [section, ns] of bySection) expect([section, ns]).toEqual([section, ns.map((_, i) => i + (section === '2.2.1' ? 2 : 1))])
  }
})

describe('the page is incomplete when', () => {
  const title = (named: string): { file: string, title: string } => ({ file: 'test/conformance/x.test.ts', title: `it works [${named}]` })
  const problems = (statement: Statement, ...named: string[]): string[] => conformance({ 3: {}, 5: { '1.1.1-1': statement } }, named.map(title)).problems

  test.each<[string, Statement, string[], string[]]>([
    ['nothing: a test names it', { both: 'x' }, ['MQTT5-1.1.1-1'], []],
    ['nothing: there is a reason', { server: 'x', moot: 'never' }, [], []],
    ['nothing: it binds clients alone', { client: 'x' }, [], []],
    ['a statement has neither test nor reason', { server: 'x' }, [], ['MQTT 5.0: no test names 1.1.1-1, and no reason is given']],
    ['a statement has a test and a reason', { server: 'x', fails: 'cannot' }, ['MQTT5-1.1.1-1'], ['MQTT 5.0: 1.1.1-1 has more than a test or one reason']],
    ['a test names an unknown statement', { both: 'x' }, ['MQTT5-1.1.1-1 1.1.1-2'], ['test/conformance/x.test.ts: MQTT 5.0 has no statement 1.1.1-2']],
    ['a test names one of both versions that only one has', { both: 'x' }, ['MQTT-1.1.1-1'], ['test/conformance/x.test.ts: MQTT 3.1.1 has no statement 1.1.1-1']],
    ['a test names one that binds clients alone', { client: 'x' }, ['MQTT5-1.1.1-1'], ['test/conformance/x.test.ts: 1.1.1-1 of MQTT 5.0 binds clients alone']]
  ])('%s', (_name, statement, named, expected) => {
    expect(problems(statement, ...named)).toEqual(expected)
  })
})
