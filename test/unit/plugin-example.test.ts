import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { readValue } from '../../broker/config/read-value.js'
import { type Config, rootField } from '../../broker/config/schema.js'
import { HookRunner } from '../../broker/core/hooks.js'
import { errorCodes, ParleyError } from '../../broker/domain/errors.js'
import { HOOK_NAMES, type Host, type Operation, type Publishing } from '../../broker/plugin.js'
import { findPlugins, loadPlugins, type PluginError } from '../../broker/plugins.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

const docs = fileURLToPath(new URL('../../docs', import.meta.url))
const page = readFileSync(`${docs}/plugins.md`, 'utf8')
/** The page's snippets in a language. */
const blocks = (language: string): string[] => [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(m => m[1]!)
const example = './examples/word-filter-plugin.mjs'

async function setUp (config: object) {
  const operations: Operation[] = []
  const [clock, logger] = [new FakeClock(), recordingLogger()]
  const host = { clock, logger, operation: (op: Operation) => { operations.push(op) } } as unknown as Host
  const runner = new HookRunner(await loadPlugins([{ use: example, config }], docs, host, logger), { clock, logger })
  return { runner, operations, logger }
}

/** What would be stored for a body, or how it is refused. */
function publish (runner: HookRunner, body: unknown): unknown {
  let stored = body
  const message = { type: 'text', body: () => body, replaceBody: (b: unknown) => { stored = b } } as unknown as Publishing
  try { expect(runner.willPublish(message)).toBeUndefined() } catch (e) { return e }
  runner.didPublish({ entry: { type: 'text' } as never })
  return stored
}

test('the example masks words', async () => {
  const { runner, operations, logger } = await setUp({ words: ['darn', 'h.ck'] })
  expect(publish(runner, 'Darn! darning a sock, darn')).toBe('****! darning a sock, ****')
  expect(publish(runner, 'heck')).toBe('heck')
  expect(publish(runner, 'h.ck')).toBe('****')
  expect(publish(runner, undefined)).toBeUndefined()
  expect(publish(runner, { darn: 'darn' })).toEqual({ darn: 'darn' })
  expect(operations.map(op => op.name)).toEqual(['filter.counts'])
  expect(await operations[0]!.handle({} as never, {})).toEqual({ stored: 5, masked: 2, refused: 0 })
  expect(logger.lines.filter(l => l.level === 'error')).toEqual([])
})

test('the example refuses instead, when told so', async () => {
  const { runner, operations } = await setUp({ words: ['darn'], action: 'refuse' })
  const e = publish(runner, 'darn')
  expect(e).toBeInstanceOf(ParleyError)
  expect(e).toMatchObject({ code: 'bad-request', message: 'please mind your words' })
  expect(publish(runner, 'well')).toBe('well')
  expect(await operations[0]!.handle({} as never, {})).toEqual({ stored: 1, masked: 0, refused: 1 })
})

test('the example says what is wrong with its options', async () => {
  const problems = async (config: object): Promise<unknown> => await setUp(config).then(() => [], (e: unknown) => (e as PluginError).problems)
  expect(await problems({ words: [] })).toEqual([expect.stringMatching(/config\.words: .*1/)])
  expect(await problems({ word: ['darn'] })).toEqual([expect.stringMatching(/config\.word: unknown; did you mean words\?/)])
  expect(await problems({ words: ['darn'], action: 'ban' })).toEqual([expect.stringMatching(/config\.action/)])
})

test('the page\'s configurations are right', async () => {
  const [first, second] = blocks('yaml').map(text => readValue(rootField, parse(text), [], { base: `${docs}/examples`, where: () => ({ from: 'file', name: 'parley.yaml' }), problems: [], sources: new Map() }) as Pick<Config, 'plugins'>)
  expect(await findPlugins(first!.plugins, docs)).toMatchObject([{ plugin: { name: 'word-filter' }, config: { words: ['darn', 'heck'], action: 'mask' }, timeoutMs: 200 }])
  expect(second!.plugins).toEqual([{ use: 'parley-quiet-hours', config: { fromHour: 21 } }]) // tried in test/integration/plugin-package.test.ts
})

test('the page shows the example, every hook and every error code', () => {
  const file = readFileSync(`${docs}/${example}`, 'utf8')
  expect(blocks('js').length).toBe(2)
  for (const shown of blocks('js')) {
    expect(shown.length).toBeGreaterThan(200)
    for (const line of shown.split('\n')) if (line.trim() !== '' && line.trim() !== '// …') expect(file).toContain(line.trim())
  }
  expect(HOOK_NAMES.filter(name => !page.includes(`\`${name}\``))).toEqual([])
  expect(errorCodes.filter(code => !page.includes(`\`${code}\``))).toEqual([])
})
