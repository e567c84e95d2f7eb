import { parseArgs } from 'node:util'
import { flagNames } from '../config/names.js'
import { nearest } from '../config/nearest.js'

/** The command line or the configuration is wrong: the message goes to standard error, exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** What a command got from its command line. */
export interface Input {
  positionals: readonly string[]
  /** Its own options. */
  options: Readonly<Record<string, string | boolean | undefined>>
  /** Keys of the configuration given as flags, by flag name. */
  flags: Readonly<Record<string, string | undefined>>
}

/** A subcommand of `parley`. */
export interface Command {
  name: string
  /** What stands behind the name in usage. */
  synopsis: string
  summary: string
  options: Readonly<Record<string, { type: 'string' | 'boolean', value?: string, says: string }>>
  /** Names of the arguments, all required. */
  positionals: readonly string[]
  /** Whether it takes `--config` and every key of the configuration as a flag. */
  configured: boolean
  /** Returns the exit code. @throws UsageError for exit code 2 */
  run: (input: Input) => Promise<number>
}

/** Every command has these. */
export const commonOptions = {
  help: { type: 'boolean', says: 'print this and stop' },
  version: { type: 'boolean', says: 'print the version and stop' },
} as const

/** The option that every configured command has. */
export const configOption = { type: 'string', value: 'FILE', says: 'configuration, YAML or JSON (docs/config.md)' } as const

/**
 * The arguments behind a command's name. `help` and `version` end the reading before anything else is checked.
 * @throws UsageError for unknown options (with the nearest known one), missing values and wrong arguments
 */
export function parseCommand (command: Command, args: readonly string[]): Input | 'help' | 'version' {
  const own = { ...commonOptions, ...(command.configured ? { config: configOption } : {}), ...command.options }
  const flags = command.configured ? flagNames().map((name) => name.flag) : []
  const known = Object.fromEntries([...flags.map((flag) => [flag, { type: 'string' as const }]), ...Object.entries(own).map(([name, { type }]) => [name, { type }])]) as Record<string, { type: 'string' | 'boolean' }>

  const { tokens } = parseArgs({ args: [...args], options: { ...known, h: { type: 'boolean' } }, strict: false, tokens: true })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    if (token.name === 'help' || token.name === 'h') return 'help'
    if (token.name === 'version') return 'version'
  }
  for (const token of tokens) {
    if (token.kind === 'option' && !Object.hasOwn(known, token.name)) throw unknown(`parley ${command.name}`, token.rawName, Object.keys(known).map((name) => `--${name}`))
  }
  let parsed
  try {
    parsed = parseArgs({ args: [...args], options: known, strict: true, allowPositionals: true })
  } catch (error) {
    throw new UsageError(`parley ${command.name}: ${(error as Error).message}`)
  }
  const { positionals, values } = parsed
  if (positionals.length !== command.positionals.length) {
    throw new UsageError(positionals.length < command.positionals.length
      ? `parley ${command.name}: ${command.positionals[positionals.length] ?? ''} is missing; usage: parley ${command.name} ${command.synopsis}`
      : `parley ${command.name}: nothing known to do with ${JSON.stringify(positionals[command.positionals.length])}; usage: parley ${command.name} ${command.synopsis}`)
  }
  const options: Record<string, string | boolean | undefined> = {}
  const configuration: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(values)) {
    if (Object.hasOwn(own, name)) options[name] = value as string | boolean
    else configuration[name] = String(value)
  }
  return { positionals, options, flags: configuration }
}

/** The answer to a name that nobody knows. */
export function unknown (where: string, name: string, known: readonly string[]): UsageError {
  const meant = nearest(name, known)
  return new UsageError(`${where}: unknown ${name.startsWith('-') ? 'option' : 'command'} ${name}${meant === undefined ? '' : `; did you mean ${meant}?`} (${where} --help lists all)`)
}
