import { readFileSync } from 'node:fs'
import { allNames } from '../../broker/config/names.js'
import { nearest } from '../../broker/config/nearest.js'
import { configDocs } from '../../broker/config/write-docs.js'

test('docs/config.md is what the schema says', () => {
  expect(readFileSync(new URL('../../docs/config.md', import.meta.url), 'utf8')).toBe(configDocs())
})

test('every key is in the docs, with a description', () => {
  const docs = configDocs()
  const open = allNames().filter(({ field }) => field.open === true).map(({ dotted }) => `${dotted}.`)
  for (const { environment, dotted, field } of allNames()) {
    // What is inside a push provider's block is declared by its adapter.
    if (!open.some((block) => dotted.startsWith(block))) expect(docs).toContain(environment)
    expect(`${dotted}: ${field.description ?? ''}`).toMatch(/: \S.*\.$/)
  }
})

test.each([
  ['messageByte', 'messageBytes'], ['message_bytes', 'messageBytes'], ['MESSAGEBYTES', 'messageBytes'], ['mesageBytse', 'messageBytes'],
  ['listener', 'listeners'], ['lsiteners', 'listeners'], ['zzz', undefined], ['', undefined],
])('nearest to %s is %s', (name, expected) => {
  expect(nearest(name, ['messageBytes', 'listeners', 'http'])).toBe(expected)
})
