// The layers of docs/architecture.md. A layer may import what stands before it, never after:
//
//   domain <- ports <- plugin.ts <- core <- mqtt, api <- compose.ts <- main.ts
//
// Each rule's comment says where the code should go instead.

const DOMAIN = '^broker/domain/'
const PORTS = '^broker/ports/'
const PLUGIN = '^broker/plugin\\.ts$'
const CORE = '^broker/core/'
const MQTT = '^broker/mqtt/'
const API = '^broker/api/'
const METRICS = '^broker/metrics\\.ts$'
const CONFIG = '^broker/config/'
const STORES = '^broker/stores/'
const BUS = '^broker/bus/'
// where the parts meet, what it hands to plugins, what finds, chooses and loads them, and what documents the operations of all parts
const COMPOSE = '^broker/(base|compose|web-client|auth-choices|plugins|plugin-file|write-operations)\\.ts$'
const MAIN = '^broker/main\\.ts$|^broker/cli/|^main\\.ts$'
const PLUGINS = '^plugins/'

const OURS = '^(broker|plugins)/|^main\\.ts$'
const HOMELESS = {
  path: OURS,
  pathNot: [DOMAIN, PORTS, PLUGIN, CORE, MQTT, API, METRICS, CONFIG, STORES, BUS, COMPOSE, MAIN, PLUGINS].join('|'),
}

/** `from` may import, of our own files, only itself and `allowed`. */
const layer = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { path: OURS, pathNot: [from, ...allowed].join('|') },
})

/** A package that only some files may import, so that replacing it means changing one folder. */
const driver = (name, packages, allowed, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { pathNot: allowed.join('|') },
  // As resolved, or as written when it is not installed.
  to: { path: `(^|/)node_modules/(${packages.join('|')})/|^(${packages.join('|')})(/|$)` },
})

