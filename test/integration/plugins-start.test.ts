import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// As an operator starts it: the built file, in a process of its own.
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'parley-start-'))
  const file = (name: string, plugin: string): void => { writeFileSync(join(dir, `${name}.mjs`), `export default ({ definePlugin, Type }) => definePlugin({ name: '${name}', ${plugin} })`) }
  file('words', 'config: Type.Object({ words: Type.Array(Type.String()), limits: Type.Object({ perDay: Type.Integer({ default: 3 }) }, { default: {} }) }), setup () {}')
  file('licence', 'setup () { throw new Error("no licence") }')
  file('away', 'async setup () { throw undefined }')
  file('misspelt', 'setup: () => ({ willPublsh () {} })')
  file('taken', 'setup (host) { host.operation({ name: "server.info", summary: "", params: Type.Object({}), result: Type.Object({}), who: "user", handle: async () => ({}) }) }')
  file('open', 'setup (host) { host.operation({ name: "all.secrets", summary: "", params: Type.Object({}), result: Type.Object({}), handle: async () => ({}) }) }')
})
afterAll(() => { rmSync(dir, { recursive: true }) })

function parley (command: string, plugins: unknown, ...flags: string[]): { code: number | null, said: string, log: string } {
  const config = { dataDir: './data', listeners: [{ protocol: 'mqtt', host: '127.0.0.1', port: 0 }], http: { host: '127.0.0.1', port: 0 }, auth: { dev: true }, plugins }
  writeFileSync(join(dir, 'parley.json'), JSON.stringify(config))
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, command, '--config', join(dir, 'parley.json'), ...flags], { encoding: 'utf8', timeout: 20_000 })
  return { code: status, said: stderr, log: stdout }
}

const mistaken = [{ use: './words.mjs', config: { word: ['darn'], limits: { perDay: 'x' } } }, './wrods.mjs', { use: 'words.mjs' }, { use: './licence.mjs', config: { key: 'hunter2' } }]

test.each(['check-config', 'serve'])('%s: every mistake in the plugins is told, with its path; exit code 2', command => {
  const { code, said } = parley(command, mistaken)
  expect(code).toBe(2)
  expect(said.trim().split('\n').sort()).toEqual([
    expect.stringMatching(/^plugin .*licence\.mjs: it takes no options, but key is given$/),
    expect.stringMatching(/^plugin .*words\.mjs: config\.words: Expected required property; config\.word: unknown; did you mean words\?; config\.limits\.perDay: Expected integer$/),
    expect.stringMatching(/^plugin .*wrods\.mjs: there is no file .*wrods\.mjs; did you mean words\.mjs\?$/),
    expect.stringMatching(/^plugin words\.mjs: no package words\.mjs is installed in .*; did you mean \.\/words\.mjs\?$/)
  ])
  expect(said).not.toContain('hunter2')
})

test('an unknown key beside a plugin\'s config is told with the near one; exit code 2', () => {
  const { code, said } = parley('check-config', [{ use: './words.mjs', confg: {} }, 7])
  expect(code).toBe(2)
  expect(said).toMatch(/plugins\[0\]\.confg: unknown key .*did you mean plugins\[0\]\.config\?/)
  expect(said).toMatch(/plugins\[1\]: should be a path or package name, or a block of keys with `use`, is a number/)
})

test('check-config --show hides what plugins are given', () => {
  const { code, log } = parley('check-config', [{ use: './words.mjs', config: { words: ['hunter2'] }, timeoutMs: 7 }], '--show')
  expect(code).toBe(0)
  expect(log).toMatch(/words\.mjs\n +config:\n +words: "\[hidden\]"\n +timeoutMs: 7/)
  expect(log).not.toContain('hunter2')
})

test('check-config sets nothing up', () => {
  expect(parley('check-config', ['./licence.mjs'])).toMatchObject({ code: 0, said: '' })
})

test.each<[string, string]>([
  ['licence', 'plugin licence: setup failed: no licence'],
  ['away', 'plugin away: setup failed: undefined'],
  ['misspelt', 'plugin misspelt: setup failed: there is no hook willPublsh; did you mean willPublish?'],
  ['taken', 'operation server.info is there twice: the broker or another plugin offers it'],
  ['open', 'plugin open: setup failed: operation all.secrets: who is neither user nor admin']
])('a setup that fails (%s) keeps the broker from starting, and says why; exit code 1', (name, why) => {
  const { code, said, log } = parley('serve', [`./${name}.mjs`])
  expect(code).toBe(1)
  expect(said).toBe(`parley: not started: ${why}\n`)
  expect(log).toContain('"msg":"not started"')
})
