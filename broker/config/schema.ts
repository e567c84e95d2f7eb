import { Type, type Static } from '@sinclair/typebox'
import { block, choice, flag, limit, list, text, whole, type Field } from './field.js'
import { aclSchema, authSchema } from './schema-auth.js'
import { pushSchema } from './schema-push.js'

const tls = ['mqtts', 'wss'] as const
const webSocket = ['ws', 'wss'] as const
const host = (fallback?: string) => text('Address to listen on; 0.0.0.0 or :: for all.', fallback === undefined ? {} : { default: fallback })
const port = { minimum: 0, maximum: 65_535 }

const listener = block({
  protocol: choice(['mqtt', 'mqtts', 'ws', 'wss'], 'TCP, TLS, WebSocket, secure WebSocket.'),
  host: host(),
  port: whole('TCP port. 0: any free one, named in the log line `ready`.', port),
  proxyProtocol: flag('A PROXY v1 or v2 header is required.', { default: false }),
  path: text('Path of the WebSocket; `/` is taken too.', { default: '/mqtt', only: webSocket, pattern: '^/', shape: 'a path that begins with /' }),
  origins: list(text('An Origin.'), 'Origins that browsers may come from. Empty: any.', { default: [], only: webSocket }),
  pingSeconds: whole('Seconds between WebSocket pings, which keep proxies from cutting idle sockets. 0: none.', { default: 45, minimum: 0, maximum: 3600, unit: 's', only: webSocket }),
  cert: Type.Optional(text('Certificate chain, PEM. Read again within 5 s of a change and at SIGHUP.', { path: true, only: tls })),
  key: Type.Optional(text('Its private key, PEM.', { path: true, only: tls })),
  clientCa: Type.Optional(text('Authority that client certificates are checked with.', { path: true, only: tls })),
  clientCert: Type.Optional(choice(['required', 'optional'], 'Whether a client has to show a certificate.', { only: tls, derived: '`required` with `clientCa`' })),
  optional: Type.Optional(flag('Set on the default listeners of ::1: a machine without IPv6 goes on without them.', { internal: true })),
}, 'One address that clients connect to.')

const plugin = block({
  use: text('A path that begins with `.` or `/`, or a package name.', { path: 'or-package' }),
  config: Type.Optional(block({}, 'The plugin\'s own options: it says which.', { open: true })),
  timeoutMs: Type.Optional(whole('Longest run of one of its hooks. Else what the plugin says, else 1,000.', { minimum: 1, maximum: 600_000, unit: 'ms' })),
}, 'One plugin; a text alone stands for its `use`.', { short: 'use', shape: 'a path or package name, or a block of keys with `use`' })

const limits = block({
  messageBytes: whole('Largest message.', { default: 65_536, minimum: 1, maximum: 8_388_608, unit: 'bytes' }),
  inFlight: whole('Entries sent to a device and not yet acknowledged.', { default: 32, minimum: 1, maximum: 65_535 }),
  replay: whole('Newest entries of one conversation that are replayed to a device that was away; the rest is a gap.', { default: 200, minimum: 0, maximum: 1_000_000 }),
  replayTotal: limit('Entries that are replayed to one device in all.', 5000),
  connectionsPerUser: limit('Connections of one user; over it the longest silent one is closed.', 20),
  devicesPerUser: limit('Devices of one user; over it the longest unused one is forgotten.', 50),
  connectsPerMinute: limit('Connects of one device in a minute.', 120),
  publishPerSecond: limit('Publishes of one connection in a second.', 50),
  groupMembers: limit('Members of a group.', 100_000),
  receiptMembers: limit('Groups larger than this have no receipts and signals.', 100),
  queuedMessages: limit('Messages queued for one session on ordinary topics.', 1000),
  retainedMessages: limit('Retained messages.', 100_000),
  sessionExpirySeconds: limit('Longest life of a session without a connection.', 2_592_000, { unit: 's', maximum: 4_294_967_295 }),
  keepAliveMinSeconds: limit('Shortest keep-alive; MQTT 5 clients below it are told this one.', 0, { unit: 's', maximum: 65_535 }),
  keepAliveMaxSeconds: limit('Longest keep-alive; MQTT 5 clients above it are told this one.', 1200, { unit: 's', maximum: 65_535 }),
}, 'Bounds that protect the broker and its users from each other.')

