import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { filled, pieces, shown } from '../interop/snippets.mjs'

const INTEROP = fileURLToPath(new URL('../interop', import.meta.url))
const page = readFileSync(new URL('../../docs/clients.md', import.meta.url), 'utf8')
/** Every folder that tells the chat story, and its program. */
const programs = readdirSync(INTEROP, { withFileTypes: true })
  .filter(entry => entry.isDirectory() && existsSync(`${INTEROP}/${entry.name}/story.test.ts`))
  .map(({ name }) => {
    const [file] = [...readdirSync(`${INTEROP}/${name}`), ...(existsSync(`${INTEROP}/${name}/src`) ? ['src/main.rs'] : [])].filter(f => /^chat\.|^Chat\.java$|main\.rs$/.test(f))
    return `test/interop/${name}/${file}`
  })

test('what docs/clients.md shows is what the tested programs do (else: npm run docs:clients)', () => {
  expect(filled(page)).toBe(page)
})

test('every piece of every program is on the page', () => {
  expect(programs.length).toBeGreaterThanOrEqual(8)
  const wanted = programs.flatMap(file => {
    const names = [...pieces(file).keys()]
    expect(names).toEqual(expect.arrayContaining(['connect', 'receive', 'send']))
    return names.map(name => `${file}: ${name}`)
  })
  expect([...shown(page)].sort()).toEqual(wanted.sort())
})
