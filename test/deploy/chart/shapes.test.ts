import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { selfSigned } from '../../support/certificate.js'
import { complaints, versions } from './kubernetes.js'
import { CHART, helm, only, render, renderText, workload, type KubeObject } from './render.js'
import { shapes, type Shape } from './shapes.js'

const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))
const decoded = (secret: KubeObject): Record<string, string> =>
  Object.fromEntries(Object.entries(secret.data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))

/** The variables that the container gets: of the chart's own Secret, then of existingSecret; as kubelet does it. */
function environment (objects: readonly KubeObject[], existing: Record<string, string> = {}): Record<string, string> {
  const [container] = workload(objects).spec.template.spec.containers
  const found: Record<string, string> = container.envFrom === undefined ? {} : decoded(only(objects, 'Secret'))
  for (const { name, value, valueFrom } of container.env ?? []) {
    const given = value ?? existing[valueFrom.secretKeyRef.key]
    if (given !== undefined) found[name] = given
    else if (!valueFrom.secretKeyRef.optional) throw new Error(`the pod would not start without ${name}`)
  }
  return found
}

describe.each(shapes)('$name', ({ kind, values, existing }: Shape) => {
  const objects = render(values)
  const { spec: pod } = workload(objects).spec.template
  const [container] = pod.containers

  test('helm lint has nothing against it', () => {
    expect(helm(['lint', '--strict', CHART], values)).toMatchObject({ status: 0 })
  })

  test.each(versions)('Kubernetes %s takes every object', (version) => {
    const builtIn = objects.filter(({ apiVersion }) => !apiVersion.startsWith('monitoring.coreos.com/'))
    expect(builtIn.flatMap((object) => complaints(version, object))).toEqual([])
  })

  test(`is a ${kind}, whose pods the Services find`, () => {
    expect(workload(objects).kind).toBe(kind)
    const { labels } = workload(objects).spec.template.metadata
    expect(labels).toMatchObject(workload(objects).spec.selector.matchLabels)
    const named = container.ports.map(({ name }) => name)
    for (const service of objects.filter(object => object.kind === 'Service')) {
      expect(labels).toMatchObject(service.spec.selector)
      for (const port of service.spec.ports) expect(named).toContain(port.targetPort)
    }
  })

  test('check-config takes its ConfigMap, with what the pod has beside it', () => {
    const root = mkdtempSync(join(tmpdir(), 'parley-chart-'))
    try {
      const here = (text: string): string => text.replaceAll('/run/secrets/parley', root).replace(/^dataDir: .*$/m, `dataDir: ${root}/data`)
      const { cert, key } = selfSigned('chat.example.com')
      const files = { ...Object.fromEntries(Object.entries(existing ?? {}).map(([name, value]) => [`files/${name}`, value])), 'tls/tls.crt': cert, 'tls/tls.key': key }
      for (const folder of ['files', 'tls']) mkdirSync(join(root, folder))
      for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text)
      writeFileSync(join(root, 'parley.yaml'), here(only(objects, 'ConfigMap').data['parley.yaml']!))
      const { stdout, stderr, status } = spawnSync(process.execPath, [MAIN, 'check-config', '--config', join(root, 'parley.yaml')], { env: environment(objects, existing), encoding: 'utf8' })
      expect({ stdout, stderr, status }).toEqual({ stdout: 'the configuration is fine\n', stderr: '', status: 0 })
    } finally {
      rmSync(root, { recursive: true })
    }
  })

  test('no secret stands outside of a Secret', () => {
    // What the shapes hold as secrets begins with this word.
    for (const object of objects) if (object.kind !== 'Secret') expect(JSON.stringify(object)).not.toContain('hidden-')
  })

  test('the pod may do little', () => {
    expect(pod).toMatchObject({ enableServiceLinks: false, automountServiceAccountToken: false })
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } })
    expect(container.securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } })
  })

  test('probes ask what they should, and the pod has the time to drain', () => {
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' })
    expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'http' })
    const config = parse(only(objects, 'ConfigMap').data['parley.yaml']!) as { drain?: { timeoutMs: number } }
    const timeoutMs = config.drain?.timeoutMs ?? 25_000
    const waitSeconds = Number(container.lifecycle.preStop.exec.command[1])
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(timeoutMs + waitSeconds * 1000)
  })

  test('every mount has its volume, and every volume its mount', () => {
    const claimed = (workload(objects).spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata.name)
    const volumes = pod.volumes.map(({ name }) => name)
    expect([...volumes, ...claimed].sort()).toEqual(container.volumeMounts.map(({ name }) => name).sort())
  })
})

test.each(versions)('the schemas of Kubernetes %s find what is wrong', (version) => {
  const object = workload(render())
  object.spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem = true
  object.spec.replicas = 'one'
  expect(complaints(version, object)).toEqual([expect.stringContaining('/spec/replicas: must be integer'), expect.stringContaining('readOnlyRootFileSystem')])
})

test('two renderings of the same values are the same, but for a secret that the chart makes', () => {
  for (const { values } of shapes) {
    const [first, second] = [renderText(values), renderText(values)].map(text => text.replace(/PARLEY_AUTH_JWT_SECRET: .*/, ''))
    expect(first).toBe(second)
  }
})
