import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { parse } from 'yaml'

// What can be said of the chart without helm; test/deploy/chart renders it.
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const read = (file: string): string => readFileSync(`${ROOT}deploy/helm/parley/${file}`, 'utf8')
const schema = JSON.parse(read('values.schema.json')) as object
const validate = new Ajv({ strict: false, allErrors: true }).compile(schema)
const why = (values: object): string[] => {
  validate({ ...parse(read('values.yaml')) as object, ...values })
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? ''}`)
}

test('the schema of the values and the list of secrets are what the schema of the configuration says', () => {
  const { status, stderr } = spawnSync(process.execPath, ['deploy/helm/write-schema.mjs', '--check'], { cwd: ROOT, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

test('the default values pass, and every value has a default that says what it is', () => {
  expect(why({})).toEqual([])
  const known = Object.keys((schema as { properties: object }).properties).filter((key) => !['global', 'nameOverride', 'fullnameOverride'].includes(key))
  expect(Object.keys(parse(read('values.yaml')) as object).sort()).toEqual(known.sort())
})

test.each<[string, object, string]>([
  ['an unknown value', { replicas: 3 }, ' must NOT have additional properties'],
  ['an unknown key of the configuration', { config: { limits: { messageByte: 1 } } }, '/config/limits must NOT have additional properties'],
  ['a number out of its bounds', { config: { limits: { inFlight: 0 } } }, '/config/limits/inFlight must be >= 1'],
  ['a plugin without its file', { config: { plugins: [{ config: {} }] } }, '/config/plugins/0 must have required property \'use\''],
])('refused: %s', (_, values, message) => {
  expect(why(values)).toContain(message)
})

test.each<[string, object]>([
  ['secrets that come from elsewhere', { config: { mongo: {}, redis: {}, auth: { http: { timeoutMs: 1000 } } } }],
  ['a plugin by its file alone', { config: { plugins: ['./a.js'] } }],
  ['keys that a provider of pushes declares itself', { config: { push: { fcm: { anything: 1 } } } }],
])('taken: %s', (_, values) => {
  expect(why(values)).toEqual([])
})

test('the chart is of the broker\'s version', () => {
  const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as { version: string }
  expect(parse(read('Chart.yaml'))).toMatchObject({ name: 'parley', version, appVersion: version })
})
