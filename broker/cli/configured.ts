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
