import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ParleyError } from '../../broker/domain/errors.js'
import { definePlugin, type Host, type Plugin, Type } from '../../broker/plugin.js'
import { findPlugins, loadPlugins, type PluginChoice, PluginError } from '../../broker/plugins.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

let dir: string
beforeEach(async () => { dir = await mkdtemp(join(tmpdir(), 'parley-plugins-')) })
afterEach(async () => { await rm(dir, { recursive: true }) })

async function file (path: string, text: string): Promise<void> {
  await mkdir(dirname(join(dir, path)), { recursive: true })
  await writeFile(join(dir, path), text)
}

const clock = new FakeClock()
const host = { clock } as unknown as Host
type List = (string | PluginChoice)[]
const load = (...list: List) => loadPlugins(list.map(c => typeof c === 'string' ? { use: c } : c), dir, host, recordingLogger())

/** The mistakes found in a list. */
async function problems (...list: List): Promise<readonly string[]> {
  try { await load(...list) } catch (e) {
    expect(e).toBeInstanceOf(PluginError)
    return (e as PluginError).problems
  }
  throw new Error('nothing was wrong')
}

const plugin = (more: Partial<Plugin> = {}): Plugin => ({ name: 'mine', setup () {}, ...more })
/** As a plugin of plain JavaScript may be. */
const odd = (more: object): Plugin => plugin(more as Partial<Plugin>)
const source = (name: string, body = 'return { didConnect () {} }'): string => `export default { name: '${name}', setup (host, config) { ${body} } }`

describe('where plugins come from', () => {
  test('a path, relative to the folder given, with or without its ending', async () => {
    await file('a/one.mjs', source('one'))
    await file('two.js', 'module.exports = { name: "two", setup () {} }')
    await file('three/index.js', 'exports.__esModule = true; exports.default = { name: "three", setup () {} }')
    const loaded = await load('./a/one.mjs', './two', './three', { use: join(dir, 'a/../a/one.mjs') }).catch((e: unknown) => e as PluginError)
    expect((loaded as PluginError).problems).toEqual([expect.stringMatching(/another plugin is called one/)])
    expect((await load('./a/one.mjs', './two', './three')).map(p => p.plugin)).toEqual(['one', 'two', 'three'])
  })

  test.each<[string, object]>([
    ['main', { main: './lib/plugin.js' }],
    ['exports as text', { exports: './lib/plugin.js' }],
    ['exports for import only', { exports: { '.': { import: './lib/plugin.js' } } }],
    ['exports, types first', { exports: { '.': { types: './lib/plugin.d.ts', import: { node: './lib/plugin.js' }, require: './lib/none.cjs' } } }],
    ['exports, a list', { exports: [{ browser: './lib/none.js' }, './lib/plugin.js'] }]
  ])('a package: %s', async (_how, json) => {
    await file('node_modules/@acme/parley-words/package.json', JSON.stringify({ name: '@acme/parley-words', type: 'module', ...json }))
    await file('node_modules/@acme/parley-words/lib/plugin.js', source('words'))
    await mkdir(join(dir, 'etc'))
    expect((await loadPlugins([{ use: '@acme/parley-words' }], join(dir, 'etc'), host, recordingLogger())).map(p => p.plugin)).toEqual(['words'])
  })

  test('a built-in one, as an object', async () => {
    const hooks = { didConnect () {} }
    expect(await load({ use: plugin({ setup: () => hooks }) })).toEqual([{ plugin: 'mine', timeoutMs: 1000, hooks }])
  })

  test('a function is given all of parley/plugin', async () => {
    await file('made.mjs', 'export default ({ definePlugin, ParleyError, Type }) => definePlugin({ name: "made", config: Type.Object({ n: Type.Number() }), setup: (host, { n }) => ({ willPublish () { throw new ParleyError("muted", String(n)) } }) })')
    const [made] = await load({ use: './made.mjs', config: { n: 7 } })
    let thrown: unknown
    try { void made!.hooks.willPublish!({} as never) } catch (e) { thrown = e }
    expect(thrown).toBeInstanceOf(ParleyError)
    expect((thrown as ParleyError).message).toBe('7')
  })
})

