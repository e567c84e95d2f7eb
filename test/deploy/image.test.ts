import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { allNames } from '../../broker/config/names.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

/** The lines of the Dockerfile as instruction and argument, without comments. */
const instructions = read('deploy/Dockerfile').replace(/\\\n/g, ' ').split('\n').filter(line => /^[A-Z]/.test(line))
  .map(line => ({ word: line.split(' ', 1)[0]!, rest: line.slice(line.indexOf(' ') + 1) }))
const all = (word: string): string[] => instructions.filter(i => i.word === word).map(i => i.rest)
/** Those of the last stage, which is the image. */
const image = instructions.slice(instructions.findLastIndex(({ word }) => word === 'FROM'))
const last = (word: string): string | undefined => image.findLast(i => i.word === word)?.rest
/** What is copied from the repository. */
const sources = all('COPY').filter(rest => !rest.startsWith('--from=')).flatMap(rest => rest.split(' ').slice(0, -1))

test('what is copied is there, and the build gets it', () => {
  const [everything, ...kept] = read('.dockerignore').split('\n').filter(line => line !== '' && !line.startsWith('#'))
  expect(everything).toBe('*')
  const paths = kept.map(line => line.replace(/^!/, ''))
  for (const source of sources) {
    expect([source, existsSync(join(ROOT, source))]).toEqual([source, true])
    expect([source, paths.some(path => source === path || source.startsWith(`${path}/`))]).toEqual([source, true])
  }
  // Nothing that no instruction wants: each would make the build begin anew when it changes.
  for (const path of paths) expect([path, sources.some(source => source === path || source.startsWith(`${path}/`))]).toEqual([path, true])
})

test('what the compiler reads is copied', () => {
  const { include } = JSON.parse(read('tsconfig.build.json').replace(/^\s*\/\/.*$/gm, '')) as { include: string[] }
  for (const path of [...include, 'tsconfig.json', 'tsconfig.build.json', 'package.json', 'package-lock.json']) expect(sources).toContain(path)
})

test('stages are built before they are used, on one version of Node that Parley runs on', () => {
  const names: string[] = []
  for (const { word, rest } of instructions) {
    const [from, , name] = rest.split(' ')
    if (word === 'FROM') {
      if (!names.includes(from!)) expect(from).toMatch(/^node:22\.\d+\.\d+-bookworm-slim$/)
      names.push(name ?? 'the image')
    }
    const copied = /^--from=(\S+)/.exec(rest)?.[1]
    if (copied !== undefined) expect(names).toContain(copied)
  }
  expect(new Set(all('FROM').map(rest => rest.split(' ')[0]).filter(base => base!.startsWith('node:'))).size).toBe(1)
})

test('the image holds production packages alone, and runs as a user without rights', () => {
  const copied = image.filter(({ word, rest }) => word === 'COPY' && rest.includes('node_modules')).map(({ rest }) => rest)
  expect(copied).toEqual([expect.stringMatching(/^--from=packages /)])
  expect(read('deploy/Dockerfile')).toMatch(/AS packages\nRUN npm ci --omit=dev\n/)
  expect(last('USER')).toBe('1000:1000')
  // npm's own and the shell are the only programs that run while it is built: no package of Debian's is fetched.
  expect(all('RUN').join('\n')).not.toMatch(/apt|curl|wget/)
})

test('health is asked by Node, of a file that is there', () => {
  expect(last('HEALTHCHECK')).toMatch(/CMD \["node", "\/opt\/parley\/health\.mjs"\]$/)
  expect(sources).toContain('deploy/image/health.mjs')
})

test('what needs a place to write has one: the folder of the data is a volume of that user', () => {
  expect(last('VOLUME')).toBe('/var/lib/parley')
  expect(last('RUN')).toContain('chown 1000:1000 /var/lib/parley')
  expect(read('deploy/image/parley.yaml')).toMatch(/^dataDir: \/var\/lib\/parley$/m)
})

test('the environment sets nothing of Parley\'s: it would win over the file that an operator mounts', () => {
  const known = allNames().map(({ environment }) => environment)
  for (const rest of all('ENV')) expect(known).not.toContain(rest.split('=')[0])
  expect(all('ENV').join()).not.toContain('PARLEY_')
})

test('its ports are those it listens on', () => {
  const ports = [...read('deploy/image/parley.yaml').matchAll(/port: (\d+)/g)].map(([, port]) => port)
  expect(last('EXPOSE')?.split(' ').sort()).toEqual(ports.sort())
})

test('check-config takes the configuration of the image', () => {
  const main = join(ROOT, 'dist/main.js')
  // Whoever runs the tests need not be able to read /var/lib.
  const dir = mkdtempSync(join(tmpdir(), 'parley-image-'))
  try {
    expect(execFileSync(process.execPath, [main, 'check-config', '--config', join(ROOT, 'deploy/image/parley.yaml'), '--data-dir', dir], { encoding: 'utf8', env: {} })).toBe('the configuration is fine\n')
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test.each([
  [['serve'], ['/opt/parley/dist/main.js', 'serve', '--config', '/etc/parley/parley.yaml']],
  [['token', 'alice smith', '--admin'], ['/opt/parley/dist/main.js', 'token', '--config', '/etc/parley/parley.yaml', 'alice smith', '--admin']],
  [['hash'], ['/opt/parley/dist/main.js', 'hash']],
  [['--version'], ['/opt/parley/dist/main.js', '--version']],
  [[], ['/opt/parley/dist/main.js']],
])('the command in the image: parley %j', (given, expected) => {
  const dir = mkdtempSync(join(tmpdir(), 'parley-image-'))
  try {
    // A `node` that says what it is asked.
    writeFileSync(join(dir, 'node'), '#!/bin/sh\nprintf "%s\\n" "$@"\n')
    chmodSync(join(dir, 'node'), 0o755)
    const { stdout } = spawnSync(join(ROOT, 'deploy/image/parley'), given, { encoding: 'utf8', env: { PATH: `${dir}:/usr/bin:/bin` } })
    expect(stdout.trimEnd().split('\n')).toEqual(expected)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('the command in the image may be run', () => {
  expect(statSync(join(ROOT, 'deploy/image/parley')).mode & 0o111).toBe(0o111)
})
