import { CHART, helm } from './render.js'

const cluster = { mongo: { url: 'mongodb://mongo/parley' }, redis: { url: 'redis://redis' } }
const ws = { protocol: 'ws', host: '0.0.0.0', port: 8083 }

/** Values that must not render, and the sentence that says why. */
const refused: [string, object, RegExp][] = [
  ['two pods with the embedded store', { replicaCount: 2 }, /replicaCount is 2, and the embedded store is one process's own.*Set config\.mongo and config\.redis/],
  ['autoscaling with the embedded store', { autoscaling: { enabled: true } }, /autoscaling\.enabled is set, and the embedded store is one process's own/],
  ['MongoDB without Redis', { config: { mongo: cluster.mongo } }, /config\.mongo is set and config\.redis is not/],
  ['Redis without MongoDB', { config: { redis: cluster.redis } }, /config\.redis is set and config\.mongo is not/],
  ['a cluster without the address of MongoDB', { config: { mongo: {}, redis: cluster.redis } }, /config\.mongo has no url: set it, or name an existingSecret with the key PARLEY_MONGO_URL/],
  ['a cluster without the address of Redis', { config: { mongo: cluster.mongo, redis: {} } }, /config\.redis has no url/],
  ['autoscaling without a request for CPU', { config: cluster, autoscaling: { enabled: true }, resources: { requests: { cpu: null } } }, /needs resources\.requests\.cpu/],
  ['autoscaling from more to less', { config: cluster, autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 3 } }, /minReplicas is 5, more than autoscaling\.maxReplicas \(3\)/],
  ['sign-in by name alone', { config: { auth: { dev: true } } }, /config\.auth\.dev lets everybody sign in/],
  ['HTTP that the probes do not reach', { config: { http: { host: '127.0.0.1' } } }, /config\.http\.host is 127\.0\.0\.1, where nobody outside the pod/],
  ['a listener that nobody reaches', { config: { listeners: [{ ...ws, host: 'localhost' }] } }, /config\.listeners\[0\]\.host is localhost/],
  ['any free port', { config: { listeners: [{ ...ws, port: 0 }] } }, /config\.listeners\[0\]\.port is 0/],
  ['one port twice', { config: { listeners: [ws, { ...ws, protocol: 'mqtt', port: 8080 }] } }, /config\.listeners\[1\]\.port is 8080, which config\.http has already/],
  ['TLS without a certificate', { config: { listeners: [{ ...ws, protocol: 'wss' }] } }, /config\.listeners\[0\] is wss and has no certificate: set tls\.existingSecret/],
  ['a folder relative to nothing', { config: { dataDir: './data' } }, /config\.dataDir is \.\/data: it has to be an absolute path/],
  ['settings past the chart', { extraEnv: [{ name: 'PARLEY_MONGO_URL', value: 'x' }] }, /extraEnv sets PARLEY_MONGO_URL: settings of Parley go into config/],
  ['a port of the Service for no listener', { service: { ports: { 8443: 443 } } }, /service\.ports names 8443, which is no listener's port/],
  ['an Ingress without WebSocket', { ingress: { enabled: true, hosts: ['a.example'] }, config: { listeners: [{ ...ws, protocol: 'mqtt' }] } }, /ingress\.enabled needs a listener with protocol ws/],
  ['an Ingress without a name', { ingress: { enabled: true } }, /ingress\.enabled needs ingress\.hosts/],
  // by values.schema.json
  ['an unknown value', { replicas: 3 }, /additional properties 'replicas' not allowed/],
  ['an unknown key of the configuration', { config: { limits: { messageByte: 1 } } }, /additional properties 'messageByte' not allowed/],
  ['a number out of its bounds', { config: { limits: { inFlight: 0 } } }, /minimum: got 0, want 1/],
  ['a text for a number', { config: { http: { port: '8080' } } }, /got string, want integer/],
  ['an unknown word', { config: { log: { level: 'loud' } } }, /value must be one of/],
  ['a listener without a port', { config: { listeners: [{ protocol: 'mqtt', host: '0.0.0.0' }] } }, /missing property 'port'/],
  ['the wrong kind of URL', { config: { mongo: { url: 'http://mongo' }, redis: cluster.redis } }, /does not match pattern/],
  ['an unknown type of Service', { service: { type: 'ExternalName' } }, /value must be one of/],
]

test.each(refused)('%s', (_, values, sentence) => {
  const { status, err } = helm(['template', 'chat', CHART], values)
  expect(err).toMatch(sentence)
  expect(status).toBe(1)
})
