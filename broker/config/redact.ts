import type { Field } from './field.js'
import { isBlock } from './read-value.js'
import { rootField, type Config } from './schema.js'

const hidden = '[hidden]'

/** A copy of a configuration (whole or partial) that may be printed: secrets and the credentials in URLs are replaced by `[hidden]`. */
export const redact = (config: Config): unknown => redactValue(rootField, config)

function redactValue (field: Field | undefined, value: unknown): unknown {
  // What no schema describes may be anything: credentials of a push provider, for one.
  if (field === undefined) return hidden
  if (Array.isArray(value)) return value.map((item: unknown) => redactValue(field.items, item))
  if (isBlock(value)) return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, redactValue(Object.hasOwn(field.properties ?? {}, key) ? field.properties?.[key] : undefined, child)]))
  if (value === undefined || field.secret === undefined) return value
  return field.secret === 'url' && typeof value === 'string' ? redactUrl(value) : hidden
}

/** A URL without its credentials: user, password, and query parameters that look like one. Takes connection strings that are no URL to `new URL` too. */
export function redactUrl (url: string): string {
  return url
    // Up to the last @: passwords are often pasted without escaping their / and @.
    .replace(/:\/\/.*@/s, `://${hidden}@`)
    .replace(/([?&][^=&]*(?:pass|pwd|token|secret|key|sign|auth)[^=&]*=)[^&#]*/gi, `$1${hidden}`)
}
