import type { Duplex } from 'node:stream'
import type { Client } from './client.js'
import type { Parley } from './parley.js'

/** Two people who go on chatting whatever others do to the broker. */
export class Bystanders {
  private said = 0
  private constructor (private readonly p: Parley, private readonly carol: Client, private readonly dave: Client) {}

  static async join (p: Parley): Promise<Bystanders> {
    return new Bystanders(p, await p.client({ user: 'carol' }), await p.client({ user: 'dave', subscribe: ['me/#'] }))
  }

  /** Once this resolves the broker has read what others wrote before: they are served in turn. */
  async turn (): Promise<void> { await this.carol.settled() }

  /** How much stands in a sender of which the broker takes no more for now. */
  async stalled (sender: Duplex): Promise<number> {
    for (let before = -1; sender.writableLength !== before;) {
      before = sender.writableLength
      for (let i = 0; i < 50; i++) await this.turn()
    }
    return sender.writableLength
  }

  /** They still exchange a message over the connections they had, and the broker logged no error. */
  async unharmed (): Promise<void> {
    const n = ++this.said
    await this.carol.say('u/dave/msg', { body: n })
    await this.dave.until(() => this.dave.on('me/msg').some(d => d.json.body === n), `message ${n} of a bystander`)
    expect(this.p.lines.filter(l => l.level === 'error')).toEqual([])
  }
}
