import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'

/** The chart's folder. */
export const CHART = fileURLToPath(new URL('../../../deploy/helm/parley', import.meta.url))

/** A port of a container, a Service or a ServiceMonitor. */
interface Port { name: string, port: number, targetPort: string }

interface Container {
  env?: { name: string, value?: string, valueFrom: { secretKeyRef: { name: string, key: string, optional: boolean } } }[]
  envFrom?: object[]
  ports: Port[]
  readinessProbe: { httpGet: object }
  livenessProbe: { httpGet: object }
  lifecycle: { preStop: { exec: { command: string[] } } }
  securityContext: Record<string, unknown>
  volumeMounts: { name: string }[]
}

/** The parts of a `spec` that tests look at; each kind has its own of them. */
interface Spec {
  replicas?: unknown
  type: string
  selector: { matchLabels: Record<string, string> }
  template: {
    metadata: { labels: Record<string, string>, annotations: Record<string, string> }
    spec: { containers: [Container], volumes: { name: string }[], securityContext: object, terminationGracePeriodSeconds: number }
  }
  volumeClaimTemplates?: { metadata: { name: string } }[]
  ports: Port[]
  endpoints: [{ port: string }]
  rules: [{ http: { paths: { path: string }[] } }]
}

/** An object of Kubernetes, as the chart renders it; what its schema says is checked in kubernetes.ts. */
export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: { name: string }
  spec: Spec
  data: Record<string, string>
}

/** What `helm` says: exit code, standard output and error. Its `values` come by standard input. */
export function helm (args: readonly string[], values: object = {}): { status: number | null, out: string, err: string } {
  const { status, stdout, stderr, error } = spawnSync('helm', [...args, '--values', '-'], { input: JSON.stringify(values), encoding: 'utf8' })
  if (error !== undefined) throw error
  return { status, out: stdout, err: stderr }
}

/** The text of all objects. @throws Error with what helm says, when it refuses */
export function renderText (values: object = {}): string {
  const { status, out, err } = helm(['template', 'chat', CHART], values)
  if (status !== 0) throw new Error(err)
  return out
}

/** All objects of these values. @throws Error with what helm says, when it refuses */
export const render = (values: object = {}): KubeObject[] =>
  parseAllDocuments(renderText(values)).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]!
    return document.toJS() as KubeObject
  })

/** The only object of a kind (and of a name's end). @throws Error unless there is exactly one */
export function only (objects: readonly KubeObject[], kind: string, ending = ''): KubeObject {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name.endsWith(ending))
  if (found.length !== 1) throw new Error(`${found.length} of ${kind} ${ending}, among ${objects.map((object) => object.kind).join(', ')}`)
  return found[0]!
}

/** The workload of either shape. */
export const workload = (objects: readonly KubeObject[]): KubeObject =>
  only(objects, objects.some(({ kind }) => kind === 'StatefulSet') ? 'StatefulSet' : 'Deployment')
