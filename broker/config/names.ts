import { childOf, keysOf, type Field } from './field.js'
import { rootField } from './schema.js'

/** A key of the configuration under each of its names. */
export interface Name {
  /** `limits.messageBytes` */
  dotted: string
  path: readonly string[]
  /** `PARLEY_LIMITS_MESSAGE_BYTES` */
  environment: string
  /** `limits-message-bytes` */
  flag: string
  field: Field
}

const words = (key: string): string[] => key.replace(/([A-Z])/g, ' $1').split(' ')

/** Every key and block of the configuration, blocks before what is in them. Items of lists have no names of their own. */
export function allNames (): Name[] {
  const names: Name[] = []
  const visit = (field: Field, path: readonly string[]): void => {
    for (const key of keysOf(field)) {
      const child = childOf(field, key)
      if (child === undefined) continue
      const at = [...path, key]
      const parts = at.flatMap(words)
      names.push({
        dotted: at.join('.'), path: at, field: child,
        environment: `PARLEY_${parts.join('_').toUpperCase()}`,
        flag: parts.join('-').toLowerCase(),
      })
      if (child.type === 'object') visit(child, at)
    }
  }
  visit(rootField, [])
  return names
}

/** The keys that have a flag: all but whole blocks. */
export const flagNames = (): Name[] => allNames().filter((name) => name.field.type !== 'object')
