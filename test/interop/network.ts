import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/** The way between a client and the broker: it can be torn, and mended. Bytes under way at that moment are lost. */
export class Network {
  readonly #open = new Set<Socket>()
  readonly #server = createServer(near => { this.#join(near) })
  #torn = false
  /** How many bytes may still go to the client, and who waits for the tear. */
  #fuse: { leftBytes: number, blown: () => void } | undefined

  private constructor (private readonly brokerPort: number) {}

  static async to (brokerPort: number): Promise<Network> {
    const network = new Network(brokerPort)
    network.#server.listen(0, '127.0.0.1')
    await once(network.#server, 'listening')
    return network
  }

  /** Where the client connects to; the same before and after. */
  get port (): number { return (this.#server.address() as AddressInfo).port }

  /** Every connection ends at once, without a word of MQTT; new ones go nowhere. */
  tear (): void {
    this.#torn = true
    for (const socket of this.#open) reset(socket)
  }

  /** Torn once so many more bytes went to the client, most likely in the middle of a packet; resolves then. */
  async tearAfter (leftBytes: number): Promise<void> {
    await new Promise<void>(resolve => { this.#fuse = { leftBytes, blown: resolve } })
  }

  mend (): void { this.#torn = false }

  async close (): Promise<void> {
    this.tear()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #join (near: Socket): void {
    if (this.#torn) { reset(near); return }
    const far = connect({ port: this.brokerPort, host: '127.0.0.1', noDelay: true })
    near.setNoDelay(true)
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      this.#open.add(socket)
      socket.on('error', () => {}) // what ends is seen at `close`
      socket.once('close', () => { this.#open.delete(socket); other.destroy() })
    }
    near.pipe(far)
    far.pipe(new Transform({ transform: (bytes: Buffer, _encoding, done) => { done(null, this.#pass(bytes)) } })).pipe(near)
  }

  #pass (bytes: Buffer): Buffer {
    const fuse = this.#fuse
    if (fuse === undefined) return bytes
    const passed = bytes.subarray(0, fuse.leftBytes)
    fuse.leftBytes -= passed.length
    if (fuse.leftBytes === 0) {
      this.#fuse = undefined
      setImmediate(() => { this.tear(); fuse.blown() }) // what passed is written first
    }
    return passed
  }
}

/** Without a farewell. A socket that is saying one already can't be reset: Node would never close its handle. */
function reset (socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
