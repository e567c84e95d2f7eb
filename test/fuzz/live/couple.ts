import { randomUUID } from 'node:crypto'
import { Client } from '../../support/client.js'

/** Longest that a message may be on its way, however loaded the machine. */
const LATE_MS = 15_000

/** Two people who chat all the time, each message after the one before has arrived: nothing may be missing, twice or out of order. */
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
    const stored = this.carol.say('u/dave/msg', { cid: randomUUID(), body: n })
    const late = setTimeout(() => { this.fault ??= `message ${n} of the bystanders did not arrive within ${LATE_MS / 1000} s`; this.leave() }, LATE_MS)
    try {
      await Promise.all([stored, this.dave.until(() => this.dave.on('me/msg').length > 0, `message ${n} of a bystander`)])
      await this.dave.settled()
    } finally { clearTimeout(late) }
    const got = this.dave.on('me/msg').map(d => d.json.body)
    if (got.length !== 1 || got[0] !== n) throw new Error(`message ${n} was due to a bystander, and came: ${got.join(', ')}`)
    for (const c of [this.carol, this.dave]) c.heard.length = 0
    this.arrived = n
    this.slowestMs = Math.max(this.slowestMs, performance.now() - said)
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
