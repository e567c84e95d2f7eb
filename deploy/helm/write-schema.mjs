import { readFileSync } from 'node:fs'
import { childOf, isRequired, keysOf } from '../../dist/broker/config/field.js'
import { allNames } from '../../dist/broker/config/names.js'
import { rootField } from '../../dist/broker/config/schema.js'
import { writePage } from '../../dist/broker/config/write-docs.js'

/**
 * Writes what the chart takes from the configuration schema: `config` in parley/values.schema.json (all the rest of that
 * file stands in values.frame.json), and parley/files/secrets.json, the keys that must not go into a ConfigMap.
 */

const here = new URL('.', import.meta.url)
const notes = ['type', 'description', 'enum', 'minimum', 'maximum', 'minLength', 'pattern']

/** A field as plain JSON Schema: draft 7, which every Helm 3 reads. */
function jsonSchema (field) {
  const schema = Object.fromEntries(notes.filter((note) => field[note] !== undefined && field[note] !== '').map((note) => [note, field[note]]))
  if (field.items !== undefined) schema.items = jsonSchema(field.items)
  if (field.type !== 'object') return schema
  const keys = keysOf(field)
  schema.properties = Object.fromEntries(keys.map((key) => [key, jsonSchema(childOf(field, key))]))
  // A secret may come from existingSecret instead; blocks have defaults of their own.
  const required = keys.filter((key) => {
    const child = childOf(field, key)
    return isRequired(field, key) && child.type !== 'object' && child.default === undefined && child.derived === undefined && child.secret === undefined
  })
  if (required.length > 0) schema.required = required
  schema.additionalProperties = field.open === true
  return field.short === undefined ? schema : { anyOf: [{ type: 'string', minLength: 1 }, schema], description: field.description }
}

/** Whether what is inside is declared by a part that this schema does not know: it may hold secrets. */
const holdsOpenBlock = (field) =>
  field.open === true || [field.items, ...Object.values(field.properties ?? {})].some((child) => child !== undefined && holdsOpenBlock(child))

/** Every key that may hold a secret, the outermost where nothing is known of what is inside: `{path, env}`. */
function secretKeys () {
  const found = []
  for (const { path, environment, field } of allNames()) {
    if (found.some((outer) => outer.path.every((step, i) => step === path[i]))) continue
    const unknown = field.open === true || (field.type === 'array' && holdsOpenBlock(field))
    if (unknown || field.secret !== undefined) found.push({ path: [...path], env: environment })
  }
  return found
}

const frame = JSON.parse(readFileSync(new URL('values.frame.json', here), 'utf8'))
frame.properties.config = jsonSchema(rootField)
const pages = [['values.schema.json', frame], ['files/secrets.json', secretKeys()]]
const codes = pages.map(([name, content]) => writePage(`deploy/helm/parley/${name}`, process.argv[2], `${JSON.stringify(content, undefined, 2)}\n`, 'docs:chart'))
process.exitCode = Math.max(...codes)
