import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Field } from './field.js'
import { allNames, flagNames, type Name } from './names.js'
import { nearest } from './nearest.js'
import type { Problem, Source } from './problem.js'
import { isTooBig } from '../domain/yaml-text.js'
import { whyUnreadable } from './read-file.js'

/** A value given by name (variable or flag), not yet checked against the schema. */
export interface Given {
  path: readonly string[]
  field: Field
  raw: unknown
  source: Source
}

/** What a set of variables or flags says. */
export interface GivenByName {
  given: Given[]
  problems: Problem[]
}

// What Kubernetes puts into every pod for a Service called parley, or parley-something:
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
const serviceLinkName = /^PARLEY_(.*_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/
const isServiceLink = (name: string, value: string): boolean =>
  serviceLinkName.test(name) || (/_PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value))

/** The PARLEY_ variables as values at paths, the outer block before what is in it. Never throws; messages hold no values. */
export function readEnvironment (env: Readonly<Record<string, string | undefined>>, cwd: string): GivenByName {
  const known = new Map(allNames().map((name) => [name.environment, name]))
  const result: GivenByName = { given: [], problems: [] }
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('PARLEY_') || variable.startsWith('PARLEY_TEST_') || value === undefined || isServiceLink(variable, value)) continue
    const source: Source = { from: 'environment', name: variable }
    const report = (message: string, meant?: string): void => {
      result.problems.push({ path: variable, message, source, ...(meant === undefined ? {} : { nearest: meant }) })
    }
    const name = known.get(variable)
    if (name !== undefined) {
      take(name, value, source, result, report)
      continue
    }
    const base = variable.endsWith('_FILE') ? variable.slice(0, -'_FILE'.length) : ''
    const pointed = known.get(base)
    if (pointed === undefined) {
      report('unknown name', nearestVariable(variable, [...known.keys()]))
    } else if (env[base] !== undefined && !isServiceLink(base, env[base])) {
      report(`and ${base} are both set: keep one`)
    } else {
      try {
        take(pointed, readFileSync(resolve(cwd, value), 'utf8').replace(/[\r\n]+$/, ''), source, result, report)
      } catch (error) {
        report(`the file that it names: ${whyUnreadable(error)}`)
      }
    }
  }
  result.given.sort((a, b) => a.path.length - b.path.length)
  return result
}

// Without the prefix that all share, which would make every name look alike; then the right key without its block (PARLEY_PORT).
function nearestVariable (variable: string, known: readonly string[]): string | undefined {
  const rest = variable.slice('PARLEY_'.length)
  const meant = nearest(rest, known.map((name) => name.slice('PARLEY_'.length)))
  return meant === undefined ? known.find((name) => name.endsWith(`_${rest}`)) : `PARLEY_${meant}`
}

/** Flags (`limits-message-bytes` → text) as values at paths. Unknown ones are the command line's business. */
export function readFlags (flags: Readonly<Record<string, string | undefined>>): GivenByName {
  const result: GivenByName = { given: [], problems: [] }
  for (const name of flagNames()) {
    const value = Object.hasOwn(flags, name.flag) ? flags[name.flag] : undefined
    if (value === undefined) continue
    const source: Source = { from: 'flag', name: `--${name.flag}` }
    take(name, value, source, result, (message) => { result.problems.push({ path: source.name, message, source }) })
  }
  return result
}

function take ({ path, field }: Name, value: string, source: Source, into: GivenByName, report: (message: string) => void): void {
  // An empty variable is mostly a template that was not filled in; read as "not set" it could switch a secret off.
  if (value.trim() === '') {
    report('is set but empty: give a value, or unset it')
    return
  }
  let raw: unknown = value
  if (field.type === 'integer' && /^\s*-?\d+\s*$/.test(value)) raw = Number(value)
  else if (field.type === 'boolean' && /^\s*(true|false)\s*$/.test(value)) raw = value.trim() === 'true'
  else if (field.type === 'array' || field.type === 'object') {
    try {
      raw = JSON.parse(value)
    } catch {
      // V8's own message quotes the text, which may hold a secret.
      report(`should be ${field.type === 'array' ? 'a list' : 'an object'} written as JSON`)
      return
    }
    if (isTooBig(raw)) {
      report('is nested too deep')
      return
    }
  }
  into.given.push({ path, field, raw, source })
}
