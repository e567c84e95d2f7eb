import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { isRequired, childOf, keysOf, type Field } from './field.js'
import { allNames } from './names.js'
import { notYet } from './not-yet.js'
import { rootField } from './schema.js'

const intro = `# Configuration

Generated from the schema (\`broker/config/schema.ts\`) by \`npm run docs:config\`; edit it there.

A file in YAML or JSON, given with \`--config FILE\`. Every key is optional. Order, the last wins: defaults, file, environment, flags. \`parley check-config --config FILE\` tells every mistake at once.

- **Environment:** the name beside each key. Lists and whole blocks are written as JSON (\`PARLEY_LISTENERS\`, \`PARLEY_LIMITS\`). The name with \`_FILE\` behind it reads the value from that file, without the newline at its end (\`PARLEY_AUTH_JWT_SECRET_FILE\`). An unknown \`PARLEY_\` name is refused, and so is an empty value; what Kubernetes sets for a Service (\`PARLEY_SERVICE_HOST\`, \`PARLEY_PORT=tcp://…\`) and \`PARLEY_TEST_…\` are ignored.
- **Flags:** the same names in small letters (\`--limits-message-bytes 65536\`); everybody on the machine can read them, so they are no place for secrets.
- **Paths** in a file are relative to that file's folder; in the environment and in flags to the working directory.
- A block is merged key by key over the one before it, a list replaces it whole.
- **†** accepted by the schema, but not in this version: \`serve\` and \`check-config\` refuse anything but the default.
`

interface Row { key: string, field: Field, required: boolean, variable: string | undefined }

/** The whole text of docs/config.md. */
export function configDocs (): string {
  const variables = new Map(allNames().map((name) => [name.dotted, name.environment]))
  const top: Row[] = []
  const sections: string[] = []
  for (const key of keysOf(rootField)) {
    const field = childOf(rootField, key) as Field
    const rows = field.type === 'object' || field.items?.type === 'object' ? rowsOf(field, key, variables) : []
    if (rows.length === 0) top.push({ key, field, required: false, variable: variables.get(key) })
    else sections.push(section(key, field, rows, variables.get(key)))
  }
  return [intro, `## Single keys\n\n${table(top)}`, ...sections].join('\n') + '\n'
}

function rowsOf (field: Field, path: string, variables: ReadonlyMap<string, string>): Row[] {
  const inner = field.items ?? field
  const base = field.items === undefined ? path : `${path}[]`
  return keysOf(inner).flatMap((key) => {
    const child = childOf(inner, key) as Field
    const at = `${base}.${key}`
    // Its keys come with the part that declares them.
    if (child.open === true) return [{ key: at, field: child, required: false, variable: variables.get(at) }]
    if (child.type === 'object') return rowsOf(child, at, variables)
    const required = isRequired(inner, key) && child.default === undefined && child.derived === undefined
    return [{ key: at, field: child, required, variable: variables.get(at) }]
  })
}

function section (key: string, field: Field, rows: readonly Row[], variable = ''): string {
  const note = [`As JSON: \`${variable}\`.`]
  if (field.derived !== undefined) note.unshift(`Default: ${field.derived}.`)
  const mark = isNotYet(key) ? ' †' : ''
  return `## ${key}${mark}\n\n${field.description ?? ''} ${note.join(' ')}\n\n${table(rows)}`
}

function table (rows: readonly Row[]): string {
  const lines = rows.map(({ key, field, required, variable }) => `| ${[
    `\`${key}\`${isNotYet(key) ? ' †' : ''}`, typeOf(field), defaultOf(field, required),
    variable === undefined ? '' : `\`${variable}\``, description(field),
  ].map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
  return ['| key | type | default | environment | what it is |', '|---|---|---|---|---|', ...lines].join('\n') + '\n'
}

const isNotYet = (key: string): boolean => notYet.some(({ path }) => key === path || key.startsWith(`${path}.`) || key.startsWith(`${path}[]`))

function typeOf (field: Field): string {
  if (field.enum !== undefined) return field.enum.map((word) => `\`${word}\``).join(' ')
  if (field.type === 'array') return `list of ${field.items?.enum === undefined ? 'texts' : typeOf(field.items)}`
  if (field.type === 'integer') return `number${field.unit === undefined ? '' : ` (${field.unit})`}, ${field.minimum ?? 0}–${field.maximum ?? ''}`
  if (field.type === 'object') return 'block'
  if (field.type === 'boolean') return 'true or false'
  return field.path === true ? 'path' : 'text'
}

function defaultOf (field: Field, required: boolean): string {
  if (field.derived !== undefined) return field.derived
  if (required) return 'required'
  return field.default === undefined ? '' : `\`${typeof field.default === 'string' ? field.default : JSON.stringify(field.default)}\``
}

function description (field: Field): string {
  const only = field.only === undefined ? '' : ` Only ${field.only.join(' and ')}.`
  const secret = field.secret === undefined ? '' : field.secret === 'url' ? ' Printed without its credentials.' : ' Secret: never printed.'
  return `${field.description ?? ''}${only}${secret}`
}

/**
 * Writes a generated page, or with `--check` says whether the one that is there differs; `script` is what writes it.
 * Returns the exit code: 0 written or the same, 1 differs, 2 wrong usage.
 */
export function writePage (file: string | undefined, option: string | undefined, wanted: string, script: string): number {
  if (file === undefined || (option !== undefined && option !== '--check')) {
    console.error(`usage: npm run ${script} [-- --check]`)
    return 2
  }
  if (option === undefined) {
    writeFileSync(file, wanted)
    return 0
  }
  let found = ''
  try {
    found = readFileSync(file, 'utf8')
  } catch { /* a page that is not there differs */ }
  if (found === wanted) return 0
  console.error(`${file} differs from what it is generated from: run \`npm run ${script}\` and commit it`)
  return 1
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = writePage(process.argv[2], process.argv[3], configDocs(), 'docs:config')
