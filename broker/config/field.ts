import { Type, type TProperties, type TSchema } from '@sinclair/typebox'

/** The unit of a number, printed beside it in docs/config.md. */
export type Unit = 'bytes' | 'ms' | 's' | 'days'

/** What a field of the configuration says beside its JSON Schema type. */
export interface Notes {
  unit?: Unit
  /** A file or folder: made absolute while loading. `or-package`: only when it begins with `.` or `/`. */
  path?: true | 'or-package'
  /** Never printed. `url`: only its credentials are hidden. */
  secret?: true | 'url'
  /** There is a default, but it depends on other keys; this says which. */
  derived?: string
  /** Set by the loader only: refused in a file, left out of the docs. */
  internal?: true
  /** A listener's key that only these protocols have. */
  only?: readonly string[]
  /** The keys inside belong to a part of Parley that declares them later: taken as they are. */
  open?: true
  /** A text in place of this block stands for the block with this key alone. */
  short?: string
  /** `pattern`, or what the type does not say, in words: for the message to whoever breaks it. */
  shape?: string
}

/** One node of the schema as the loader, the docs and the redaction walk it. */
export interface Field extends Notes {
  type: 'object' | 'array' | 'string' | 'integer' | 'boolean'
  description?: string
  default?: unknown
  properties?: Record<string, Field>
  required?: readonly string[]
  items?: Field
  enum?: readonly string[]
  minimum?: number
  maximum?: number
  pattern?: string
}

/** A text of at least one character. */
export const text = (description: string, more: Notes & { default?: string, pattern?: string } = {}) =>
  Type.String({ minLength: 1, description, ...more })

/** A whole number in the given bounds (inclusive). */
export const whole = (description: string, more: Notes & { default?: number, minimum: number, maximum: number }) =>
  Type.Integer({ description, ...more })

/** A whole number where 0 means that there is no limit. */
export const limit = (description: string, fallback: number, more: Notes & { maximum?: number } = {}) =>
  whole(`${description} 0: no limit.`, { default: fallback, minimum: 0, maximum: 2_147_483_647, ...more })

/** true or false. */
export const flag = (description: string, more: Notes & { default?: boolean } = {}) =>
  Type.Boolean({ description, ...more })

/** One of a few words. */
export const choice = <const T extends string>(values: readonly T[], description: string, more: Notes & { default?: T } = {}) =>
  Type.Unsafe<T>({ type: 'string', enum: values, description, ...more })

/** A list; what one item is, is said by `items`. */
export const list = <T extends TSchema>(items: T, description: string, more: Notes & { default?: unknown[] } = {}) =>
  Type.Array(items, { description, ...more })

/** A block of named keys; others are refused, unless it is `open`. */
export const block = <T extends TProperties>(properties: T, description: string, more: Notes = {}) =>
  Type.Object(properties, { description, additionalProperties: more.open === true, ...more })

/** Whether a block has to have this key, from the file or by a default. */
export const isRequired = (field: Field, key: string): boolean => field.required?.includes(key) ?? false

/** The child of a block by its own name, or undefined for unknown and internal ones (`__proto__` is one like any other). */
export function childOf (field: Field, key: string): Field | undefined {
  if (field.properties === undefined || !Object.hasOwn(field.properties, key)) return undefined
  const child = field.properties[key]
  return child?.internal === true ? undefined : child
}

/** The keys of a block that an operator may set, in the schema's order. */
export const keysOf = (field: Field): string[] =>
  Object.keys(field.properties ?? {}).filter((key) => childOf(field, key) !== undefined)
