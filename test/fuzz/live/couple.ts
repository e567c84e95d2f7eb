import { randomUUID } from 'node:crypto'
import { Client } from '../../support/client.js'

/** Longest that a message may be on its way, however loaded the machine. */
const LATE_MS = 15_000

/** Their ordinary topic; the attack knows no such one. */
const TOPIC = 'couple/talk'

/**
 * Two people who talk all the time, in chat and, at QoS 2, on an ordinary topic; each message after the one before has
 * arrived: nothing may be missing, twice or out of order.
 */
export class Couple {
  /** Messages that arrived, and the longest that one took. */
  arrived = 0
  slowestMs = 0
  /** What went wrong; null while nothing did. */
  fault: string | null = null
  private over = false
  private talk: Promise<void> = Promise.resolve()

  private constructor (private readonly carol: Client, private readonly dave: Client) {}

  static async join (port: number): Promise<Couple> {
    const couple = new Couple(await Client.connect(port, { user: 'carol' }), await Client.connect(port, { user: 'dave', version: 5, subscribe: ['me/#'] }))
    await couple.dave.subscribe(TOPIC, 2)
    couple.talk = couple.chat()
    return couple
  }

  /** Never rejects: what goes wrong stands in `fault`. */
  private async chat (): Promise<void> {
    try {
      while (!this.over) await this.exchange()
    } catch (e) { this.fault ??= (e as Error).message }
  }

  private async exchange (): Promise<void> {
    const said = performance.now()
    const n = this.arrived + 1
    const late = setTimeout(() => { this.fault ??= `message ${n} of the bystanders did not arrive within ${LATE_MS / 1000} s`; this.leave() }, LATE_MS)
    try {
      const released = this.handedOver(n)
      await Promise.all([
        this.carol.say('u/dave/msg', { cid: randomUUID(), body: n }), released,
        this.dave.until(() => this.dave.on('me/msg').length > 0 && this.dave.on(TOPIC).length > 0, `message ${n} of a bystander`)
      ])
      await this.dave.settled()
    } finally { clearTimeout(late) }
    const got = this.dave.on('me/msg').map(d => d.json.body).concat(this.dave.on(TOPIC).map(d => d.json.body))
    if (got.length !== 2 || got.some(body => body !== n)) throw new Error(`message ${n} was due to a bystander on both ways, and came: ${got.join(', ')}`)
    for (const c of [this.carol, this.dave]) c.heard.length = 0
    this.arrived = n
    this.slowestMs = Math.max(this.slowestMs, performance.now() - said)
  }

  /** The handshake of QoS 2, on both sides. */
  private async handedOver (n: number): Promise<void> {
    const id = this.carol.publish(TOPIC, { body: n }, { qos: 2 })
    await this.carol.answer('pubrec', id)
    this.carol.send({ cmd: 'pubrel', messageId: id })
    await this.carol.answer('pubcomp', id)
    await this.dave.until(() => this.dave.on(TOPIC).length > 0, `message ${n} on ${TOPIC}`)
    const { id: delivered } = this.dave.on(TOPIC)[0]!
    this.dave.send({ cmd: 'pubrec', messageId: delivered })
    await this.dave.answer('pubrel', delivered)
    this.dave.send({ cmd: 'pubcomp', messageId: delivered })
  }

  private leave (): void {
    this.over = true
    for (const c of [this.carol, this.dave]) c.destroy()
  }

  /** They finish their sentence and go. */
  async stop (): Promise<void> {
    this.over = true
    await this.talk
    this.leave()
  }
}
