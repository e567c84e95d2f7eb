import { loadConfig, type Loaded } from '../config/load.js'
import { showProblem } from '../config/problem.js'
import { UsageError, type Input } from './command.js'

/** The configuration that a command line names. @throws UsageError listing every mistake, a line each */
export function loadFor (input: Input): Loaded {
  const file = input.options.config
  if (file === '') throw new UsageError('--config: names no file')
  const loaded = loadConfig({ env: process.env, flags: input.flags, cwd: process.cwd(), ...(typeof file === 'string' ? { file } : {}) })
  const { problems } = loaded
  if (problems.length > 0) throw new UsageError([...problems.map(showProblem), `${problems.length} ${problems.length === 1 ? 'mistake' : 'mistakes'} in the configuration`].join('\n'))
  return loaded
}

/**
 * Whether the plugins of a configuration are there and take their options. Their files are imported, which runs them.
 * @throws UsageError listing every mistake, a line each
 */
export async function checkPlugins ({ config, baseDir }: Loaded): Promise<void> {
  if (config.plugins.length === 0) return
  const { findPlugins, PluginError } = await import('../plugins.js')
  try {
    await findPlugins(config.plugins, baseDir)
  } catch (error) {
    throw error instanceof PluginError ? new UsageError(error.message) : error
  }
}