module.exports = {
  forbidden: [
    // --- layers ---
    layer('domain-stands-alone', DOMAIN, [],
      'broker/domain is pure values and rules. What needs a store, a socket or the clock belongs in broker/core, behind a port.'),
    layer('ports-know-domain-only', PORTS, [DOMAIN],
      'A port says what a store or bus must promise, in words of broker/domain. Move a shared type to broker/domain, an implementation to broker/stores or broker/bus.'),
    layer('plugin-api-below-core', PLUGIN, [DOMAIN, PORTS],
      'broker/plugin.ts is the promise to plugins. Describe what the host offers as an interface there; broker/core implements it and broker/compose.ts passes it in.'),
    layer('core-below-transports', CORE, [DOMAIN, PORTS, PLUGIN],
      'broker/core knows no transport, no store and no configuration file. Take what is needed as an argument (a port, a function, plain numbers); broker/compose.ts passes it in.'),
    layer('mqtt-above-core', MQTT, [DOMAIN, PORTS, PLUGIN, CORE, METRICS, CONFIG],
      'broker/mqtt turns packets into calls of broker/core. What the HTTP side needs as well belongs in broker/core; broker/mqtt and broker/api meet in broker/compose.ts only.'),
    layer('api-above-core', API, [DOMAIN, PORTS, PLUGIN, CORE, METRICS, CONFIG],
      'broker/api turns operations into calls of broker/core. What the MQTT side needs as well belongs in broker/core; broker/api and broker/mqtt meet in broker/compose.ts only.'),
    layer('stores-below-core', STORES, [DOMAIN, PORTS],
      'A store implements broker/ports in words of broker/domain. A rule about messages belongs in broker/core; an option is an argument of the store\'s open function.'),
    layer('bus-below-core', BUS, [DOMAIN, PORTS],
      'A bus implements broker/ports in words of broker/domain. Who gets what is decided in broker/core; an option is an argument of the bus\'s open function.'),
    layer('config-knows-domain-only', CONFIG, [DOMAIN],
      'broker/config reads and checks settings, it starts nothing. Build the part in broker/compose.ts; a subcommand belongs in broker/cli.'),
    layer('metrics-are-a-leaf', METRICS, [DOMAIN],
      'broker/metrics.ts only holds counters. Whoever has something to count imports it or is given it, not the other way round.'),
    layer('plugins-see-plugin-ts-only', PLUGINS, [PLUGIN],
      'A plugin uses broker/plugin.ts and nothing else of the broker. If something is missing, add it to broker/plugin.ts, where every plugin (a stranger\'s, too) can have it.'),
    {
      name: 'plugins-never-meet',
      comment: 'Plugins do not import each other: each can be left out. Share through a hook or the host in broker/plugin.ts.',
      severity: 'error',
      from: { path: '^plugins/([^/]+?)(?:\\.ts$|/)' },
      to: { path: PLUGINS, pathNot: '^plugins/$1(?:\\.ts$|/)' },
    },
    {
      name: 'one-store-one-folder',
      comment: 'Stores do not import each other. What two stores share is a rule: broker/domain, or broker/core when it needs a port.',
      severity: 'error',
      from: { path: '^broker/(stores|bus)/([^/]+)/' },
      to: { path: '^broker/(stores|bus)/[^/]+/', pathNot: '^broker/$1/$2/' },
    },
    {
      name: 'compose-is-the-top',
      comment: 'Parts meet in broker/compose.ts, and only broker/main.ts starts it. Take the part you need as an argument instead.',
      severity: 'error',
      from: { pathNot: [COMPOSE, MAIN].join('|') },
      to: { path: [COMPOSE, MAIN].join('|') },
    },
    {
      name: 'main-is-the-top',
      comment: 'Nothing imports the command line. What two commands share goes where it belongs: broker/compose.ts (parts), broker/config (settings).',
      severity: 'error',
      from: { pathNot: MAIN },
      to: { path: MAIN },
    },
    ...[
      { from: {}, to: HOMELESS },
      { from: HOMELESS, to: {} },
    ].map((either) => ({
      name: 'every-file-has-a-layer',
      comment: 'Files of the broker live in one of the folders of docs/architecture.md, so that one of the rules above holds for them. A new folder needs a new rule here.',
      severity: 'error',
      ...either,
    })),

    // --- drivers ---
    driver('mqtt-drivers', ['aedes', 'aedes-[^/]+', 'mqemitter', 'mqemitter-[^/]+', 'mqtt-packet', 'ws'], [MQTT],
      'Aedes, the packet parser and WebSockets stay in broker/mqtt (docs/adr/001). Others get a plain value or a function from there.'),
    driver('lmdb-driver', ['lmdb'], ['^broker/stores/lmdb/'],
      'Only broker/stores/lmdb opens LMDB. What has to be stored goes through a port of broker/ports.'),
    driver('mongo-driver', ['mongodb'], ['^broker/stores/mongo/'],
      'Only broker/stores/mongo speaks to MongoDB. What has to be stored goes through a port of broker/ports.'),
    driver('redis-driver', ['ioredis'], ['^broker/bus/redis/'],
      'Only broker/bus/redis speaks to Redis. What other nodes must hear goes through broker/ports/bus.ts.'),
    driver('http-driver', ['fastify', '@fastify/[^/]+'], [API],
      'Only broker/api speaks HTTP. Declare an operation in broker/api/operations, or give compose.ts a function to call.'),
    driver('metrics-driver', ['prom-client'], [API, METRICS],
      'Counters are declared in broker/metrics.ts or broker/api. Elsewhere count with a plain number and let those read it.'),
    driver('jwt-driver', ['jose'], ['^plugins/auth-jwt[./]', MAIN],
      'Tokens are checked in plugins/auth-jwt and signed by the token command of broker/cli or broker/main.ts.'),

    driver('hash-driver', ['@node-rs/argon2'], ['^plugins/auth-static/'],
      'Passwords are hashed in plugins/auth-static only: it bounds how many at a time.'),

    // --- everywhere ---
    {
      name: 'no-cycles',
      comment: 'Two files that need each other, types included, are one file, or need a third with what they share, one layer down.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'Nothing imports this file and it imports nothing: wire it into broker/compose.ts or delete it.',
      severity: 'error',
      from: { orphan: true, pathNot: '\\.d\\.ts$' },
      to: {},
    },
    {
      name: 'no-development-packages',
      comment: 'An installed broker does not have devDependencies. Move the package to dependencies, or the code to test/ or bench/.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'type-only'] },
    },
    {
      name: 'not-resolvable',
      comment: 'This import leads nowhere: a typing error, or a package that package.json does not list.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Counts `import type` as an import: a type that crosses a layer ties the layers together, too.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    detectProcessBuiltinModuleCalls: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
      extensions: ['.ts', '.js', '.json', '.d.ts'],
    },
  },
}
