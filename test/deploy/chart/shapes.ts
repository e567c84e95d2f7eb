/** A set of values, what workload it gives, and what the Secrets that it names hold (texts by key). */
export interface Shape {
  name: string
  kind: 'StatefulSet' | 'Deployment'
  values: object
  existing?: Record<string, string>
}

const users = '- { user: alice, hash: "$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$8pjKzYsXzXzXzXzXzXzXzXzXzXzXzXzXzXzXzXzXzXw" }\n'
const mongo = { url: 'mongodb://parley:hidden-mongo@mongo/parley?replicaSet=rs0' }
const redis = { url: 'redis://:hidden-redis@redis:6379' }

/** Every way to install the chart that docs/deploy.md speaks of, and one with all that can be switched on. */
export const shapes: readonly Shape[] = [
  { name: 'nothing given', kind: 'StatefulSet', values: {} },
  { name: 'embedded, a claim of its own, stopped', kind: 'StatefulSet', values: { replicaCount: 0, persistence: { existingClaim: 'mine' } } },
  { name: 'embedded, no volume', kind: 'StatefulSet', values: { persistence: { enabled: false } } },
  {
    name: 'embedded, all of it',
    kind: 'StatefulSet',
    existing: { PARLEY_HTTP_ADMIN_KEY: 'an admin key of the Secret', 'users.yaml': users },
    values: {
      existingSecret: 'parley',
      tls: { existingSecret: 'parley-tls' },
      nameOverride: 'broker',
      config: {
        dataDir: '/data',
        listeners: [
          { protocol: 'mqtts', host: '0.0.0.0', port: 8883 },
          { protocol: 'mqtts', host: '0.0.0.0', port: 8884, proxyProtocol: true },
          { protocol: 'wss', host: '::', port: 8443, origins: ['https://chat.example.com'] },
          { protocol: 'ws', host: '0.0.0.0', port: 8083, path: '/chat' },
        ],
        auth: { jwt: { secret: 'hidden-secret-of-32-characters-or-so' }, static: { file: '/run/secrets/parley/files/users.yaml' }, ticket: { ttlSeconds: 3600 } },
        acl: [{ allow: ['publish', 'subscribe'], topic: 'devices/%u/#' }],
        // Helm reads numbers as floats: these are the largest.
        limits: { sessionExpirySeconds: 4_294_967_295, replayTotal: 2_147_483_647 },
        drain: { timeoutMs: 60_500 },
      },
      image: { repository: 'registry.example.com/parley', digest: `sha256:${'0'.repeat(64)}`, pullSecrets: [{ name: 'registry' }] },
      persistence: { size: '100Gi', storageClass: 'fast', annotations: { 'example.com/backup': 'daily' } },
      service: { type: 'NodePort', externalTrafficPolicy: 'Local' },
      ingress: { enabled: true, className: 'nginx', hosts: ['chat.example.com'], tls: [{ secretName: 'chat', hosts: ['chat.example.com'] }], api: true, annotations: { a: 'b' } },
      networkPolicy: { enabled: true, from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] },
      serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
      serviceAccountName: 'parley',
      priorityClassName: 'high',
      nodeSelector: { disk: 'ssd' },
      affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
      tolerations: [{ key: 'chat', operator: 'Exists' }],
      podAnnotations: { 'example.com/a': 'b' },
      podLabels: { team: 'chat' },
      extraEnv: [{ name: 'NODE_OPTIONS', value: '--max-old-space-size=700' }],
      extraVolumes: [{ name: 'plugins', configMap: { name: 'plugins' } }],
      extraVolumeMounts: [{ name: 'plugins', mountPath: '/plugins' }],
    },
  },
  { name: 'cluster, addresses in config', kind: 'Deployment', values: { replicaCount: 3, config: { mongo, redis } } },
  {
    name: 'cluster, all secrets in existingSecret',
    kind: 'Deployment',
    existing: { PARLEY_MONGO_URL: mongo.url, PARLEY_REDIS_URL: redis.url, PARLEY_AUTH_JWT_SECRET: 'a secret of 32 characters or more' },
    values: { replicaCount: 3, existingSecret: 'parley', config: { mongo: {}, redis: { keyPrefix: 'chat:' } } },
  },
  {
    name: 'cluster, all of it',
    kind: 'Deployment',
    existing: {},
    values: {
      existingSecret: 'parley',
      config: {
        mongo, redis,
        auth: { jwt: { jwksUrl: 'https://hidden-user:hidden-password@example.com/jwks' }, http: { url: 'https://hidden-backend.example.com', cacheMs: 0 } },
        http: { adminKey: 'hidden-admin-key', cors: ['https://chat.example.com'], port: 9000 },
      },
      autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 20, targetCPUUtilizationPercentage: 50 },
      service: { type: 'LoadBalancer', ports: { 1883: 1884 }, loadBalancerClass: 'internal', loadBalancerSourceRanges: ['10.0.0.0/8'], externalTrafficPolicy: 'Local', annotations: { a: 'b' } },
      podDisruptionBudget: { enabled: false },
      networkPolicy: { enabled: true, egress: [{ to: [{ namespaceSelector: {} }] }] },
      serviceMonitor: { enabled: true },
    },
  },
]
