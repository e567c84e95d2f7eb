import { childOf, isRequired, type Field } from './field.js'
import { isBlock } from './read-value.js'
import { showPath, type Path } from './problem.js'

/**
 * The value with every default below it applied; keys that have none are left out. What was given comes first, as it was
 * written (in `auth`, the order of the keys is that of the ways to sign in), then the rest in the schema's order.
 * `missing` is told each required key that has neither value nor default.
 */
export function applyDefaults (field: Field, value: unknown, path: Path = [], missing: (path: string) => void = () => {}): unknown {
  if (field.type === 'array') return Array.isArray(value) ? value.map((item: unknown, i) => applyDefaults(field.items as Field, item, [...path, i], missing)) : value
  if (field.type !== 'object') return value
  const given = isBlock(value) ? value : {}
  const full: Record<string, unknown> = {}
  const known = field.properties ?? {}
  for (const key of new Set([...Object.keys(given), ...Object.keys(known)])) {
    if (!Object.hasOwn(known, key)) continue
    const child = known[key]!
    const at = [...path, key]
    if (Object.hasOwn(given, key)) full[key] = applyDefaults(child, given[key], at, missing)
    else if (child.default !== undefined) full[key] = Array.isArray(child.default) ? [...child.default as unknown[]] : child.default
    else if (child.type === 'object' && isRequired(field, key)) full[key] = applyDefaults(child, {}, at, missing)
    else if (isRequired(field, key) && child.derived === undefined) missing(showPath(at))
  }
  if (field.open === true) for (const key of Object.keys(given)) if (childOf(field, key) === undefined) full[key] = given[key]
  return full
}
