import { childOf, isRequired, type Field } from './field.js'
import { isBlock } from './read-value.js'
import { showPath, type Path } from './problem.js'

/**
 * The value with every default below it applied, in the schema's order of keys; keys that have none are left out.
 * `missing` is told each required key that has neither value nor default.
 */
export function applyDefaults (field: Field, value: unknown, path: Path = [], missing: (path: string) => void = () => {}): unknown {
  if (field.type === 'array') return Array.isArray(value) ? value.map((item: unknown, i) => applyDefaults(field.items as Field, item, [...path, i], missing)) : value
  if (field.type !== 'object') return value
  const given = isBlock(value) ? value : {}
  const full: Record<string, unknown> = {}
  for (const [key, child] of Object.entries(field.properties ?? {})) {
    const at = [...path, key]
    if (Object.hasOwn(given, key)) full[key] = applyDefaults(child, given[key], at, missing)
    else if (child.default !== undefined) full[key] = Array.isArray(child.default) ? [...child.default as unknown[]] : child.default
    else if (child.type === 'object' && isRequired(field, key)) full[key] = applyDefaults(child, {}, at, missing)
    else if (isRequired(field, key) && child.derived === undefined) missing(showPath(at))
  }
  if (field.open === true) for (const key of Object.keys(given)) if (childOf(field, key) === undefined) full[key] = given[key]
  return full
}
