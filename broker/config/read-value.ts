import { resolve } from 'node:path'
import { childOf, keysOf, type Field } from './field.js'
import { allNames } from './names.js'
import { nearest } from './nearest.js'
import { showPath, type Path, type Problem, type Source } from './problem.js'

/** What reading one layer (the file, one variable, one flag) needs to know and leaves behind. */
export interface Layer {
  /** Folder that relative paths are relative to. */
  base: string
  where: (path: Path) => Source
  problems: Problem[]
  /** Where each accepted value and block came from, by dotted path. */
  sources: Map<string, Source>
}

type Block = Record<string, unknown>

/** Whether a value is a plain block of keys: no list, date, buffer or other class. */
export const isBlock = (value: unknown): value is Block =>
  typeof value === 'object' && value !== null && (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null)

function describe (raw: unknown, field: Field): string {
  if (raw === null || raw === undefined) return 'empty'
  if (Array.isArray(raw)) return 'a list'
  if (isBlock(raw)) return 'a block of keys'
  if (typeof raw === 'object') return raw instanceof Date ? 'a date' : 'a binary value'
  // The value itself is shown only where no secret can stand.
  const shows = field.type === 'integer' || field.type === 'boolean' || field.enum !== undefined
  if (typeof raw === 'string') return shows ? `the text ${JSON.stringify(raw.slice(0, 40))}` : 'a text'
  if (typeof raw === 'boolean') return shows ? `${raw}` : 'true or false'
  return shows ? `the number ${String(raw)}` : 'a number'
}

function expected (field: Field): string {
  if (field.enum !== undefined) return `one of ${field.enum.join(', ')}`
  if (field.shape !== undefined) return field.shape
  if (field.type === 'integer') return `a whole number from ${field.minimum ?? 0} to ${field.maximum ?? Number.MAX_SAFE_INTEGER}`
  return { boolean: 'true or false', array: 'a list', object: 'a block of keys', string: 'a text' }[field.type]
}

/**
 * Checks one value of one layer against its field: unknown keys, types, bounds; makes paths absolute.
 * Returns what could be used (undefined: nothing), reports every mistake, never throws. Defaults are not applied here.
 */
export function readValue (field: Field, raw: unknown, path: Path, layer: Layer): unknown {
  const report = (message: string, at: Path = path, meant?: string): undefined => {
    const source = layer.where(at)
    layer.problems.push({
      path: showPath(at) || source.name, message, source,
      ...(meant === undefined ? {} : { nearest: meant }), ...(source.line === undefined ? {} : { line: source.line }),
    })
    return undefined
  }
  const wrong = (): undefined => report(`should be ${expected(field)}, is ${describe(raw, field)}`)

  // `jwt:` with nothing below it means the block with its defaults; an empty scalar means that it is not given.
  if (raw === null && field.type !== 'object') return field.secret === undefined ? undefined : report('is empty: give a value, or leave the key out')
  switch (field.type) {
    case 'object': {
      const whole = field.short !== undefined && typeof raw === 'string' ? { [field.short]: raw } : raw ?? {}
      return isBlock(whole) ? readBlock(field, whole, path, layer, report) : wrong()
    }
    case 'array': {
      if (!Array.isArray(raw)) return wrong()
      layer.sources.set(showPath(path), layer.where(path))
      // A broken item keeps its place, so that later problems name the right index.
      return raw.map((item: unknown, i) => readValue(field.items as Field, item ?? undefined, [...path, i], layer))
    }
    case 'integer': if (!Number.isSafeInteger(raw) || (raw as number) < (field.minimum ?? 0) || (raw as number) > (field.maximum ?? Infinity)) return wrong(); break
    case 'boolean': if (typeof raw !== 'boolean') return wrong(); break
    case 'string': {
      if (typeof raw === 'number' || typeof raw === 'boolean') return report(`should be ${expected(field)}, is ${describe(raw, field)}: put it in quotes`)
      if (typeof raw !== 'string') return wrong()
      if (raw.trim() === '') return report('is empty: give a value, or leave the key out')
      if (field.enum !== undefined && !field.enum.includes(raw)) return report(`should be ${expected(field)}, is ${describe(raw, field)}`, path, nearest(raw, field.enum))
      if (field.pattern !== undefined && !new RegExp(field.pattern).test(raw)) return report(`should be ${expected(field)}`)
      if (raw.includes('\0')) return report('holds a NUL character')
    }
  }
  layer.sources.set(showPath(path), layer.where(path))
  return field.path === true || (field.path === 'or-package' && /^[./]/.test(raw as string)) ? resolve(layer.base, raw as string) : raw
}

function readBlock (field: Field, raw: Block, path: Path, layer: Layer, report: (message: string, at: Path, meant?: string) => undefined): Block {
  const read: Block = {}
  layer.sources.set(showPath(path), layer.where(path))
  for (const [key, value] of Object.entries(raw)) {
    const child = childOf(field, key)
    if (child !== undefined) {
      const kept = readValue(child, value, [...path, key], layer)
      if (kept !== undefined) read[key] = kept
    } else if (field.open === true && key !== '__proto__') read[key] = value
    else report(unknownKey(field), [...path, key], nearestKey(field, key, path))
  }
  return read
}

const unknownKey = (field: Field): string => {
  const keys = keysOf(field)
  return `unknown key${keys.length <= 12 ? ` (known here: ${keys.join(', ')})` : ''}`
}

function nearestKey (field: Field, key: string, path: Path): string | undefined {
  const sibling = nearest(key, keysOf(field))
  if (sibling !== undefined) return showPath([...path, sibling])
  // The right key in the wrong block: below this one first, else anywhere.
  const same = allNames().map((name) => name.dotted).filter((dotted) => dotted.split('.').at(-1)?.toLowerCase() === key.toLowerCase())
  return same.find((dotted) => dotted.startsWith(`${showPath(path)}.`)) ?? same[0]
}
