import { Kind } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { meant } from './config/nearest.js'
import type { PluginHooks } from './core/hooks.js'
import { withinLimit } from './core/within-limit.js'
import { HOOK_NAMES, type Host, type Hooks, type Plugin, type TSchema } from './plugin.js'
import { importPlugin } from './plugin-file.js'
import type { Logger } from './ports/logger.js'

/** One plugin of the configuration. */
export interface PluginChoice {
  /** A path or a package name, or a built-in plugin as an object. */
  use: string | Plugin
  /** The plugin's own options. */
  config?: object
  /** Longest run of one hook call, ms; else what the plugin says, else 1,000. */
  timeoutMs?: number
}

/** Some plugins cannot be used; one sentence for each mistake, in words for an operator. */
export class PluginError extends Error {
  constructor (readonly problems: readonly string[], cause?: unknown) {
    super(problems.join('\n'), { cause })
    this.name = 'PluginError'
  }
}

/** A plugin that was found and fits its options, not yet set up. */
export interface ReadyPlugin { plugin: Plugin, config: unknown, timeoutMs: number }

const DEFAULT_TIMEOUT_MS = 1000
/** A setup that hangs (a backend without answer) would keep the broker from starting and say nothing. */
const SETUP_LIMIT_MS = 30_000
const late = (): Error => new Error(`not done within ${SETUP_LIMIT_MS / 1000} s`)
const NAME = /^[a-z][a-z0-9-]{0,63}$/

const messageOf = (e: unknown): string => e instanceof Error ? e.message : String(e)

/** Where TypeBox saw a mistake (`/a/0/b`), as configurations are written (`a[0].b`). */
const showPath = (path: string): string =>
  path.split('/').slice(1).map(s => s.replaceAll('~1', '/').replaceAll('~0', '~')).reduce((shown, s) => /^\d+$/.test(s) ? `${shown}[${s}]` : shown === '' ? s : `${shown}.${s}`, '')

/** The options with defaults filled in. @throws Error with every mistake */
function checkConfig (schema: TSchema | undefined, given: object | undefined): unknown {
  if (schema === undefined) {
    if (given !== undefined && Object.keys(given).length > 0) throw new Error(`it takes no options, but ${Object.keys(given).join(', ')} is given`)
    return {}
  }
  // A mistyped name would be ignored in silence, unless the plugin says that it takes any.
  const closed: TSchema = schema.type === 'object' && schema.additionalProperties === undefined ? { ...schema, additionalProperties: false } : schema
  const config = Value.Default(closed, structuredClone(given ?? {}))
  const mistakes = new Map<string, string>()
  for (const { path, message } of Value.Errors(closed, config)) {
    const at = showPath(path)
    if (mistakes.has(at)) continue // a missing key is reported twice: missing, and not of its type
    const text = message !== 'Unexpected property' ? message : `unknown${/[.[]/.test(at) ? '' : meant(at, Object.keys((schema.properties ?? {}) as object))}`
    mistakes.set(at, `config${at === '' ? '' : `.${at}`}: ${text}`)
  }
  if (mistakes.size > 0) throw new Error([...mistakes.values()].slice(0, 10).join('; '))
  return config
}

/** @throws Error saying what makes it no plugin */
function checkShape (v: unknown): Plugin {
  if (typeof v !== 'object' || v === null) throw new Error('the default export is no plugin: an object made by definePlugin')
  const { name, config, timeoutMs, setup, check } = v as Partial<Plugin>
  if (typeof name !== 'string' || !NAME.test(name)) throw new Error(`its name has to be 1 to 64 of a-z 0-9 -, a letter first; it is ${JSON.stringify(name) ?? 'missing'}`)
  if (typeof setup !== 'function') throw new Error('setup is no function')
  if (check !== undefined && typeof check !== 'function') throw new Error('check is no function')
  if (config !== undefined && (typeof config !== 'object' || config === null || !(Kind in config))) throw new Error('config is no schema: Type.Object({…})')
  checkTimeout(timeoutMs)
  return v as Plugin
}

function checkTimeout (ms: unknown): void {
  if (ms !== undefined && !(typeof ms === 'number' && Number.isFinite(ms) && ms > 0)) throw new Error('timeoutMs is no number of milliseconds above 0')
}

/** What setup returned. A misspelt hook would never run, and nobody would know. */
function checkHooks (v: unknown): Hooks {
  if (v === undefined || v === null) return {}
  if (typeof v !== 'object') throw new Error('setup returned no hooks: an object of functions, or nothing')
  const names: readonly string[] = HOOK_NAMES
  for (const name of names) {
    const hook = (v as Record<string, unknown>)[name]
    if (hook !== undefined && typeof hook !== 'function') throw new Error(`hook ${name} is no function`)
  }
  for (const [name, value] of Object.entries(v)) {
    if (typeof value === 'function' && !names.includes(name)) throw new Error(`there is no hook ${name}${meant(name, names)}`)
  }
  return v
}

/**
 * Finds and checks the plugins, and sets none of them up (`check-config`). Their files are imported, which runs them.
 * @throws PluginError with every mistake
 */
export async function findPlugins (list: readonly PluginChoice[], baseDir: string): Promise<ReadyPlugin[]> {
  const problems: string[] = []
  const ready: ReadyPlugin[] = []
  for (const { use, config, timeoutMs } of list) {
    try {
      checkTimeout(timeoutMs)
      const plugin = checkShape(typeof use === 'string' ? await importPlugin(use, baseDir) : use)
      if (ready.some(r => r.plugin.name === plugin.name)) throw new Error(`another plugin is called ${plugin.name}, too`)
      ready.push({ plugin, config: checkConfig(plugin.config, config), timeoutMs: timeoutMs ?? plugin.timeoutMs ?? DEFAULT_TIMEOUT_MS })
    } catch (e) { problems.push(`plugin ${typeof use === 'string' ? use : use.name}: ${messageOf(e)}`) }
  }
  if (problems.length > 0) throw new PluginError(problems)
  return ready
}

/**
 * {@link findPlugins}, and asks each whether what its options name is good. None is set up.
 * @throws PluginError with every mistake
 */
export async function checkPlugins (list: readonly PluginChoice[], baseDir: string): Promise<void> {
  const problems: string[] = []
  for (const { plugin, config } of await findPlugins(list, baseDir)) {
    try { await plugin.check?.(config) } catch (e) { problems.push(`plugin ${plugin.name}: ${messageOf(e)}`) }
  }
  if (problems.length > 0) throw new PluginError(problems)
}

/**
 * Loads the plugins and runs their setups, one after the other, in the order given.
 * @param baseDir where paths begin and packages are looked for first: the folder of the configuration file
 * @throws PluginError
 */
export async function loadPlugins (list: readonly PluginChoice[], baseDir: string, host: Host, logger: Logger): Promise<PluginHooks[]> {
  const loaded: PluginHooks[] = []
  for (const { plugin, config, timeoutMs } of await findPlugins(list, baseDir)) {
    try {
      const hooks = checkHooks(await withinLimit(() => plugin.setup(host, config), { clock: host.clock, limitMs: SETUP_LIMIT_MS, late }))
      loaded.push({ plugin: plugin.name, timeoutMs, hooks })
      logger.info({ plugin: plugin.name, hooks: HOOK_NAMES.filter(name => hooks[name] !== undefined) }, 'plugin is set up')
    } catch (e) {
      throw new PluginError([`plugin ${plugin.name}: setup failed: ${messageOf(e)}`], e)
    }
  }
  return loaded
}
