import { isDeepStrictEqual } from 'node:util'
import { applyDefaults } from './defaults.js'
import { childOf, isRequired, type Field } from './field.js'
import { showPath, type Path } from './problem.js'
import { rootField } from './schema.js'

/**
 * Keys that the schema has and this version cannot do: `serve` and `check-config` refuse a configuration
 * that sets one to anything but its default. `[]` stands for every item of a list.
 * A part that builds one of these deletes its row.
 */
export const notYet: readonly { path: string, feature: string }[] = [
  { path: 'admin', feature: 'a separate admin address' },
  { path: 'retention.days', feature: 'retention by age' },
  { path: 'retention.perConversation', feature: 'retention by count' },
  { path: 'push', feature: 'push to devices that are away' },
]

/** The keys of a full configuration that `notYet` refuses: path as shown, and what is wrong. */
export function notYetIn (config: unknown): { path: string, message: string }[] {
  return notYet.flatMap(({ path, feature }) => {
    const { field, optional } = fieldAt(path)
    const usual = field.default ?? (optional ? undefined : applyDefaults(field, undefined))
    return valuesAt(config, path.split('.'), [])
      .filter(({ value }) => value !== undefined && !isDeepStrictEqual(value, usual))
      .map(({ at }) => ({ path: showPath(at), message: `${feature} is not in this version` }))
  })
}

function fieldAt (path: string): { field: Field, optional: boolean } {
  let field = rootField
  let optional = false
  for (const step of path.split('.')) {
    const key = step.replace('[]', '')
    const child = childOf(field, key)
    if (child === undefined) throw new Error(`notYet: the schema has no ${path}`)
    optional = !isRequired(field, key)
    field = step.endsWith('[]') ? child.items as Field : child
  }
  return { field, optional }
}

function valuesAt (value: unknown, steps: readonly string[], at: Path): { at: Path, value: unknown }[] {
  const [step, ...rest] = steps
  if (step === undefined) return [{ at, value }]
  const key = step.replace('[]', '')
  const child = (value as Record<string, unknown> | undefined)?.[key]
  if (!step.endsWith('[]')) return valuesAt(child, rest, [...at, key])
  return Array.isArray(child) ? child.flatMap((item: unknown, i) => valuesAt(item, rest, [...at, key, i])) : []
}
