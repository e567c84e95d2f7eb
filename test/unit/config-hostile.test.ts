import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { loadConfig } from '../../broker/config/load.js'
import { allNames } from '../../broker/config/names.js'
import { showProblem } from '../../broker/config/problem.js'

let folder: string
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'parley-config-')) })
afterAll(() => { rmSync(folder, { recursive: true }) })

const loadText = (text: string | Buffer, env: Record<string, string> = {}) => {
  const file = join(folder, 'parley.yaml')
  writeFileSync(file, text)
  return loadConfig({ file, env, cwd: folder })
}
const shown = (text: string | Buffer): string[] => loadText(text).problems.map(showProblem)

describe('hostile YAML', () => {
  test.each<[string, string | Buffer, RegExp]>([
    ['the same key twice', 'log: { level: info }\nusers: {}\nlog: { level: warn }\n', /^parley\.yaml:3: the same key stands here twice$/],
    ['the same key twice in JSON', '{"log": {"level": "info", "level": "warn"}}', /^parley\.yaml:1: the same key stands here twice$/],
    ['a key __proto__', '__proto__: { level: warn }\n', /^__proto__: unknown key/],
    ['a nested key constructor', 'log: { constructor: { prototype: 1 } }\n', /^log\.constructor: unknown key/],
    ['a bomb of anchors', `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefgh'.split('').map((name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdefg'[i]}`).join(',')}]`).join('\n')}\n`, /repeats anchors too often/],
    ['an anchor that contains itself', 'acl: &a [*a]\n', /contains itself/],
    ['an unknown alias', 'acl: *nope\n', /alias/],
    ['50,000 brackets', '['.repeat(50_000), /nested more than 64 levels/],
    ['50,000 nested lists', '- '.repeat(50_000), /nested more than 64 levels/],
    ['50,000 nested objects', '{a: '.repeat(50_000), /nested more than 64 levels/],
    ['two documents', 'log: {}\n---\nlog: {}\n', /multiple documents/],
    ['an unknown tag', 'dataDir: !evil x\n', /tag/i],
    ['a binary value', 'dataDir: !!binary aGVsbG8=\n', /^dataDir: should be a text, is a binary value/],
    ['a date', '%YAML 1.1\n---\ndataDir: 2001-01-01\n', /^dataDir: should be a text, is a date/],
    ['a list as key', '? [a]\n: 1\n', /keys must be strings/i],
    ['a tab as indentation', 'log:\n\tlevel: info\n', /tab/i],
    ['no block at all', 'just text\n', /^parley\.yaml: should be a block of keys, is a text$/],
    ['bytes that are no text', Buffer.from([0x61, 0x3a, 0xff, 0xfe]), /not UTF-8/],
    ['a NUL in a path', 'dataDir: "a\\0b"\n', /^dataDir: holds a NUL/],
    ['a number that is none', 'limits: { replay: .nan, inFlight: .inf, messageBytes: 1.5 }\n', /^limits\.replay: should be a whole number .*NaN/],
    ['too much of it', `#${'x'.repeat(1_100_000)}\n`, /is larger than/],
  ])('%s', (_what, text, expected) => {
    expect(shown(text).join('\n')).toMatch(expected)
    expect(({} as Record<string, unknown>).level).toBeUndefined()
  })

  test('a file that cannot be parsed is the only mistake: nothing is made of its absence', () => {
    expect(loadConfig({ file: join(folder, 'nope.yaml'), env: { PARLEY_HTTP_HOST: '0.0.0.0' }, cwd: folder }).problems).toHaveLength(1)
  })

  test('a few anchors are fine, and so are a byte order mark and tabs in JSON', () => {
    expect(shown('\ufefflisteners:\n  - &l { protocol: mqtt, host: 127.0.0.1, port: 1 }\nhttp: { cors: &c [a], host: ::1 }\n')).toEqual([])
    expect(shown('{\n\t"log":\n\t\t{"level": "warn"}\n}')).toEqual([])
  })

  test('no message holds a secret', () => {
    const secret = 'hunter2'
    for (const text of [
      `auth: { jwt: { secret: [${secret}] } }`, `auth: ${secret}`, `auth: { jwt: ${secret} }`, `http: { adminKey: { ${secret}: 1 `, `auth: { jwt: { secret: "${secret}\\q" } }`,
      `mongo: { url: "http://u:${secret}@h" }`, `mongo: ${secret}`,
    ]) {
      const problems = shown(text).join('\n')
      expect(problems).not.toBe('')
      expect(problems).not.toContain(secret)
    }
    const { problems } = loadConfig({ env: { PARLEY_AUTH: `{"jwt": {"secret": "${secret}"`, PARLEY_HTTP: `["${secret}"]`, PARLEY_AUTH_JWT_SECRE: secret }, cwd: folder })
    expect(problems).toHaveLength(3)
    expect(JSON.stringify(problems)).not.toContain(secret)
  })
})

describe('anything at all', () => {
  const keys = [...new Set(allNames().flatMap(({ path }) => path)), '__proto__', 'constructor', 'toString', 'host', 'port', 'protocol']
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 4 }, fc.jsonValue(), fc.constantFrom('mqtt', 'wss', '::', '', '/x', 0, 1883, -1, null, true), tie('list'), tie('block')),
    list: fc.array(tie('any'), { maxLength: 4 }),
    block: fc.array(fc.tuple(fc.constantFrom(...keys), tie('any')), { maxLength: 6 }).map((pairs) => Object.fromEntries(pairs)),
  })).block

  test('loading never throws, and gives a configuration without problems or problems that can be shown', () => {
    fc.assert(fc.property(value, (content) => {
      const { config, problems } = loadText(JSON.stringify(content))
      for (const problem of problems) expect(showProblem(problem)).toContain(': ')
      if (problems.length === 0) expect(config.listeners.every(({ port }) => Number.isInteger(port))).toBe(true)
    }), { numRuns: 500 })
  })

  test('so for text that is no JSON', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'{}[]:,-&*!|>\'"%@`#? \n\tab1~.<'.split('')), maxLength: 60 }), (text) => {
      expect(loadText(text).config.http.port).toBeGreaterThanOrEqual(0)
    }), { numRuns: 1000 })
  })

  test('so for variables', () => {
    const variable = fc.constantFrom(...allNames().map(({ environment }) => environment), 'PARLEY_X', 'PARLEY_', 'PARLEY__FILE')
    fc.assert(fc.property(fc.dictionary(variable, fc.oneof(fc.string(), fc.json(), fc.integer().map(String))), (env) => {
      loadText('', env).problems.forEach(showProblem)
    }), { numRuns: 500 })
  })
})