describe('what can be wrong', () => {
  test('no such file or package', async () => {
    expect(await problems('./none.js')).toEqual([`plugin ./none.js: there is no file ${join(dir, 'none.js')}`])
    expect(await problems('parley-none')).toEqual([`plugin parley-none: no package parley-none is installed in ${dir}; a path begins with ./`])
    expect(await problems('fs')).toEqual([expect.stringMatching(/no package fs/)])
  })

  test('a name that is nearly one', async () => {
    await file('words.mjs', source('words'))
    await file('node_modules/@acme/parley-words/package.json', '{}')
    await file('node_modules/parley-polls/package.json', '{}')
    expect(await problems('./wrods.mjs', 'words.mjs', '@acme/parley-word', 'parley-pols')).toEqual([
      expect.stringMatching(/there is no file .*wrods\.mjs; did you mean words\.mjs\?$/),
      expect.stringMatching(/no package words\.mjs is installed in .*; did you mean \.\/words\.mjs\?$/),
      expect.stringMatching(/; did you mean @acme\/parley-words\?$/),
      expect.stringMatching(/; did you mean parley-polls\?$/)
    ])
  })

  test('a file that cannot be imported', async () => {
    await file('throws.mjs', 'const a = 1\nthrow new TypeError("not today")')
    await file('syntax.mjs', 'export default {')
    await file('needs.mjs', 'import "./gone.mjs"')
    expect(await problems('./throws.mjs')).toEqual([`plugin ./throws.mjs: ${join(dir, 'throws.mjs')} cannot be imported: TypeError: not today (line 2)`])
    expect(await problems('./syntax.mjs')).toEqual([expect.stringMatching(/syntax\.mjs cannot be imported: SyntaxError/)])
    expect(await problems('./needs.mjs')).toEqual([expect.stringMatching(/needs\.mjs cannot be imported: .*gone\.mjs/)])
  })

  test('an export that is no plugin', async () => {
    await file('none.mjs', 'export const plugin = 1')
    await file('text.mjs', 'export default "words"')
    await file('fails.mjs', 'export default () => { throw new Error("no licence") }')
    await file('nothing.mjs', 'export default () => {}')
    expect(await problems('./none.mjs', './text.mjs', './fails.mjs', './nothing.mjs')).toEqual([
      expect.stringMatching(/^plugin \.\/none\.mjs: .*has no default export; write: export default definePlugin/),
      expect.stringMatching(/^plugin \.\/text\.mjs: the default export is no plugin/),
      expect.stringMatching(/^plugin \.\/fails\.mjs: the function that .*fails\.mjs exports failed: Error: no licence/),
      expect.stringMatching(/^plugin \.\/nothing\.mjs: the default export is no plugin/)
    ])
  })

  test.each<[object, RegExp]>([
    [{ name: undefined }, /name.*missing/], [{ name: '' }, /name.*""/], [{ name: 'My Plugin' }, /name.*"My Plugin"/], [{ name: 7 }, /name.*7/], [{ name: 'x'.repeat(65) }, /name/],
    [{ setup: undefined }, /setup is no function/], [{ setup: {} }, /setup is no function/],
    [{ config: 'x' }, /config is no schema/], [{ config: { type: 'object' } }, /config is no schema/],
    [{ timeoutMs: 0 }, /timeoutMs/], [{ timeoutMs: '1s' }, /timeoutMs/], [{ timeoutMs: NaN }, /timeoutMs/]
  ])('a plugin with %p', async (more, why) => {
    expect(await problems({ use: odd(more) })).toEqual([expect.stringMatching(why)])
  })

  test('options that do not fit, with their paths; no value is shown', async () => {
    const config = Type.Object({
      url: Type.String({ minLength: 20 }), retries: Type.Integer({ default: 3 }),
      rules: Type.Array(Type.Object({ word: Type.String() }), { default: [] })
    })
    const words = plugin({ config })
    expect(await problems({ use: words, config: { url: 'hunter2', retires: 1, rules: [{ word: 'a' }, { word: 7 }] } })).toEqual([expect.stringMatching(/^plugin mine: /)])
    const [text] = await problems({ use: words, config: { url: 'hunter2', retires: 1, rules: [{ word: 'a' }, { word: 7 }] } })
    expect(text).toContain('config.retires: unknown; did you mean retries?')
    expect(text).toContain('config.rules[1].word: Expected string')
    expect(text).toMatch(/config\.url: .*20/)
    expect(text).not.toContain('hunter2')
    expect(await problems({ use: words })).toEqual(['plugin mine: config.url: Expected required property'])
    expect(await problems({ use: words, config: [] })).toEqual([expect.stringMatching(/config: Expected object/)])
    expect(await problems({ use: plugin(), config: { url: 'x' } })).toEqual(['plugin mine: it takes no options, but url is given'])
    await load({ use: plugin(), config: {} })
    await load({ use: plugin({ config: Type.Object({}, { additionalProperties: true }) }), config: { any: 1 } })
  })

  test('every mistake is told, and no setup has run', async () => {
    let setups = 0
    const fine = plugin({ name: 'fine', setup () { setups++ } })
    expect(await problems({ use: fine }, './none.js', { use: fine }, { use: plugin(), timeoutMs: -1 })).toEqual([
      expect.stringMatching(/none\.js/), expect.stringMatching(/another plugin is called fine/), expect.stringMatching(/timeoutMs/)
    ])
    expect(setups).toBe(0)
  })

  test('a setup that throws, rejects or hangs', async () => {
    expect(await problems({ use: plugin({ setup () { throw new Error('no licence') } }) })).toEqual(['plugin mine: setup failed: no licence'])
    expect(await problems({ use: plugin({ setup: async () => { throw new Error('no licence') } }) })).toEqual(['plugin mine: setup failed: no licence'])
    let began: () => void = () => {}
    const beginning = new Promise<void>(resolve => { began = resolve })
    const hanging = problems({ use: plugin({ setup: () => { began(); return new Promise(() => {}) } }) })
    await beginning
    clock.advance(30_000)
    expect(await hanging).toEqual(['plugin mine: setup failed: not done within 30 s'])
  })

  test.each<[unknown, RegExp]>([
    [{ willPublsh () {} }, /no hook willPublsh; did you mean willPublish\?/], [{ didPublish: true }, /hook didPublish is no function/],
    ['willPublish', /no hooks/], [() => {}, /no hooks/], [42, /no hooks/]
  ])('a setup that returns %p', async (hooks, why) => {
    expect(await problems({ use: odd({ setup: () => hooks }) })).toEqual([expect.stringMatching(why)])
  })
})

