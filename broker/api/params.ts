import { Kind, type TSchema } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { nearest } from '../config/nearest.js'
import { ParleyError } from '../domain/errors.js'

/** As for content (protocol.md): handlers and stores may walk what they are given without minding the stack. */
const MAX_DEPTH = 64
/** Of a client's own words, this much is repeated in a message. */
const ECHO = 64

const bad = (message: string): never => { throw new ParleyError('bad-request', message) }
const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

/** Not recursive: the input may be nested as deep as it is long. */
function tooDeep (root: unknown): boolean {
  let level = [root]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= MAX_DEPTH) return true
    const next: unknown[] = []
    for (const v of level) {
      if (typeof v !== 'object' || v === null) continue
      for (const child of Array.isArray(v) ? v as unknown[] : Object.values(v)) if (typeof child === 'object' && child !== null) next.push(child)
    }
    level = next
  }
  return false
}

/** Every object of the schema closed, unless it says otherwise: an author who forgot it would let misspelt names pass. */
function closed (schema: TSchema): TSchema {
  const copy: Record<PropertyKey, unknown> & TSchema = { ...schema, [Kind]: schema[Kind] }
  if (isObject(schema.properties)) {
    copy.properties = Object.fromEntries(Object.entries(schema.properties).map(([name, s]) => [name, closed(s as TSchema)]))
    copy.additionalProperties ??= false
  }
  if (isObject(schema.items)) copy.items = closed(schema.items as TSchema)
  if (Array.isArray(schema.anyOf)) copy.anyOf = (schema.anyOf as TSchema[]).map(closed)
  return copy
}

/** `/push/0/app` as `push.0.app`. */
const spoken = (pointer: string): string => pointer.slice(1).split('/').map(p => p.replaceAll('~1', '/').replaceAll('~0', '~')).join('.').slice(0, ECHO)

function unknownName (path: string, known: readonly string[]): string {
  const own = path.slice(path.lastIndexOf('.') + 1)
  const near = nearest(own, known)
  return `unknown name ${JSON.stringify(path.slice(0, ECHO))}${near === undefined ? '' : `: did you mean ${near}?`}`
}

function sentence (e: ValueError): string {
  const at = spoken(e.path)
  if (e.type === ValueErrorType.ObjectRequiredProperty) return `${at} is missing`
  if (e.type === ValueErrorType.ObjectAdditionalProperties) return unknownName(at, Object.keys((e.schema.properties ?? {}) as object))
  const words = (e.schema.anyOf as TSchema[] | undefined)?.map(s => s.const as unknown)
  if (words?.every(w => typeof w === 'string')) return `${at}: one of ${words.join(', ')}`
  return `${at}: ${e.message.charAt(0).toLowerCase()}${e.message.slice(1)}`
}

/**
 * A check of an operation's params against its schema, strict: unknown names are refused everywhere.
 * The function returned gives the params back, or throws ParleyError bad-request saying which name and why.
 */
export function paramsCheck (schema: TSchema): (params: unknown) => Record<string, unknown> {
  const strict = closed(schema)
  const check = TypeCompiler.Compile(strict)
  const known = Object.keys((schema.properties ?? {}) as object)
  return params => {
    if (params === undefined) params = {}
    if (!isObject(params)) return bad('params: a JSON object')
    // By own names, so that `__proto__`, which JSON.parse makes an ordinary member, is one like any other.
    const stranger = Object.keys(params).find(name => !known.includes(name))
    if (stranger !== undefined) return bad(unknownName(stranger, known))
    if (tooDeep(params)) return bad(`more than ${MAX_DEPTH} levels of nesting`)
    if (check.Check(params)) return params
    const first = check.Errors(params).First()
    return bad(first === undefined ? 'the params do not fit' : sentence(first))
  }
}
