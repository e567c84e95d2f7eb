import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '../support/client.js'
import { Home } from '../support/process.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/plugins.md'), 'utf8')
const snippet = (language: string): string => new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page)![1]!

/** What a type should refuse: each of these lines is a mistake, and the compiler says so if one of them is not. */
const MISTAKES = `
import { definePlugin, Type } from 'parley/plugin'
const config = Type.Object({ words: Type.Array(Type.String()) })
export const a = definePlugin({ name: 'a', config, setup (_host, options) { const first: string | undefined = options.words[0]; void first } })
// @ts-expect-error no such option
export const b = definePlugin({ name: 'b', config, setup (_host, options) { void options.word } })
// @ts-expect-error no such hook
export const c = definePlugin({ name: 'c', setup: () => ({ willPublsh () {} }) })
// @ts-expect-error who may call is missing
export const d = definePlugin({ name: 'd', setup (host) { host.operation({ name: 'd', summary: '', params: Type.Object({}), result: Type.Object({}), handle: async () => ({}) }) } })
`

test('the package of the docs: packed, compiled against the types that are shipped, found by name, at work', async () => {
  const home = new Home({ plugins: [{ use: 'parley-quiet-hours', config: { fromHour: 0, toHour: 24 } }] })
  const installed = join(home.dir, 'node_modules')
  const plugin = join(installed, 'parley-quiet-hours')
  const clients: Client[] = []
  try {
    // Parley as npm would install it: what `files` lists, with its dependencies.
    const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home.dir], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as [{ filename: string }]
    mkdirSync(join(installed, 'parley'), { recursive: true })
    execFileSync('tar', ['-xzf', join(home.dir, filename), '-C', join(installed, 'parley'), '--strip-components=1'])
    symlinkSync(join(root, 'node_modules'), join(installed, 'parley/node_modules'))
    symlinkSync(join(root, 'node_modules/@types'), join(installed, '@types'))

    mkdirSync(plugin)
    writeFileSync(join(plugin, 'package.json'), snippet('json'))
    writeFileSync(join(plugin, 'index.ts'), snippet('ts'))
    writeFileSync(join(plugin, 'mistakes.ts'), MISTAKES)
    writeFileSync(join(plugin, 'tsconfig.json'), JSON.stringify({
      compilerOptions: { strict: true, module: 'NodeNext', target: 'ES2022', types: ['node'], outDir: 'dist', rootDir: '.' }, files: ['index.ts', 'mistakes.ts']
    }))
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', plugin], { encoding: 'utf8', stdio: ['ignore', 'inherit', 'inherit'] })

    const life = await home.start(join(installed, 'parley/dist/main.js'))
    const alice = await Client.connect(life.mqttPort, { user: 'alice', subscribe: ['me/#'] })
    clients.push(alice)
    expect((await alice.rpc('quiet.now')).result).toEqual({ quiet: true })
    await alice.rpc('group.create', { group: 'team' })
    await alice.say('g/team/msg', { cid: 'c1', body: 'psst' })
    expect((await alice.got('me/ack', 1))[0]!.json).toEqual({ cid: 'c1', error: { code: 'muted', message: 'groups are quiet until 24:00 UTC' } })
    await alice.say('u/bob/msg', { cid: 'c2', body: 'psst' })
    expect((await alice.got('me/ack', 2))[1]!.json).toMatchObject({ cid: 'c2', seq: 1 })
    expect(await life.stop()).toBe(0)
  } finally {
    for (const c of clients) c.destroy()
    await home.close()
  }
})
