import { randomBytes } from 'node:crypto'
import { authRefresh } from './api/operations/auth-refresh.js'
import { authTicket } from './api/operations/auth-ticket.js'
import { deviceList } from './api/operations/device-list.js'
import { deviceRemove } from './api/operations/device-remove.js'
import { deviceSet } from './api/operations/device-set.js'
import { serverInfo } from './api/operations/server-info.js'
import { httpApi } from './api/http.js'
import { Operations } from './api/registry.js'
import { authChoices } from './auth-choices.js'
import type { Config } from './config/schema.js'
import { signingSecret } from './config/secret.js'
import { Access } from './core/access.js'
import type { CloseReason } from './core/connections.js'
import { Arrivals } from './core/arrivals.js'
import { Cluster } from './core/cluster.js'
import { CursorKeeper } from './core/cursor-keeper.js'
import { FanOut } from './core/fan-out.js'
import { HookRunner } from './core/hooks.js'
import { Publisher } from './core/publish.js'
import { Receipts } from './core/receipts.js'
import { Recent } from './core/recent.js'
import { counted, timed } from './core/topics/orders.js'
import { TopicPeers } from './core/topics/peers.js'
import { SysTopics } from './core/topics/sys-topics.js'
import { Topics } from './core/topics/topics.js'
import { Wills } from './core/topics/wills.js'
import { AclBook } from './domain/acl.js'
import { Replays } from './core/replay.js'
import { Roster } from './core/roster.js'
import type { SessionWorld } from './core/session.js'
import { SignIn } from './core/sign-in.js'
import { Signals } from './core/signals.js'
import { Takeovers } from './core/takeovers.js'
import { Tickets } from './core/tickets.js'
import { RetainedWindows } from './core/windows.js'
import { moveCursors } from './core/move-cursors.js'
import { Metrics, type NewsCounts } from './metrics.js'
import { AedesHost, heldFilters } from './mqtt/aedes.js'
import { AppState } from './mqtt/app-state.js'
import { Chat } from './mqtt/chat.js'
import type { Connection, MqttWorld } from './mqtt/connection.js'
import { Connector } from './mqtt/connector.js'
import { KeepAlive } from './mqtt/keep-alive.js'
import { Listeners } from './mqtt/listeners.js'
import { Ordinary } from './mqtt/ordinary.js'
import { Pace } from './mqtt/pace.js'
import { SessionPersistence } from './mqtt/persistence.js'
import { Registry } from './mqtt/registry.js'
import { Rpc } from './mqtt/rpc.js'
import { WriteBatcher } from './mqtt/write-batching.js'
import type { Host, Plugin } from './plugin.js'
import { loadPlugins, type PluginChoice } from './plugins.js'
import { type Clock, systemClock } from './ports/clock.js'
import type { Logger } from './ports/logger.js'
import type { Base } from './base.js'
import { openBase } from './base.js'
import { webClient } from './web-client.js'
import groups from '../plugins/groups/index.js'
import history from '../plugins/history/index.js'
import { version } from './config/version.js'

/** A packet holds at most a message or an RPC request, and the longest topic and properties around it. */
const packetLimit = (messageBytes: number): number => Math.max(messageBytes, 256 << 10) + (72 << 10)

/** What the bus lost without saying so is found after this. */
const CHECK_MS = 60_000

export interface RunningNode {
  addresses: { protocol: string, url: string }[]
  /** Drains: no new connections, sessions leave, writes are flushed. */
  close (): Promise<void>
  /** Certificates and the files of plugins are read again, and the rules for ordinary topics are those of this configuration. */
  reload (config: Pick<Config, 'acl'>): Promise<void>
}

/** What a node needs beside its configuration. */
export interface Surroundings {
  log: Logger
  clock?: Clock
  /** Where packages of plugins are looked for first. Default: the working directory. */
  baseDir?: string
}

/** The one place where the parts meet: builds a node of a configuration and starts it. */
export async function startNode (config: Config, { log: logger, clock = systemClock, baseDir = process.cwd() }: Surroundings): Promise<RunningNode> {
  const news = { published: 0, dropped: 0, repaired: 0 }
  const base = await openBase(config, logger, clock, news)
  try {
    return await assemble(config, { logger, clock, baseDir }, base, news)
  } catch (e) {
    await base.bus.close()
    await base.stores.close()
    throw e
  }
}

