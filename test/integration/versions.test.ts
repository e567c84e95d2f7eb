import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { CertificateFiles } from '../support/tls.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

const files = new CertificateFiles()
const clients: MqttClient[] = []
let p: Parley

beforeAll(async () => {
  const at = { host: '127.0.0.1', port: 0 }
  const tls = { cert: files.cert, key: files.key }
  p = await startParley({ listeners: [{ protocol: 'mqtt', ...at }, { protocol: 'mqtts', ...at, ...tls }, { protocol: 'ws', ...at }, { protocol: 'wss', ...at, ...tls }] })
})
afterEach(async () => { await Promise.all(clients.splice(0).map(async c => { await c.endAsync(true) })) })
afterAll(async () => { await closeAll(); files.remove() })

const url = (protocol: string): string => {
  const { url } = p.node.addresses.find(a => a.protocol === protocol)!
  return protocol === 'http' ? `${url.replace('http:', 'ws:')}/mqtt` : url
}

/** MQTT.js as an app would use it. */
async function stock (protocol: string, version: 3 | 4 | 5, options: IClientOptions): Promise<{ client: MqttClient, got: (topic: string) => Promise<Record<string, unknown>> }> {
  const client = mqtt.connect(url(protocol), {
    protocolVersion: version, protocolId: version === 3 ? 'MQIsdp' : 'MQTT', ca: files.pair.cert, servername: 'localhost', reconnectPeriod: 0, ...options
  })
  clients.push(client)
  const heard = new Map<string, Record<string, unknown>>()
  let wake = (): void => {}
  client.on('message', (topic, payload) => { heard.set(topic, JSON.parse(payload.toString()) as Record<string, unknown>); wake() })
  await new Promise<void>((resolve, reject) => { client.once('connect', () => { resolve() }); client.once('error', reject) }) // what waits for the device comes right behind CONNACK: the handler is there before
  return { client, got: async topic => { while (!heard.has(topic)) await new Promise<void>(resolve => { wake = resolve }); return heard.get(topic)! } }
}

const ways = ['mqtt', 'mqtts', 'ws', 'wss', 'http'].flatMap(protocol => ([3, 4, 5] as const).map(version => [protocol, version] as const))

test.each(ways)('a stock client chats over %s with MQTT version byte %i [MQTT3-7.0.0-2 7.1.1-1] [MQTT5-4.2.0-1]', async (protocol, version) => {
  const [anna, ben] = [`anna-${protocol}-${version}`, `ben-${protocol}-${version}`]
  const b = await stock(protocol, version, { username: ben, clientId: 'phone', clean: false, properties: version === 5 ? { sessionExpiryInterval: 60 } : undefined })
  await b.client.subscribeAsync('me/#', { qos: 1 })
  const a = await stock(protocol, version, { username: anna, clientId: 'phone' })
  await a.client.subscribeAsync('me/#', { qos: 1 })
  await a.client.publishAsync(`u/${ben}/msg`, '{"cid":"c","body":"hello"}', { qos: 1 })
  expect(await a.got('me/ack')).toMatchObject({ cid: 'c', seq: 1 })
  expect(await b.got('me/msg')).toMatchObject({ conv: `u/${anna}`, seq: 1, body: 'hello' })
  await a.client.publishAsync(`u/${ben}/msg`, 'twice', { qos: 2 })
  await a.client.publishAsync(`u/${ben}/msg`, 'never', { qos: 0 })

  // what came while it was away waits, and the session is there
  await b.client.endAsync()
  await a.client.publishAsync(`u/${ben}/msg/late`, 'while you were away', { qos: 1 })
  const again = await stock(protocol, version, { username: ben, clientId: 'phone', clean: false, properties: version === 5 ? { sessionExpiryInterval: 60 } : undefined })
  await again.client.subscribeAsync('me/#', { qos: 1 })
  expect(await again.got('me/msg')).toMatchObject({ body: 'while you were away' })
})

test.each(ways)('over %s with version byte %i a bad user is refused by the code of its version', async (protocol, version) => {
  const c = mqtt.connect(url(protocol), { protocolVersion: version, protocolId: version === 3 ? 'MQIsdp' : 'MQTT', username: 'no user', ca: files.pair.cert, servername: 'localhost', reconnectPeriod: 0 })
  clients.push(c)
  const err = await new Promise<{ code: number }>(resolve => { c.once('error', e => { resolve(e as unknown as { code: number }) }) })
  expect(err.code).toBe(version === 5 ? 0x86 : 4)
})

test('every listener says where it is', () => {
  expect(p.node.addresses.map(a => a.url.replace(/:\d+/, ':0'))).toEqual([
    'mqtt://127.0.0.1:0', 'mqtts://127.0.0.1:0', 'ws://127.0.0.1:0/mqtt', 'wss://127.0.0.1:0/mqtt', 'http://127.0.0.1:0'
  ])
})
