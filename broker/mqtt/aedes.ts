import { Aedes } from 'aedes'
import type { IConnectPacket, ISubscription, Packet } from 'mqtt-packet'
import { type InboxFilter, inboxFilter } from '../domain/topics.js'
import type { Logger } from '../ports/logger.js'
import type { Asking, Connection, StreamOwner } from './connection.js'
import { encode } from './frames.js'
import type { Ordinary } from './ordinary.js'
import { inside, outside } from './aedes-names.js'
import type { SessionPersistence } from './persistence.js'

/**
 * All of Aedes that Parley touches, private parts included (docs/adr/001): its version is pinned. Aedes gets whole
 * packets, never bytes: the life cycle of a connection, SUBSCRIBE, UNSUBSCRIBE and DISCONNECT. Messages never enter it
 * (docs/adr/002, docs/adr/005).
 */
interface AedesClient extends StreamOwner {
  id: string
  clean: boolean
  closed: boolean
  version: number
  conn: Connection
  subscriptions: Record<string, { qos: number }>
  duplicates: object
  _parsingBatch: number
  _parser: object
  _eos: () => void
  _nextBatch: (err?: Error) => void
}

/** `standsFor`: the filter that is meant, where Aedes must not see its name. */
interface Sub { topic: string, qos: number, standsFor?: Sub }
type Callback<T = unknown> = (err?: Error | null, value?: T) => void

/** Aedes's rounds (heartbeat, and four times that: other nodes' wills) find nothing to do here. Longest: a timer ends at 2^31 ms. */
const HALF_A_WEEK_MS = 302_400_000

/** Takes the place of the parser that each client makes for itself: packets are cut by the connection. */
const NO_PARSER = { removeAllListeners: () => {}, set _queue (_: unknown) {}, get _queue () { return null } }
/** Messages are matched in broker/core: neither chat nor ordinary topics enter Aedes. */
const NO_EMITTER = {
  on: (_topic: string, _fn: unknown, done?: () => void) => { done?.() },
  removeListener: (_topic: string, _fn: unknown, done?: () => void) => { done?.() },
  emit: (_packet: unknown, done?: () => void) => { done?.() },
  close: (done?: () => void) => { done?.() }
}

export class AedesHost {
  private constructor (private readonly broker: InstanceType<typeof Aedes>, private readonly ordinary: Ordinary, private readonly enqueues: WeakMap<AedesClient, (packet: unknown) => void>) {}

  static async create (deps: { logger: Logger, persistence: SessionPersistence, ordinary: Ordinary, granted (c: Connection): void, ready (c: Connection): void }): Promise<AedesHost> {
    const enqueues = new WeakMap<AedesClient, (packet: unknown) => void>()
    const broker = new Aedes({
      mq: NO_EMITTER,
      persistence: deps.persistence,
      heartbeatInterval: HALF_A_WEEK_MS,
      drainTimeout: 0,
      maxClientsIdLength: 65_535,
      preConnect (client: AedesClient, _packet: unknown, done: Callback<boolean>) {
        // filters named like members of Object.prototype would end the process [GHSA-52qw-whmv-87c5]
        client.subscriptions = Object.create(null) as AedesClient['subscriptions']
        client.duplicates = Object.create(null) as object
        done(null, true)
      },
      authenticate (_client: AedesClient, _user: unknown, _password: unknown, done: Callback<boolean>) { done(null, true) },
      authorizeSubscribe (_client: AedesClient, sub: Sub, done: Callback<Sub | null>) {
        done(null, sub.topic.startsWith(DENIED) ? null : sub.standsFor ?? sub) // none of a restored one
      },
      // neither PUBLISH nor a will comes here
      authorizePublish (_client: AedesClient | null, _packet: unknown, done: Callback) { done(new Error('denied')) }
    } as unknown as ConstructorParameters<typeof Aedes>[0])
    const own = broker as unknown as { clients: object, brokers: object, publish: (p: { topic: string }, client: unknown, done?: Callback) => void, scheduleSessionExpiry: () => void }
    own.clients = Object.create(null) as object
    own.brokers = Object.create(null) as object
    own.publish = (_packet, client, done) => { (typeof client === 'function' ? client as Callback : done)?.(null) }
    // when a session ends stands in the device's record; Aedes would keep each connection that is gone until then
    own.scheduleSessionExpiry = () => {}
    const on = broker as unknown as { on (event: string, fn: (...args: never[]) => void): void }
    on.on('clientReady', (client: AedesClient) => { deps.ready(client.conn) })
    // right behind SUBACK and UNSUBACK
    on.on('subscribe', (_subs: unknown, client: AedesClient) => {
      const { conn } = client
      if (client.closed) return
      // which looks at all that the client holds
      if (conn.asking.inbox.length > 0) deps.granted(conn)
      deps.ordinary.granted(conn, conn.asking.ordinary, conn.asking.id)
    })
    on.on('unsubscribe', (topics: string[], client: AedesClient) => {
      if (client.closed) return
      const { conn } = client
      if (topics.some(t => isInbox(t, conn))) deps.granted(conn)
      deps.ordinary.gone(conn, topics.map(outside))
    })
    on.on('clientError', (client: AedesClient, err: Error) => { deps.logger.debug({ session: client.id, err }, 'client error') })
    on.on('connectionError', (_client: AedesClient, err: Error) => { deps.logger.debug({ err }, 'connection error') })
    on.on('error', (err: Error) => { deps.logger.error({ err }, 'Aedes reports an error') })
    await (broker as unknown as { listen (): Promise<void> }).listen()
    return new AedesHost(broker, deps.ordinary, enqueues)
  }

