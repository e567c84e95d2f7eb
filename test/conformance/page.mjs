import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import ts from 'typescript'
import { parse } from 'yaml'

/**
 * Writes docs/mqtt-conformance.md: every statement of both standards beside the tests that name it in their titles,
 * as [MQTT3-1.5.3-1] (of 3.1.1), [MQTT5-1.5.4-1 1.5.4-2] (of 5.0) or [MQTT-3.8.4-1] (the same number in both).
 */

const TESTS = fileURLToPath(new URL('..', import.meta.url))
const VERSIONS = { 3: 'MQTT 3.1.1', 5: 'MQTT 5.0' }
/** What stands in titles of tables of tests for a row's values. */
const PLACEHOLDER = / \([^()]*%[dijps][^()]*\)|%[dijps]/g
const NAMED = /\s*\[MQTT([35]?)-(\d[\d.]*-\d+(?: \d[\d.]*-\d+)*)\]/g

const intro = `# MQTT conformance

Generated from test/conformance by \`npm run docs:conformance\`; edit it there.

Every numbered normative statement of MQTT 3.1.1 and of MQTT 5.0, in our words, and what proves it here: tests that name it, over real sockets, which \`make test\` runs. *Moot*: what the statement speaks of never arises. *Does not hold* comes with the reason. Statements that bind a client alone stand at the end.
`

/** The statements of test/conformance/*.yaml, by version. A number that stands there twice is an error. */
export function readStatements () {
  return { 3: read('mqtt-3.1.1.yaml'), 5: read('mqtt-5.0.yaml') }
  function read (name) { return parse(readFileSync(new URL(name, import.meta.url), 'utf8')) }
}

/** All strings in tests that name statements: titles, and rows of tables of tests. */
export function readTests () {
  return readdirSync(TESTS, { recursive: true }).filter(f => f.endsWith('.test.ts')).sort().flatMap(file => {
    const found = []
    visit(ts.createSourceFile(file, readFileSync(`${TESTS}/${file}`, 'utf8'), ts.ScriptTarget.Latest))
    return found
    function visit (node) {
      if (ts.isStringLiteralLike(node) && node.text.search(NAMED) >= 0) found.push({ file: `test/${file}`, title: node.text })
      ts.forEachChild(node, visit)
    }
  })
}

/**
 * The page, and what keeps it from being complete: statements without proof or reason, and with both; tests that name
 * what is no statement, or one that binds clients alone.
 */
export function conformance (statements, tests) {
  const problems = []
  const proofs = { 3: new Map(), 5: new Map() }
  for (const { file, title } of tests) {
    const plain = title.replace(NAMED, '').replace(PLACEHOLDER, found => found.startsWith('%') ? '…' : '').trim()
    for (const [, version, ids] of title.matchAll(NAMED)) {
      for (const v of version === '' ? [3, 5] : [Number(version)]) {
        for (const id of ids.split(' ')) {
          if (statements[v][id] === undefined) problems.push(`${file}: ${VERSIONS[v]} has no statement ${id}`)
          else if (statements[v][id].client !== undefined) problems.push(`${file}: ${id} of ${VERSIONS[v]} binds clients alone`)
          else prove(proofs[v], id, file, plain)
        }
      }
    }
  }
  const sections = [3, 5].map(v => section(v, statements[v], proofs[v], problems))
  return { page: [intro, counts(sections), ...sections.map(s => s.text)].join('\n'), problems }
}

/** `proofs`: by statement the titles of its tests, by file. */
function prove (proofs, id, file, title) {
  const files = proofs.get(id) ?? new Map()
  proofs.set(id, files.set(file, [...files.get(file) ?? [], title]))
}

const shown = (file, titles) => `[${basename(file, '.test.ts')}](../${file}): ${titles.join(' · ')}`

function section (version, statements, proofs, problems) {
  const server = Object.entries(statements).filter(([, s]) => s.client === undefined)
  const client = Object.entries(statements).filter(([, s]) => s.client !== undefined)
  const count = { proven: 0, moot: 0, fails: 0 }
  const rows = server.map(([id, s]) => {
    const tests = [...proofs.get(id) ?? []].map(([file, titles]) => shown(file, titles))
    const reasons = ['moot', 'fails'].filter(kind => s[kind] !== undefined)
    if (tests.length + reasons.length === 0) problems.push(`${VERSIONS[version]}: no test names ${id}, and no reason is given`)
    if (reasons.length > (tests.length > 0 ? 0 : 1)) problems.push(`${VERSIONS[version]}: ${id} has more than a test or one reason`)
    count[reasons[0] ?? 'proven']++
    const proof = s.moot !== undefined ? `*Moot*: ${s.moot}` : s.fails !== undefined ? `*Does not hold*: ${s.fails}` : tests.join('; ') + (s.note === undefined ? '' : `. ${s.note}`)
    return `| ${id} | ${s.server ?? s.both} | ${proof} |`
  })
  const text = [
    `## ${VERSIONS[version]}\n`, '| statement | says | proven by |', '|---|---|---|', ...rows,
    `\n### Bind clients alone (${VERSIONS[version]})\n`, ...client.map(([id, s]) => `- ${id}: ${s.client}`), ''
  ].join('\n')
  return { text, name: VERSIONS[version], all: server.length + client.length, server: server.length, ...count }
}

const counts = sections => [
  '| | statements | bind a server | proven by a test | moot | do not hold |', '|---|---|---|---|---|---|',
  ...sections.map(s => `| ${s.name} | ${s.all} | ${s.server} | ${s.proven} | ${s.moot} | ${s.fails} |`), ''
].join('\n')

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { page, problems } = conformance(readStatements(), readTests())
  for (const p of problems) console.error(p)
  const { writePage } = await import('../../dist/broker/config/write-docs.js')
  process.exitCode = writePage(process.argv[2], process.argv[3], page, 'docs:conformance') || (problems.length > 0 ? 1 : 0)
}
