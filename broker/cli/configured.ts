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
 * Whether the plugins of a configuration, and the ways to sign in, are there, take their options, and find what these
 * name. The files of plugins are imported, which runs them.
 * @throws UsageError listing every mistake, a line each
 */
export async function checkPlugins ({ config, baseDir }: Loaded): Promise<void> {
  const [{ authChoices }, { checkPlugins: check, PluginError }] = await Promise.all([import('../auth-choices.js'), import('../plugins.js')])
  try {
    // Not the generated secret: checking makes no file.
    await check([...authChoices(config.auth, config.auth.jwt.secret), ...config.plugins], baseDir)
  } catch (error) {
    throw error instanceof PluginError ? new UsageError(error.message) : error
  }
}