  /** Makes Aedes's client for the connection and hands it the CONNECT, whose client id is the session's. */
  attach (connection: Connection, packet: IConnectPacket): void {
    const client = this.broker.handle(connection as never) as unknown as AedesClient
    const parser = client._parser as { listeners (event: string): ((this: object, packet: unknown) => void)[] }
    const enqueue = parser.listeners('packet')[0]!
    const stub = { client, _queue: [] }
    this.enqueues.set(client, p => enqueue.call(stub, p))
    client._parser = NO_PARSER
    client._eos = () => {}
    client._parsingBatch = 0
    this.enqueues.get(client)!(packet)
  }

  packet (connection: Connection, packet: Packet): void {
    const client = clientOf(connection)
    const enqueue = this.enqueues.get(client)!
    if (packet.cmd !== 'subscribe' && packet.cmd !== 'unsubscribe') { enqueue(packet); return }
    if (packet.cmd === 'subscribe') {
      const granted = this.ordinary.grants(connection, packet.subscriptions.map(s => s.topic))
      connection.asking = asking(packet.subscriptions.filter((_s, i) => granted[i]), packet.properties?.subscriptionIdentifier ?? 0, connection)
      packet.subscriptions = packet.subscriptions.map((s, i) => granted[i] === true
        ? { ...s, topic: `$granted/${i}`, standsFor: { ...s, topic: inside(s.topic) } }
        : { ...s, topic: `${DENIED}${i}` })
    } else {
      // Aedes asks after each name once, and closes on some that nobody holds [MQTT-3.10.4-5] [MQTT-3.10.4-6]
      const first = new Map([...packet.unsubscriptions].reverse().map((filter, i, all) => [filter, all.length - 1 - i]))
      packet.unsubscriptions = packet.unsubscriptions.map((filter, i) => inside(filter) in client.subscriptions && first.get(filter) === i ? inside(filter) : `${DENIED}${i}`)
    }
    const next = client._nextBatch
    client._nextBatch = err => { next(err); connection.subscribed() } // goes along with the packet
    enqueue(packet)
    client._nextBatch = next
  }

  async close (): Promise<void> {
    await new Promise<void>(resolve => this.broker.close(() => resolve()))
  }
}

/**
 * Aedes holds the filters of a packet as the names of an object: repeated ones would have one code in SUBACK for all
 * [MQTT-3.9.3-1], `__proto__` would be none, numbers would come first. So each gets a name of its own until it is granted.
 */
const DENIED = '$denied/'

/** Of a filter that is repeated in one packet the last counts [MQTT-3.8.4-3]. */
function asking (granted: readonly ISubscription[], id: number, c: Connection): Asking {
  const inbox = new Map<string, ISubscription>()
  const ordinary = new Map<string, ISubscription>()
  for (const s of granted) {
    if (!isInbox(s.topic, c)) { ordinary.set(s.topic, s); continue }
    if (s.qos === 2) s.qos = 1
    inbox.set(s.topic, s)
  }
  return { inbox: [...inbox.values()], ordinary: [...ordinary.values()], id, stored: null }
}

const isInbox = (filter: string, c: Connection): boolean => inboxFilter(filter, c.session.user) !== null

const clientOf = (c: Connection): AedesClient => c.client as AedesClient

/** The inbox filters that a client of Aedes holds. */
export function heldFilters (c: Connection): [InboxFilter, 0 | 1][] {
  return Object.entries(clientOf(c).subscriptions).flatMap(([topic, { qos }]) => {
    const f = inboxFilter(topic, c.session.user)
    return f === null ? [] : [[f, qos > 0 ? 1 : 0] as [InboxFilter, 0 | 1]]
  })
}

/** CONNACK with an error; the version is that of the CONNECT. */
export function refusal (version: number, code: 'version' | 'client-id' | 'credential' | 'forbidden' | 'protocol'): Buffer | null {
  const [v3, v5] = { version: [1, 0x84], 'client-id': [2, 0x85], credential: [4, 0x86], forbidden: [5, 0x87], protocol: [0, 0x82] }[code] as [number, number]
  if (version < 5 && v3 === 0) return null
  return encode({ cmd: 'connack', sessionPresent: false, ...(version === 5 ? { reasonCode: v5 } : { returnCode: v3 }) }, version)
}
