import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { CHART, helm, only, render, workload, type KubeObject } from './render.js'

const cluster = { mongo: { url: 'mongodb://mongo/parley' }, redis: { url: 'redis://redis' } }
const kinds = (values: object): string[] => render(values).map(({ kind }) => kind)
const configOf = (objects: readonly KubeObject[]): Record<string, object> => parse(only(objects, 'ConfigMap').data['parley.yaml']!) as Record<string, object>
const containerOf = (values: object) => workload(render(values)).spec.template.spec.containers[0]
const fromSecret = (values: object, name: string): object | undefined =>
  containerOf(values).env?.find((variable) => variable.name === name)?.valueFrom.secretKeyRef

/** The notes that an install ends with: Helm shows them to nobody without a cluster, so a copy of the chart has them in an object. */
function notes (values: object): string {
  const copy = mkdtempSync(join(tmpdir(), 'parley-chart-'))
  try {
    cpSync(CHART, copy, { recursive: true })
    const text = readFileSync(join(copy, 'templates/NOTES.txt'), 'utf8')
    writeFileSync(join(copy, 'templates/notes.yaml'), `{{ define "notes" }}${text}{{ end }}kind: Notes\ntext: {{ include "notes" . | quote }}\n`)
    const { err, out } = helm(['template', 'chat', copy, '--show-only', 'templates/notes.yaml'], values)
    expect(err).toBe('')
    return (parse(out) as { text: string }).text
  } finally {
    rmSync(copy, { recursive: true })
  }
}

test.each<[string, object, string]>([
  ['ingress', { ingress: { enabled: true, hosts: ['a.example'] } }, 'Ingress'],
  ['networkPolicy', { networkPolicy: { enabled: true } }, 'NetworkPolicy'],
  ['serviceMonitor', { serviceMonitor: { enabled: true } }, 'ServiceMonitor'],
  ['podDisruptionBudget', { podDisruptionBudget: { enabled: true } }, 'PodDisruptionBudget'],
  ['autoscaling', { autoscaling: { enabled: true } }, 'HorizontalPodAutoscaler'],
])('%s is there when it is enabled, and only then', (value, values, kind) => {
  expect(kinds({ config: cluster, ...values })).toContain(kind)
  expect(kinds({ config: cluster, [value]: { enabled: false } })).not.toContain(kind)
})

test('the number of pods is replicaCount, or left to the autoscaler', () => {
  const { spec } = only(render({ config: cluster, replicaCount: 3 }), 'Deployment')
  expect(spec).toMatchObject({ replicas: 3, strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } })
  expect(only(render({ config: cluster, autoscaling: { enabled: true } }), 'Deployment').spec).not.toHaveProperty('replicas')
})

test('what a container needs is filled in, what is given stays', () => {
  expect(configOf(render())).toEqual({
    dataDir: '/var/lib/parley', auth: { jwt: {} }, http: { host: '0.0.0.0', port: 8080 },
    listeners: [{ protocol: 'mqtt', host: '0.0.0.0', port: 1883 }, { protocol: 'ws', host: '0.0.0.0', port: 8083 }],
  })
  const config = { dataDir: '/data', auth: { anonymous: 'guest' }, http: { host: '::', port: 9000 }, listeners: [{ protocol: 'mqtt', host: '::', port: 1 }] }
  expect(configOf(render({ config }))).toEqual(config)
})

test('http, which takes every password, is the last way to sign in, and all others are there', () => {
  const { properties } = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')).properties.config.properties.auth as { properties: Record<string, object> }
  const config = { auth: { http: { url: 'https://example.com' }, static: { file: '/users.yaml' }, mtls: {}, jwt: {}, anonymous: 'guest', ticket: { ttlSeconds: 5 }, dev: false } }
  expect(Object.keys(config.auth).sort()).toEqual(Object.keys(properties).sort())
  expect(Object.keys(configOf(render({ config }))['auth']!)).toEqual(['mtls', 'jwt', 'anonymous', 'static', 'http', 'dev', 'ticket'])
})

