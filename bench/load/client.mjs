// One MQTT connection of the load, on a raw socket.
import net from 'node:net'
import tls from 'node:tls'
import { CONNACK, DISCONNECT_PACKET, PUBACK, PUBLISH, SUBACK, connectPacket, eachPacket, publishPacket, subscribePacket } from './wire.mjs'

// What one event-loop turn writes to a socket leaves in one call. With a call per packet half of the generator's time
// went into write, and it limited the faster broker.
const unflushed = []
function flush () {
  for (const client of unflushed.splice(0)) {
    const packets = client.unsent
    client.unsent = null
    if (client.socket.writable) client.socket.write(packets.length === 1 ? packets[0] : Buffer.concat(packets))
  }
}

/** Connections that ended although the load had not ended them. */
export const lost = { connections: 0 }

export class Client {
  /** Messages that the broker has acknowledged. */
  acked = 0
  unsent = null
  #unparsed = null
  #lastId = 0
  #ending = false
  #subscribed = []

  /**
   * `onPublish(bytes, topicStart, payloadStart, payloadEnd)` gets every PUBLISH; QoS 1 is acknowledged at once.
   * `ready` resolves at CONNACK 0 and rejects with any other, or when the socket closes.
   */
  constructor ({ port, localAddress, secure = false, clientId, user, password, clean = true, keepAliveSeconds = 300, qos = 1, onPublish }) {
    this.onPublish = onPublish
    this.qos = qos
    const where = { port, localAddress, host: '127.0.0.1', noDelay: true }
    // The certificate is made for one run and signed by nobody.
    this.socket = secure ? tls.connect({ ...where, rejectUnauthorized: false }) : net.connect(where)
    this.socket.on('error', () => {})   // 'close' follows
    this.socket.on('data', (bytes) => { this.#read(bytes) })
    this.ready = new Promise((resolve, reject) => {
      this.onConnack = (code) => { if (code === 0) resolve(this); else reject(new Error(`refused with CONNACK ${code}`)) }
      this.socket.on('close', () => {
        if (!this.#ending) lost.connections++
        reject(new Error('the broker closed a connection'))
      })
    })
    this.ready.catch(() => {})   // whoever needs it awaits it
    this.socket.write(connectPacket({ clientId, user, password, clean, keepAliveSeconds }))
  }

  /** Resolves when every filter is granted. */
  async subscribe (filters, qos = this.qos) {
    const granted = new Promise((resolve) => { this.#subscribed.push(resolve) })
    this.socket.write(subscribePacket(1, filters, qos))
    if ((await granted).some((code) => code > 2)) throw new Error(`a subscription was refused: ${filters}`)
  }

  send (topic, payload) {
    this.#lastId = this.#lastId % 65000 + 1
    this.#write(publishPacket(topic, payload, this.qos === 0 ? 0 : this.#lastId))
  }

  /** Never reads again, but keeps the socket open: a phone that lost its network. */
  freeze () { this.socket.pause() }

  end () {
    this.#ending = true
    this.socket.end(DISCONNECT_PACKET)
  }

  #write (packet) {
    if (this.unsent !== null) { this.unsent.push(packet); return }
    this.unsent = [packet]
    if (unflushed.push(this) === 1) setImmediate(flush)
  }

  #read (received) {
    const bytes = this.#unparsed === null ? received : Buffer.concat([this.#unparsed, received])
    const acks = []
    const parsed = eachPacket(bytes, (type, start, body, end) => {
      if (type === PUBLISH) {
        const topic = body + 2
        let payload = topic + bytes.readUInt16BE(body)
        if (bytes[start] & 0x06) {
          acks.push(0x40, 2, bytes[payload], bytes[payload + 1])
          payload += 2
        }
        this.onPublish?.(bytes, topic, payload, end)
      } else if (type === PUBACK) {
        this.acked++
        this.onAck?.()
      } else if (type === CONNACK) this.onConnack(bytes[body + 1])
      else if (type === SUBACK) this.#subscribed.shift()?.([...bytes.subarray(body + 2, end)])
    })
    this.#unparsed = parsed < bytes.length ? bytes.subarray(parsed) : null
    if (acks.length > 0) this.#write(Buffer.from(acks))
  }
}
