import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { loadConfig } from '../../broker/config/load.js'

interface Service {
  image: string
  build?: { context: string, dockerfile: string }
  volumes?: string[]
  ports?: string[]
  environment?: Record<string, string>
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { test: string[] }
  stop_grace_period?: string
  read_only?: boolean
  cap_drop?: string[]
}
interface Compose { services: Record<string, Service>, volumes: Record<string, unknown> }

const file = (name: string): string => fileURLToPath(new URL(`../../deploy/${name}`, import.meta.url))
const read = (name: string): Compose => parse(readFileSync(file(name), 'utf8'), { merge: true }) as Compose
const files = ['compose.yaml', 'compose.cluster.yaml']
const nodes = (compose: Compose): Service[] => Object.values(compose.services).filter(({ build }) => build !== undefined)

test.each(files)('%s: nodes are built from the Dockerfile, may do little, and have the time to drain', (name) => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  const all = nodes(read(name))
  expect(all.length).toBe(name === 'compose.yaml' ? 1 : 2)
  for (const node of all) {
    expect(node).toMatchObject({ image: `parley:${version}`, read_only: true, cap_drop: ['ALL'] })
    expect(existsSync(file(`${node.build!.context}/${node.build!.dockerfile}`))).toBe(true)
    expect(parseInt(node.stop_grace_period!) * 1000).toBeGreaterThan(loadConfig({ env: {}, cwd: '/' }).config.drain.timeoutMs)
  }
})

test.each(files)('%s: what is named is there: volumes, services, healthchecks; no port twice', (name) => {
  const compose = read(name)
  for (const { volumes = [], depends_on: needs = {} } of Object.values(compose.services)) {
    for (const volume of volumes) expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0])
    for (const [other, { condition }] of Object.entries(needs)) {
      expect(condition).toBe('service_healthy')
      expect(compose.services[other]?.healthcheck).toBeDefined()
    }
  }
  const published = Object.values(compose.services).flatMap(({ ports = [] }) => ports.map(port => port.split(':').at(-2)))
  expect(new Set(published).size).toBe(published.length)
})

test.each(files)('%s: images of others are pinned, HTTP is for this machine only', (name) => {
  for (const { image, ports = [] } of Object.values(read(name).services)) {
    expect(image).toMatch(/:\d+\.\d+/)
    for (const port of ports) if (port.endsWith(':8080')) expect(port).toMatch(/^127\.0\.0\.1:/)
  }
})

test('the nodes of the cluster are told of their servers, and of one secret', () => {
  const compose = read('compose.cluster.yaml')
  for (const { environment = {} } of nodes(compose)) {
    const env = { ...environment, PARLEY_AUTH_JWT_SECRET: 'a secret of 32 characters or more' }
    const { config, problems } = loadConfig({ env, cwd: '/', file: file('image/parley.yaml') })
    expect(problems).toEqual([])
    // The servers by their names in the same file.
    expect(Object.keys(compose.services)).toEqual(expect.arrayContaining([new URL(config.mongo!.url).hostname, new URL(config.redis!.url).hostname]))
    expect(environment['PARLEY_AUTH_JWT_SECRET']).toMatch(/^\$\{PARLEY_AUTH_JWT_SECRET:\?/)
  }
})
