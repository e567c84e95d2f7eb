import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv, type ErrorObject } from 'ajv'
import type { KubeObject } from './render.js'

interface Definition { 'x-kubernetes-group-version-kind'?: { group: string, kind: string, version: string }[] }

/** The oldest and the newest version that test/deploy/chart/install has the schemas of. */
export const versions = ['1.25', '1.37'] as const

const FOLDER = fileURLToPath(new URL('../../../.kubernetes/', import.meta.url))
const loaded = new Map<string, { ajv: Ajv, named: Map<string, string> }>()

function load (version: string): { ajv: Ajv, named: Map<string, string> } {
  const known = loaded.get(version)
  if (known !== undefined) return known
  execFileSync(fileURLToPath(new URL('install', import.meta.url)), { stdio: ['ignore', 'ignore', 'inherit'] })
  const schema = JSON.parse(readFileSync(`${FOLDER}${version}.json`, 'utf8')) as { $schema?: string, $id?: string, $defs: Record<string, Definition> }
  // It names a draft that Ajv need not know for what is used here.
  delete schema.$schema
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false }).addSchema({ ...schema, $id: 'kubernetes' })
  const named = new Map(Object.entries(schema.$defs).flatMap(([name, definition]) =>
    (definition['x-kubernetes-group-version-kind'] ?? []).map(({ group, version: of, kind }) => [`${group === '' ? '' : `${group}/`}${of} ${kind}`, name] as const)))
  const made = { ajv, named }
  loaded.set(version, made)
  return made
}

/** What a version of Kubernetes has against an object, unknown fields too; empty: nothing. Its own kinds only. */
export function complaints (version: string, object: KubeObject): string[] {
  const { ajv, named } = load(version)
  const name = named.get(`${object.apiVersion} ${object.kind}`)
  if (name === undefined) return [`Kubernetes ${version} has no ${object.apiVersion} ${object.kind}`]
  const validate = ajv.getSchema(`kubernetes#/$defs/${name}`) as { (data: unknown): boolean, errors?: ErrorObject[] | null }
  return validate(object) ? [] : (validate.errors ?? []).map((error) => `${object.kind}${error.instancePath}: ${error.message ?? ''} ${JSON.stringify(error.params)}`)
}
