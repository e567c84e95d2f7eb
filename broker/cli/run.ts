import { checkConfig } from './check-config.js'
import { commonOptions, configOption, parseCommand, unknown, UsageError, type Command } from './command.js'
import { hash } from './hash.js'
import { serve } from './serve.js'
import { token } from './token.js'
import { exportCommand, importCommand } from './transfer.js'
import { version } from '../config/version.js'

const commands: readonly Command[] = [serve, checkConfig, token, hash, exportCommand, importCommand]

/** Runs the command line behind `parley`. Returns the exit code: 0 fine, 1 failed, 2 wrong usage or configuration. Never throws. */
export async function run (args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args)
  } catch (error) {
    const usage = error instanceof UsageError
    console.error(usage ? error.message : `parley: ${(error as Error).message}`)
    return usage ? 2 : 1
  }
}

async function dispatch ([first, ...rest]: readonly string[]): Promise<number> {
  if (first === undefined) throw new UsageError(help())
  if (first === '--help' || first === '-h' || first === 'help') return print(help())
  if (first === '--version') return print(version())
  const command = commands.find(({ name }) => name === first)
  if (command === undefined) throw unknown('parley', first, first.startsWith('-') ? ['--help', '--version'] : commands.map(({ name }) => name))
  const input = parseCommand(command, rest)
  if (input === 'help') return print(helpOn(command))
  if (input === 'version') return print(version())
  return await command.run(input)
}

function print (text: string): number {
  console.log(text)
  return 0
}

const columns = (rows: readonly (readonly [string, string])[]): string[] => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}

function help (): string {
  return [
    'Parley: an MQTT broker made for mobile chat.',
    '',
    'usage: parley COMMAND [options]',
    '',
    ...columns(commands.map(({ name, summary }) => [name, summary] as const)),
    '',
    'parley COMMAND --help tells more; --version prints the version.',
    'First steps: parley serve',
  ].join('\n')
}

function helpOn ({ name, synopsis, summary, options, configured }: Command): string {
  const all = { ...(configured ? { config: configOption } : {}), ...options, ...commonOptions } as Command['options']
  const rows = Object.entries(all).map(([option, { value, says }]) => [`--${option}${value === undefined ? '' : ` ${value}`}`, says] as const)
  return [
    `usage: parley ${name} ${synopsis}`,
    '',
    `${summary[0]?.toUpperCase() ?? ''}${summary.slice(1)}.`,
    '',
    ...columns(rows),
    ...(configured ? ['', 'Every key of the configuration is an option too, for example --log-level debug or', '--data-dir ./data; in the environment it is PARLEY_LOG_LEVEL, PARLEY_DATA_DIR.'] : []),
  ].join('\n')
}