describe('what comes of it', () => {
  test('setup gets the host and the options with defaults, and the options given stay as they are', async () => {
    const given = { rules: [{ word: 'x' }] }
    let got: unknown[] = []
    const words = definePlugin({
      name: 'words',
      config: Type.Object({ mask: Type.String({ default: '***' }), rules: Type.Array(Type.Object({ word: Type.String(), whole: Type.Boolean({ default: true }) })) }),
      setup (...args) { got = args }
    })
    await load({ use: words, config: given })
    expect(got[0]).toBe(host)
    expect(got[1]).toEqual({ mask: '***', rules: [{ word: 'x', whole: true }] })
    expect(given).toEqual({ rules: [{ word: 'x' }] })
  })

  test('the time limit: of the configuration, else of the plugin, else 1,000 ms', async () => {
    const limits = async (mine: Partial<Plugin>, timeoutMs?: number) => (await load({ use: plugin(mine), timeoutMs }))[0]?.timeoutMs
    expect([await limits({ timeoutMs: 50 }, 20), await limits({ timeoutMs: 50 }), await limits({})]).toEqual([20, 50, 1000])
  })

  test('setups run one after the other, in the order given', async () => {
    const order: string[] = []
    const slow = (name: string): Plugin => plugin({ name, setup: async () => { order.push(`${name} begins`); await new Promise(resolve => setImmediate(resolve)); order.push(`${name} ends`) } })
    await load({ use: slow('b') }, { use: slow('a') })
    expect(order).toEqual(['b begins', 'b ends', 'a begins', 'a ends'])
  })

  test('hooks may be an instance of a class with fields', async () => {
    class Counter { seen = 0; didConnect (): void { this.seen++ } }
    const counter = new Counter()
    expect((await load({ use: plugin({ setup: () => counter as never }) }))[0]?.hooks).toBe(counter)
  })

  test('findPlugins sets nothing up', async () => {
    let setups = 0
    expect(await findPlugins([{ use: plugin({ setup () { setups++ } }) }], dir)).toMatchObject([{ timeoutMs: 1000, config: {} }])
    expect(setups).toBe(0)
  })
})
