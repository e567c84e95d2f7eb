import { readFileSync } from 'node:fs'
import { asParleyError } from '../../broker/domain/errors.js'
import groups from '../../plugins/groups/index.js'
import { rig } from '../support/host.js'

const page = readFileSync(new URL('../../docs/groups.md', import.meta.url), 'utf8')
/** The page's requests, answers and entries, in order. */
const lines = [...page.matchAll(/```\n([\s\S]*?)```/g)].flatMap(m => m[1]!.trimEnd().split('\n')).map(line => {
  const [, user, topic, json] = /^(\w*) +(\S+) +(\{.*\})$/.exec(line)!
  return { user: user!, topic: topic!, json: JSON.parse(json!) as Record<string, unknown> }
})

test('the page tells what happens', async () => {
  const r = await rig([groups])
  try {
    let answer: unknown
    let entries = 0
    for (const { user, topic, json } of lines) {
      const { id, ...params } = json
      if (topic === 'me/rpc') expect(answer).toMatchObject(json)
      else if (topic === 'me/msg') {
        const { conv, from, body } = r.posted[entries++]!
        expect({ conv, seq: entries, from, type: 'system', body }).toEqual(json)
      } else {
        expect(r.posted).toHaveLength(entries) // what was posted before is on the page
        answer = await r.as(user, topic.slice('rpc/'.length), params).then(result => ({ id, result }), (e: unknown) => ({ id, error: { code: asParleyError(e).code, message: asParleyError(e).message } }))
      }
    }
    expect(r.posted).toHaveLength(entries)
    expect(lines.length).toBeGreaterThan(25)
  } finally { await r.close() }
})

test('every event that the plugin posts is in the table', () => {
  const code = ['coming-and-going', 'life', 'role'].map(file => readFileSync(new URL(`../../plugins/groups/${file}.ts`, import.meta.url), 'utf8')).join('')
  const events = new Set([...code.matchAll(/event: '(\w+)'/g)].map(m => m[1]!))
  expect(events.size).toBeGreaterThan(6)
  for (const event of events) expect(page).toMatch(new RegExp(`^\\|.*\`${event}\`.*\\|`, 'm'))
})