async function assemble (config: Config, { logger, clock, baseDir }: { logger: Logger, clock: Clock, baseDir: string }, { stores, bus, shared }: Base, news: NewsCounts): Promise<RunningNode> {
  const { limits } = config
  const { log, inbox, cursors, devices, directory } = stores
  const tickets = new Tickets({ store: stores.tickets, clock, ttlMs: config.auth.ticket.ttlSeconds * 1000 })
  const registry = new Registry()
  const metrics = new Metrics({
    sessions: () => registry.size,
    inFlight: () => { let n = 0; for (const c of registry.all()) n += c.session.flights.size; return n },
    topics: () => topics.counts
  }, news)
  const roster = new Roster(bus)
  const access = new Access(directory, config.users.unknown)
  const fanOut = new FanOut(roster, access, group => { cluster?.begins(group) })
  const operations = new Operations({ logger, clock })
  const windows = new RetainedWindows()
  const receipts = new Receipts({ log, inbox, directory, roster, bus, clock, logger, limits })
  const signals = new Signals({ access, directory, roster, bus, limits })
  const takeovers = shared === null ? null : new Takeovers({
    bus, presence: shared.presence, clock,
    close: async id => {
      await registry.exclusively(id, async () => {
        registry.get(id)?.close('takeover', 0x8e, 'a newer connection of the device')
        await registry.left(id)
      })
    }
  })
  const arrivals = shared === null ? null : new Arrivals({ log: shared.log, clock, logger, give: c => { fanOut.entry(c.entry, c.effects) }, since: conv => roster.since(conv), repaired: n => { news.repaired += n } })
  const book = new AclBook(config.acl)
  const sys = new SysTopics({
    version: () => `parley ${version()}`, uptime: () => Math.round(process.uptime()), 'clients/connected': () => registry.size,
    'sessions/count': () => topics.counts.sessions, 'subscriptions/count': () => topics.counts.subscriptions, 'retained messages/count': () => topics.counts.retained,
    'messages/received': () => metrics.topics.published, 'messages/sent': () => metrics.topics.delivered, 'messages/dropped': () => metrics.droppedOnTopics
  }, clock)
  const topics: Topics = new Topics({
    store: stores.topics, clock, logger, limits, count: metrics.topics, sys, shared: shared?.topics ?? null,
    orders: shared === null ? counted : timed(() => clock.now(), randomBytes(1)[0]!)
  })
  const wills = new Wills({ store: stores.topics, clock, logger, book, publish: (m, changes) => topics.publish(m, changes), count: metrics.topics, shared: shared?.topics ?? null })
  const peers = shared === null ? null : new TopicPeers({ topics, store: shared.topics, bus, clock, logger, adopted: w => { wills.adopt(w) } })
  const cluster = shared === null ? null : new Cluster({
    bus, fanOut, access, receipts, signals, topics: peers!, clock, logger, checkMs: CHECK_MS, log: shared.log, takeovers: takeovers!,
    connections: function * () { for (const c of registry.all()) yield { session: c.session.id, sinceMs: c.claimedMs } },
    arrivals: arrivals!
  })
  shared?.presence.serve({ lapsed: () => {}, presumedDead: () => { void cluster!.claimAll() } })
  const keeper = new CursorKeeper(cursors, clock, logger, (user, conv, seq) => receipts.delivered(user, conv, seq))

  // plugins get a host whose publisher is there once their hooks are known
  const host: Host = {
    request: webClient(clock),
    moveCursors: async (user, device, seqs) => { await moveCursors(user, device, seqs, { log, inbox, devices, keeper, session: id => registry.get(id)?.session }) },
    log, inbox, directory, clock, logger, limits, epoch: stores.epoch,
    post: async e => await publisher.system(e),
    tell: (user, event) => { if (cluster === null) fanOut.tell(user, event); else cluster.tell(user, event) },
    operation: op => operations.register(op)
  }
  const hooks = new HookRunner(await loadPlugins(choices(config), baseDir, host, logger), {
    clock, logger, onFailure: (plugin, hook, kind) => metrics.hookFailed(plugin, hook, kind)
  })
  const signIn = new SignIn({ providers: hooks, tickets, store: stores.tickets, clock })
  const publisher = new Publisher({
    log, access, hooks, clock, logger, limits, appended: ms => metrics.appended(ms),
    announce: c => { if (cluster === null) fanOut.entry(c.entry, c.effects); else cluster.announce(c) }
  })

  const replays = new Replays({ log, inbox, cursors, devices, roster, windows, limits, learn: (conv, head, sinceMs) => { arrivals?.learn(conv, head, sinceMs) } }, (session, err) => {
    logger.error({ err, session: session.id }, 'the inbox could not be read; the connection is closed and its library comes back')
    registry.get(session.id)?.close('broker', 0x88)
  })
  const sessions: SessionWorld = {
    log, recent: new Recent(), clock, logger, limits, count: metrics.hot,
    moved: session => keeper.add(session),
    named: (session, conv, seq) => { void keeper.name(session.user, session.record === null ? null : session.device, [{ conv, contiguous: seq, highest: seq }]) },
    enter: (session, reads) => { replays.enter(session, reads) },
    replay: session => { replays.replay(session) }
  }

  let draining = false
  let aedes: AedesHost | null = null
  const ordinary = new Ordinary({
    topics, wills, store: stores.topics, book, clock, logger, draining: () => draining,
    count: { published: () => { metrics.topics.published++ }, refused: () => metrics.refused('forbidden') }
  })
  const connector = new Connector({
    signIn, devices, directory, registry, clock, logger, sessions, limits,
    windows, deviceDays: config.retention.deviceDays, pace: new Pace(limits.connectsPerMinute, clock), aedes: () => aedes!, ordinary, draining: () => draining,
    claim: async (id, sinceMs) => { await takeovers?.claim(id, sinceMs) }
  })
  const chat = new Chat({
    publisher, receipts, signals, rpc: new Rpc(operations, limits), state: new AppState(devices), logger,
    count: { published: kind => metrics.publish(kind), refused: code => metrics.refused(code) }
  })
  operations.register(serverInfo({ version: version(), epoch: stores.epoch, limits, features: ['groups', 'history', 'batch'] }))
  operations.register(deviceSet({ devices, connections: connector, clock, log, inbox, cursors }))
  operations.register(authRefresh({ connections: connector }))
  operations.register(authTicket({ connections: connector, tickets }))
  operations.register(deviceList({ devices, connections: connector }))
  operations.register(deviceRemove({ devices, tickets: stores.tickets, connections: connector, tell: host.tell, clock, logger }))

  const world: MqttWorld = {
    batcher: new WriteBatcher(), connector, chat, ordinary, clock, logger, maxPacketBytes: packetLimit(limits.messageBytes), publishPerSecond: limits.publishPerSecond,
    toAedes: (c, packet) => aedes!.packet(c, packet),
    ended: async (c, reason) => {
      const saved = ended(c, reason)
      if (c.sessionOrNull !== null) registry.leaves(c.session.id, saved)
      await saved
    }
  }
  async function ended (c: Connection, reason: CloseReason): Promise<void> {
    const session = c.sessionOrNull
    if (session === null) return
    roster.remove(session)
    registry.remove(session.id, c)
    const window = session.close(reason === 'client' || reason === 'closed')
    if (window !== null) windows.keep(session.id, window)
    if (hooks.has('didDisconnect')) hooks.didDisconnect({ user: session.user, device: session.device, reason })
    await Promise.all([keeper.save(session), ordinary.ended(c, reason)])
    if (session.record !== null) {
      session.record.seenMs = clock.now()
      await devices.put(session.record).catch((err: unknown) => { logger.warn({ err, session: session.id }, 'a device could not be saved') })
    }
    await shared?.presence.leave(session.id, c.claimedMs)
  }
  aedes = await AedesHost.create({
    logger, ordinary,
    persistence: new SessionPersistence(devices, ordinary, topics, id => registry.get(id as never)),
    granted: c => c.granted(heldFilters(c)),
    ready: c => {
      c.ready(heldFilters(c))
      if (hooks.has('didConnect')) hooks.didConnect({ user: c.session.user, device: c.session.device, address: c.origin.address })
    }
  })
  const keepAlive = new KeepAlive(registry, clock)
  const listeners = new Listeners(world, { logger, loopbackOnly: config.auth.dev, admits: address => signIn.admits(address), opened: () => metrics.opened(), closed: () => metrics.closed(), turnedAway: why => metrics.turnedAway(why) })
  const http = httpApi({
    logger, metrics: metrics.registry,
    parts: () => [{ name: 'store', ...stores.health() }, ...(cluster === null ? [] : [{ name: 'bus', ...bus.health() }]), { name: 'node', ok: !draining, ...(draining ? { why: 'draining' } : {}) }]
  })

  async function close (): Promise<void> {
    draining = true
    listeners.stop()
    signIn.close()
    await leave(registry, config.drain, clock)
    keepAlive.stop()
    sys.stop()
    topics.close()
    wills.close()
    await aedes!.close()
    await keeper.close()
    await receipts.flush()
    await http.close()
    cluster?.close()
    await shared?.presence.close()
    await bus.close()
    await stores.close()
  }
  try {
    await topics.load(peers)
    await wills.load()
    sys.start(m => { void topics.publish(m) })
    await listeners.open(config.listeners)
    listeners.share(http.server, 'http')
    await http.listen({ host: config.http.host, port: config.http.port })
  } catch (e) {
    await close()
    throw e
  }
  const { port } = http.server.address() as { port: number }
  const at = config.http.host.includes(':') ? `[${config.http.host}]` : config.http.host
  return { addresses: [...listeners.addresses, { protocol: 'http', url: `http://${at}:${port}` }], close, reload: async fresh => {
    book.replace(fresh.acl)
    await Promise.all([listeners.reload(), hooks.reload()])
  } }
}

/** Sends the sessions away at the configured rate, within the time that leaves room for the last writes. */
async function leave (registry: Registry, drain: Config['drain'], clock: Clock): Promise<void> {
  const all = [...registry.all()]
  const perSecond = Math.max(drain.perSecond === 0 ? Infinity : drain.perSecond, Math.ceil(all.length / (drain.timeoutMs / 2000)))
  const step = Math.max(1, Math.ceil(Math.min(perSecond, 1e9) / 20))
  for (let i = 0; i < all.length; i += step) {
    const some = all.slice(i, i + step)
    for (const c of some) c.close('broker', 0x8b)
    await Promise.all(some.map(async c => { await c.closing }))
    if (i + step < all.length) await new Promise<void>(resolve => { clock.after(50, resolve) })
  }
}

/** Built-in plugins first, then those of the configuration. */
function choices (config: Config): PluginChoice[] {
  return [...authChoices(config.auth, signingSecret(config)), { use: groups as unknown as Plugin }, { use: history as unknown as Plugin }, ...config.plugins]
}