test('what a secret may hide in goes into the Secret: keys, addresses, blocks and lists that the schema does not know', () => {
  const config = {
    http: { adminKey: 'key-1' }, auth: { jwt: { secret: 'key-2', issuer: 'me' } },
    push: { suspectAfterMs: 1000, fcm: { account: { key: 'key-3' } } }, plugins: ['./a.js', { use: './b.js', config: { token: 'key-4' } }],
  }
  const objects = render({ config })
  expect(configOf(objects)).toMatchObject({ auth: { jwt: { issuer: 'me' } }, push: { suspectAfterMs: 1000 } })
  expect(JSON.stringify(only(objects, 'ConfigMap'))).not.toMatch(/key-\d/)
  const { PARLEY_PUSH_FCM: fcm, PARLEY_PLUGINS: plugins, ...texts } = Object.fromEntries(Object.entries(only(objects, 'Secret').data).map(([name, value]) => [name, Buffer.from(value, 'base64').toString()]))
  expect(texts).toEqual({ PARLEY_HTTP_ADMIN_KEY: 'key-1', PARLEY_AUTH_JWT_SECRET: 'key-2' })
  expect(JSON.parse(fcm!)).toEqual(config.push.fcm)
  expect(JSON.parse(plugins!)).toEqual(config.plugins)
  expect(containerOf({ config }).envFrom).toEqual([{ secretRef: { name: 'chat-parley' } }])
})

test('existingSecret: what a cluster cannot do without has to be in it, unless config has it', () => {
  const values = { existingSecret: 'mine', config: { mongo: {}, redis: cluster.redis } }
  expect(fromSecret(values, 'PARLEY_MONGO_URL')).toEqual({ name: 'mine', key: 'PARLEY_MONGO_URL', optional: false })
  expect(fromSecret(values, 'PARLEY_AUTH_JWT_SECRET')).toMatchObject({ optional: false })
  expect(fromSecret(values, 'PARLEY_REDIS_URL')).toMatchObject({ optional: true })
  expect(fromSecret({ ...values, config: { ...cluster, auth: { jwt: { jwksUrl: 'https://example.com' } } } }, 'PARLEY_AUTH_JWT_SECRET')).toMatchObject({ optional: true })
})

test('existingSecret cannot turn one pod with a volume into a node of a cluster', () => {
  expect(fromSecret({ existingSecret: 'mine' }, 'PARLEY_HTTP_ADMIN_KEY')).toMatchObject({ optional: true })
  expect(fromSecret({ existingSecret: 'mine' }, 'PARLEY_MONGO_URL')).toBeUndefined()
})

test('the nodes of a cluster share a secret of tokens: the chart makes one when none is given', () => {
  const made = only(render({ config: cluster }), 'Secret').data['PARLEY_AUTH_JWT_SECRET']!
  expect(Buffer.from(made, 'base64').toString()).toMatch(/^[A-Za-z0-9]{43}$/)
  expect(only(render({ config: { ...cluster, auth: { jwt: { jwksUrl: 'https://example.com' } } } }), 'Secret').data).not.toHaveProperty('PARLEY_AUTH_JWT_SECRET')
  expect(notes({ config: cluster })).toContain('make another one each time')
})

test('a changed setting or secret restarts the pods', () => {
  const sum = (config: object): string => workload(render({ config })).spec.template.metadata.annotations['checksum/config']!
  expect(new Set([sum({}), sum({ log: { level: 'debug' } }), sum({ http: { adminKey: 'one' } }), sum({ http: { adminKey: 'two' } })]).size).toBe(4)
  // A made secret is another one each time; it must not restart anything.
  expect(sum(cluster)).toBe(sum(cluster))
})

test('the notes warn when there is no volume', () => {
  expect(notes({ persistence: { enabled: false } })).toContain('WARNING: persistence.enabled is off. All messages, users and devices are lost')
  expect(notes({})).not.toContain('WARNING')
})

test('the HTTP port stands in no Service that leaves the cluster, nor in the Ingress but for /v1', () => {
  const objects = render({ service: { type: 'LoadBalancer' }, ingress: { enabled: true, hosts: ['a.example'], api: true } })
  expect(only(objects, 'Service', 'parley').spec.ports.map(({ port }) => port)).toEqual([1883, 8083])
  expect(only(objects, 'Service', '-http').spec.type).toBe('ClusterIP')
  const [rule] = only(objects, 'Ingress').spec.rules
  expect(rule.http.paths.map(({ path }) => path)).toEqual(['/mqtt', '/v1'])
})

test('metrics are scraped where they are: at admin, when that is set', () => {
  const port = (config: object): string => only(render({ config, serviceMonitor: { enabled: true } }), 'ServiceMonitor').spec.endpoints[0].port
  expect(port({})).toBe('http')
  expect(port({ admin: { port: 9090 } })).toBe('admin')
})

test('the values in docs/deploy.md render, a StatefulSet and a Deployment', () => {
  const docs = readFileSync(new URL('../../../docs/deploy.md', import.meta.url), 'utf8')
  const snippets = [...docs.matchAll(/```yaml\n([^`]*)```/g)].map(([, text]) => parse(text!) as { kind?: string })
  expect(snippets.filter(({ kind }) => kind === undefined).map((values) => workload(render(values)).kind)).toEqual(['StatefulSet', 'Deployment'])
})
