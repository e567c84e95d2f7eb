import { basename, dirname, resolve } from 'node:path'
import { checkTogether } from './check.js'
import { applyDefaults } from './defaults.js'
import { deriveDefaults, refuseForeignKeys } from './derive.js'
import { childOf, type Field } from './field.js'
import { notYetIn } from './not-yet.js'
import { showPath, type Problem, type Source } from './problem.js'
import { readConfigFile } from './read-file.js'
import { readEnvironment, readFlags, type GivenByName } from './read-environment.js'
import { isBlock, readValue, type Layer } from './read-value.js'
import { rootField, type Config } from './schema.js'

/** Where a configuration is looked for. */
export interface LoadInput {
  /** YAML or JSON file; relative to `cwd`. */
  file?: string
  env: Readonly<Record<string, string | undefined>>
  /** Values by flag name (`limits-message-bytes`). */
  flags?: Readonly<Record<string, string | undefined>>
  cwd: string
}

/** What loading found; `config` may only be used when there are no problems. */
export interface Loaded {
  config: Config
  /** The file's folder, else the working directory: where packages that it names are looked for. */
  baseDir: string
  /** Every mistake, those of the file first; empty: fine. */
  problems: Problem[]
  /** Where each value and block that is no default came from, by dotted path. */
  sources: ReadonlyMap<string, Source>
}

type Block = Record<string, unknown>

/** Loads the configuration: defaults, then file, then environment, then flags; the last wins. Never throws. */
export function loadConfig ({ file, env, flags = {}, cwd }: LoadInput): Loaded {
  const problems: Problem[] = []
  const sources = new Map<string, Source>()
  let given: Block = {}
  let parsed = true

  if (file !== undefined) {
    const full = resolve(cwd, file)
    const name = basename(full)
    const content = readConfigFile(full, name)
    problems.push(...content.problems)
    parsed = content.problems.length === 0
    const layer: Layer = {
      base: dirname(full), problems, sources,
      where: (path) => {
        const line = content.lines.get(showPath(path))
        return { from: 'file', name, ...(line === undefined ? {} : { line }) }
      },
    }
    given = (readValue(rootField, content.value ?? {}, [], layer) ?? {}) as Block
  }
  for (const named of [readEnvironment(env, cwd), readFlags(flags)]) given = overlay(given, named, { cwd, problems, sources })

  const report = (path: string, message: string): void => {
    // A value that was already refused is missing here: once is enough.
    if (problems.some((known) => within(path, known.path))) return
    const source = sources.get(path) ?? sources.get(path.replace(/\.[^.]*$/, ''))
    problems.push({ path, message, ...(source === undefined ? {} : { source, ...(source.line === undefined ? {} : { line: source.line }) }) })
  }
  refuseForeignKeys(given, report)
  const devByDefault = deriveDefaults(given)
  const config = applyDefaults(rootField, given, [], (path) => { report(path, 'is required') }) as Config
  config.dataDir = resolve(cwd, config.dataDir)
  // Of a file that could not be parsed nothing is known: what its absence would mean is no mistake of the operator's.
  if (parsed) checkTogether(config, devByDefault, report)
  for (const { path, message } of notYetIn(config)) report(path, message)
  return { config, baseDir: file === undefined ? cwd : dirname(resolve(cwd, file)), problems, sources }
}

const within = (path: string, outer: string): boolean =>
  path === outer || (path.startsWith(outer) && /^[.[]/.test(path.slice(outer.length)))

function overlay (under: Block, { given, problems: unread }: GivenByName, into: { cwd: string, problems: Problem[], sources: Map<string, Source> }): Block {
  into.problems.push(...unread)
  let merged = under
  for (const { path, field, raw, source } of given) {
    const value = readValue(field, raw, path, { base: into.cwd, where: () => source, ...into })
    if (value !== undefined) merged = merge(rootField, merged, path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Block)
  }
  return merged
}

/** Blocks are merged key by key, all else is replaced. */
function merge (field: Field, under: Block, over: Block): Block {
  const merged: Block = { ...under }
  for (const key of Object.keys(over)) {
    const child = childOf(field, key)
    const below = under[key]
    merged[key] = child?.type === 'object' && isBlock(below) && isBlock(over[key]) ? merge(child, below, over[key]) : over[key]
  }
  return merged
}
