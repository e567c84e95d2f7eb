import type { ISubackPacket, ISubscribePacket, ISubscription, Packet } from 'mqtt-packet'
import { Client, type ClientOptions, connectPacket } from './client.js'
import { FakeClock } from './fake-clock.js'
import { type Parley, startParley } from './parley.js'

/** Everybody may use all ordinary topics, but for `closed/…`, to which nobody publishes. */
export const OPEN_TOPICS = [{ deny: ['publish'], topic: 'closed/#' }, { allow: ['publish', 'subscribe'], topic: '#' }]

/** A node whose ordinary topics are open, for all tests of a file. */
export interface OrdinaryNode {
  readonly p: Parley
  readonly clock: FakeClock
  /** Connected; a user of its own unless one is named. Closed when the test ends. */
  client (options?: Partial<ClientOptions>): Promise<Client>
  /** A socket on which nothing was said. Closed when the test ends. */
  open (version: number): Promise<Client>
  /** A topic that no other test uses. */
  topic (): string
  /** A user that no other test uses. */
  user (): string
}

/** Starts the node before the first test of the file and ends it after the last one. */
export function ordinaryNode (settings: Record<string, unknown> = {}): OrdinaryNode {
  const clock = new FakeClock()
  const clients: Client[] = []
  let p: Parley
  let n = 0
  beforeAll(async () => { p = await startParley({ acl: OPEN_TOPICS, ...settings }, clock) })
  afterEach(() => { for (const c of clients.splice(0)) c.destroy() })
  afterAll(async () => { await p.close() })
  const open = async (version: number): Promise<Client> => {
    const c = await Client.open(p.port('mqtt'), version)
    clients.push(c)
    return c
  }
  return {
    get p () { return p },
    clock,
    open,
    async client (options = {}) {
      const all = { user: `user-${++n}`, ...options }
      const c = await open(all.version ?? 4)
      await c.hello(all)
      return c
    },
    topic: () => `topic/${++n}`,
    user: () => `user-${++n}`
  }
}

/** A test of what both standards ask for. */
export function inBoth (title: string, story: (version: 4 | 5) => Promise<void>): void {
  test.each([4, 5] as const)(`${title} (version byte %i)`, story)
}

/** SUBSCRIBE as it is said, and its SUBACK. */
export async function subscribe (c: Client, subscriptions: (Partial<ISubscription> & { topic: string })[], properties?: ISubscribePacket['properties']): Promise<ISubackPacket> {
  const messageId = c.id()
  c.send({ cmd: 'subscribe', messageId, subscriptions: subscriptions.map(s => ({ qos: 0, nl: false, rap: false, rh: 0, ...s })), properties })
  return await c.answer('suback', messageId) as ISubackPacket
}

/** Publishes at QoS 2 to the end of the exchange. */
export async function sayOnce (c: Client, topic: string, payload: string): Promise<void> {
  const id = c.publish(topic, payload, { qos: 2 })
  await c.answer('pubrec', id)
  c.send({ cmd: 'pubrel', messageId: id })
  await c.answer('pubcomp', id)
}

/** Says CONNECT with bytes behind it in the same flight. */
export function flight (c: Client, options: ClientOptions, ...packets: Packet[]): void {
  c.socket.cork()
  c.send(connectPacket(options))
  for (const p of packets) c.send(p)
  c.socket.uncork()
}

/** Payloads delivered on a topic or the topics below it, in order. */
export const payloads = (c: Client, topic: string): string[] => c.on(topic).map(d => d.packet.payload.toString())
