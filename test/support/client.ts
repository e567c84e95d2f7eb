import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import mqtt, { type IConnackPacket, type IConnectPacket, type IPublishPacket, type ISubackPacket, type Packet } from 'mqtt-packet'

export interface ClientOptions {
  user: string
  /** Client id; default `phone`. */
  device?: string
  password?: string
  version?: 3 | 4 | 5
  clean?: boolean
  properties?: IConnectPacket['properties']
  keepalive?: number
  will?: IConnectPacket['will']
  /** Acknowledge deliveries at once; default true. */
  acks?: boolean
  /** Subscribe at once. */
  subscribe?: string[]
}

/** What was delivered, read. */
export interface Delivered { topic: string, qos: number, dup: boolean, id: number, json: Record<string, unknown>, packet: IPublishPacket }

const WAIT_MS = 15_000

/** An MQTT client that does nothing by itself but acknowledge, and keeps all that it hears. */
export class Client {
  readonly heard: Packet[] = []
  closed = false
  acks = true
  private waiting: (() => void)[] = []
  private lastId = 0

  private constructor (readonly socket: Duplex, readonly version: number) {
    const parser = mqtt.parser({ protocolVersion: version })
    parser.on('packet', (p: Packet) => {
      if (this.acks) this.acknowledge(p)
      this.heard.push(p)
      this.wake()
    })
    socket.on('data', (b: Buffer) => { parser.parse(b) })
    socket.on('error', () => {})
    socket.on('close', () => { this.closed = true; this.wake() })
  }