/** The whole configuration of operator.md: loading, `check-config` and docs/config.md come from it. */
export const configSchema = block({
  dataDir: text('Folder of the embedded store and of generated secrets.', { default: './data', path: true }),
  listeners: list(listener, 'Where clients connect.', { derived: 'mqtt on port 1883 and ws on 8083, of 127.0.0.1 and ::1' }),
  http: block({
    host: host('127.0.0.1'),
    port: whole('TCP port. 0: any free one.', { default: 8080, ...port }),
    adminKey: Type.Optional(text('Bearer key with which your own backend acts for any user.', { secret: true })),
    cors: list(text('An Origin.'), 'Origins whose pages may call the API.', { default: [] }),
  }, 'Health, metrics and API; also serves WebSocket MQTT at /mqtt.'),
  admin: Type.Optional(block({
    host: host('127.0.0.1'),
    port: whole('TCP port. 0: any free one.', port),
  }, 'With this, /metrics and the admin key work at this address only.')),
  auth: authSchema,
  acl: aclSchema,
  users: block({
    unknown: choice(['store', 'reject'], 'What becomes of a message to a user never seen.', { default: 'store' }),
  }, 'Accounts.'),
  mongo: Type.Optional(block({
    url: text('Connection string, with the database.', { secret: 'url', pattern: '^mongodb(\\+srv)?://', shape: 'a URL that begins with mongodb:// or mongodb+srv://' }),
  }, 'The cluster\'s store; together with `redis`.')),
  redis: Type.Optional(block({
    url: text('Address; sentinel and cluster URLs too.', { secret: 'url', pattern: '^redis[a-z+-]*://', shape: 'a URL that begins with redis:// or rediss://' }),
    keyPrefix: text('Begins every key and channel: one deployment per MongoDB database and prefix.', { default: 'parley:' }),
  }, 'The cluster\'s bus; together with `mongo`.')),
  limits,
  retention: block({
    days: whole('Days that entries are kept. 0: for ever.', { default: 0, minimum: 0, maximum: 36_500, unit: 'days' }),
    perConversation: whole('Entries kept in a conversation. 0: all.', { default: 0, minimum: 0, maximum: 2_147_483_647 }),
    deviceDays: whole('Days after which an unused device is forgotten. 0: never.', { default: 90, minimum: 0, maximum: 36_500, unit: 'days' }),
  }, 'What is kept, and how long.'),
  push: pushSchema,
  plugins: list(plugin, 'Own plugins ([plugins.md](plugins.md)), in the order in which their hooks run. A text in the list stands for a `use` alone.', { default: [] }),
  drain: block({
    timeoutMs: whole('From SIGTERM to the end of the process at most.', { default: 25_000, minimum: 100, maximum: 3_600_000, unit: 'ms' }),
    perSecond: limit('Sessions sent away in a second.', 200),
  }, 'How a node leaves.'),
  log: block({
    level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'The least that is logged.', { default: 'info' }),
  }, 'JSON lines on standard output.'),
}, 'The configuration of a Parley node.')

/** The configuration with every default applied and every path absolute. */
export type Config = Static<typeof configSchema>

/** One of `Config.listeners`; `optional` means that a failure to bind it is no failure to start. */
export type ListenerConfig = Config['listeners'][number]

/** The schema as the loader walks it. */
export const rootField = configSchema as unknown as Field

/** What is listened on when `listeners` is left out; ::1 is optional because containers often have no IPv6. */
export const defaultListeners = (): ListenerConfig[] => (['mqtt', 'ws'] as const).flatMap((protocol) =>
  ['127.0.0.1', '::1'].map((address) => ({
    protocol, host: address, port: protocol === 'mqtt' ? 1883 : 8083,
    proxyProtocol: false, path: '/mqtt', origins: [], pingSeconds: 45,
    ...(address === '::1' ? { optional: true } : {}),
  })))
