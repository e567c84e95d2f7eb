import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Home, type Life } from '../../support/process.js'
import { INSTALL_MS, install } from '../install.js'

// Eclipse Paho's own tests of a broker, each in a process of its own, as Aedes's package runs them
// (tools/mqtt-compat: the worker is theirs; left out there and here is test_flow_control2, which waits for ever against
// any broker when it runs alone).
const root = fileURLToPath(new URL('../../..', import.meta.url))
const WORKER = join(root, 'node_modules/aedes/tools/mqtt-compat/run_compat.py')
const RESULT = '__MQTT_COMPAT_RESULT__:'
/** Some sleep for most of it. */
const TEST_MS = 90_000

const SUITE = {
  v3: [
    'testBasic', 'test_dollar_topics', 'test_keepalive', 'test_offline_message_queueing', 'test_overlapping_subscriptions',
    'test_redelivery_on_reconnect', 'test_retained_messages', 'test_subscribe_failure', 'test_unsubscribe', 'test_zero_length_clientid'
  ],
  v5: [
    'test_assigned_clientid', 'test_basic', 'test_client_topic_alias', 'test_dollar_topics', 'test_flow_control1', 'test_keepalive',
    'test_maximum_packet_size', 'test_offline_message_queueing', 'test_overlapping_subscriptions', 'test_payload_format',
    'test_publication_expiry', 'test_redelivery_on_reconnect', 'test_request_response', 'test_retained_message', 'test_server_keep_alive',
    'test_server_topic_alias', 'test_session_expiry', 'test_shared_subscriptions', 'test_subscribe_failure', 'test_subscribe_identifiers',
    'test_subscribe_options', 'test_unsubscribe', 'test_user_properties', 'test_will_delay', 'test_will_message', 'test_zero_length_clientid'
  ]
}

let home: Home
let life: Life
beforeAll(async () => {
  await install(import.meta.url)
  home = new Home({
    auth: { anonymous: 'guest' }, // the suite's clients give no credentials
    acl: [{ deny: ['subscribe'], topic: 'test/nosubscribe' }, { allow: ['publish', 'subscribe'], topic: '#' }],
    limits: { keepAliveMaxSeconds: 60, devicesPerUser: 0 } // 60: test_server_keep_alive wants just that
  })
  life = await home.start()
}, INSTALL_MS)
afterAll(async () => { await home?.close() })

const tests = (['v3', 'v5'] as const).flatMap(version => SUITE[version].map(name => [version, name] as const))
test.each(tests)('%s %s', async (version, name) => {
  const { stdout } = await promisify(execFile)('python3', [
    WORKER, '--worker', '--worker-protocol', version, '--test', name,
    '--paho', join(root, '.interop/paho-suite/interoperability'), '--host', '127.0.0.1', '--port', String(life.mqttPort)
  ], { timeout: TEST_MS - 5000 })
  const { status, message } = JSON.parse(stdout.slice(stdout.lastIndexOf(RESULT) + RESULT.length)) as { status: string, message: string }
  expect([status, message]).toEqual(['pass', ''])
}, TEST_MS)