  /** An open socket on which nothing was said. */
  static async open (port: number, version = 4): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const c = new Client(socket, version)
    await new Promise<void>((resolve, reject) => { socket.once('connect', () => resolve()); socket.once('error', reject) })
    return c
  }

  /** On a stream that is open already: TLS, or a WebSocket. */
  static over (stream: Duplex, version = 4): Client { return new Client(stream, version) }

  /** Connected, or refused: see `connack`. @throws Error when the broker closes without an answer */
  static async connect (port: number, o: ClientOptions): Promise<Client> {
    const c = await Client.open(port, o.version ?? 4)
    await c.hello(o)
    return c
  }

  /** CONNECT, and until CONNACK. @throws Error when the broker closes without an answer */
  async hello (o: ClientOptions): Promise<void> {
    this.acks = o.acks ?? true
    this.send(connectPacket(o))
    await this.until(() => this.heard.some(p => p.cmd === 'connack'), 'CONNACK')
    for (const filter of o.subscribe ?? []) await this.subscribe(filter)
  }

  get connack (): IConnackPacket { return this.heard.find(p => p.cmd === 'connack') as IConnackPacket }

  send (p: Packet): void { this.raw(mqtt.generate(p, { protocolVersion: this.version })) }
  raw (bytes: Buffer | string): void { if (!this.socket.destroyed) this.socket.write(bytes) }
  destroy (): void { this.socket.destroy() }
  /** DISCONNECT, and until the socket is closed. */
  async end (): Promise<void> {
    this.send({ cmd: 'disconnect' } as Packet)
    this.socket.end()
    await this.untilClosed()
  }

  /** Waits for something that the packets heard, or the closed socket, make true. */
  async until (what: () => boolean, name = String(what)): Promise<void> {
    const late = Date.now() + WAIT_MS
    while (!what()) {
      if (this.closed) throw new Error(`the connection is closed; waited for ${name}; heard ${this.story()}`)
      const left = late - Date.now()
      if (left <= 0) throw new Error(`nothing came; waited for ${name}; heard ${this.story()}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.waiting.push(() => { clearTimeout(timer); resolve() })
      })
    }
  }

  async untilClosed (): Promise<void> {
    if (this.closed) return
    await this.until(() => this.closed, 'the end').catch(e => { if (!this.closed) throw e })
  }

  /** Hands every packet from now on to `fn`; ends with the connection. An error that it throws closes the connection and is given by the result. */
  async each (fn: (p: Packet) => void): Promise<void> {
    for (let at = this.heard.length; !this.closed;) {
      for (; at < this.heard.length; at++) fn(this.heard[at]!)
      if (!this.closed) await new Promise<void>(resolve => { this.waiting.push(resolve) })
    }
  }

  private acknowledge (p: Packet): void {
    if (p.cmd === 'publish' && p.qos > 0) this.send({ cmd: p.qos === 1 ? 'puback' : 'pubrec', messageId: p.messageId! })
    if (p.cmd === 'pubrel') this.send({ cmd: 'pubcomp', messageId: p.messageId! })
  }

  private wake (): void { for (const w of this.waiting.splice(0)) w() }
  private story (): string { return JSON.stringify(this.heard.slice(-8).map(p => 'payload' in p ? { ...p, payload: String(p.payload).slice(0, 200) } : p)) }

  async subscribe (filter: string, qos: 0 | 1 | 2 = 1): Promise<number> {
    const messageId = this.id()
    this.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos, nl: false, rap: false, rh: 0 }] })
    const ack = await this.answer('suback', messageId) as ISubackPacket
    return Number(ack.granted[0])
  }

  async unsubscribe (filter: string): Promise<void> {
    const messageId = this.id()
    this.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [filter] })
    await this.answer('unsuback', messageId)
  }

  id (): number { return this.lastId = this.lastId % 65_535 + 1 }

  /** The next packet of that kind with that id, after those that were there. */
  async answer (cmd: Packet['cmd'], messageId: number): Promise<Packet> {
    const find = () => this.heard.find(p => p.cmd === cmd && p.messageId === messageId)
    await this.until(() => find() !== undefined, `${cmd} ${messageId}`)
    return find()!
  }

  /** Writes a PUBLISH; does not wait. Its packet id. */
  publish (topic: string, payload: object | string | Buffer, o: { qos?: 0 | 1 | 2, dup?: boolean, id?: number, retain?: boolean, properties?: IPublishPacket['properties'] } = {}): number {
    const qos = o.qos ?? 1
    const messageId = qos === 0 ? undefined : o.id ?? this.id()
    this.send({
      cmd: 'publish', topic, qos, dup: o.dup ?? false, retain: o.retain ?? false, messageId, properties: o.properties,
      payload: typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload)
    })
    return messageId ?? 0
  }

  /** Publishes at QoS 1 and waits for the PUBACK. */
  async say (topic: string, payload: object | string | Buffer, o: Parameters<Client['publish']>[2] = {}): Promise<Packet> {
    return await this.answer('puback', this.publish(topic, payload, o))
  }

  /** All that was delivered on a branch, in order. */
  on (branch: string): Delivered[] {
    return this.heard.flatMap(p => p.cmd === 'publish' && (p.topic === branch || p.topic.startsWith(`${branch}/`))
      ? [{ topic: p.topic, qos: p.qos, dup: p.dup, id: p.messageId ?? 0, json: read(p.payload), packet: p }]
      : [])
  }

  /** Waits until `n` were delivered on a branch, and gives them all. */
  async got (branch: string, n: number): Promise<Delivered[]> {
    await this.until(() => this.on(branch).length >= n, `${n} on ${branch}`)
    return this.on(branch)
  }

  /** Once the broker has answered a ping, all that it wrote before has arrived. */
  async settled (): Promise<void> {
    const before = this.heard.filter(p => p.cmd === 'pingresp').length
    this.send({ cmd: 'pingreq' })
    await this.until(() => this.heard.filter(p => p.cmd === 'pingresp').length > before, 'PINGRESP')
  }

  /** Asks an operation: its result, or what it was refused with. */
  async rpc (method: string, params: object = {}): Promise<{ result?: Record<string, unknown>, error?: { code: string, message: string } }> {
    const id = `${method}-${this.lastId + 1}`
    await this.say(`rpc/${method}`, { id, ...params })
    const find = () => this.on('me/rpc').find(d => d.json.id === id)
    await this.until(() => find() !== undefined, `the answer of ${method}`)
    return find()!.json
  }
}

const read = (payload: string | Buffer): Record<string, unknown> => {
  try { return JSON.parse(payload.toString()) as Record<string, unknown> } catch { return {} }
}

export function connectPacket (o: ClientOptions): IConnectPacket {
  const version = o.version ?? 4
  return {
    cmd: 'connect', protocolId: version === 3 ? 'MQIsdp' : 'MQTT', protocolVersion: version, clean: o.clean ?? false, clientId: o.device ?? 'phone',
    keepalive: o.keepalive ?? 0, username: o.user, password: Buffer.from(o.password ?? ''), will: o.will,
    properties: version === 5 ? { sessionExpiryInterval: o.clean === true ? 0 : 3600, ...o.properties } : undefined
  }
}
