import { randomUUID } from 'node:crypto'
import { Client } from '../support/client.js'
import { Home } from '../support/process.js'

const ROUNDS = 25
const SENDERS = 8
const WINDOW = 20
/** A round is killed after a random number of acknowledgements up to this. */
const MOST_ACKS = 3000

let home: Home
beforeEach(() => { home = new Home() })
afterEach(async () => { await home.close() })

/** Sends to one direct conversation and to a group, with a window; what was in flight when the broker died it sends again, as a library does. */
class Sender {
  readonly acked = new Map<string, { conv: string, seq: number }>()
  #unacked = new Map<string, string>()
  constructor (readonly user: string, readonly peer: string) {}

  async connect (port: number): Promise<Client> {
    return await Client.connect(port, { user: this.user, device: 'pub', clean: true, subscribe: ['me/ack'] })
  }

  /** Until the connection ends. */
  async run (c: Client, onAck: () => void): Promise<void> {
    const conv = (i: number): string => i % 4 === 0 ? 'g/all' : `u/${this.peer}`
    let n = 0
    const fill = (): void => {
      while (this.#unacked.size < WINDOW) {
        const cid = randomUUID()
        const to = conv(n++)
        this.#unacked.set(cid, to)
        c.publish(`${to}/msg`, { cid, body: 'x'.repeat(100) })
      }
    }
    for (const [cid, to] of this.#unacked) c.publish(`${to}/msg`, { cid, body: 'x'.repeat(100) }, { dup: true })
    fill()
    await c.each(p => {
      if (p.cmd !== 'publish') return
      const { cid, seq } = JSON.parse(p.payload.toString()) as { cid: string, seq: number }
      const to = this.#unacked.get(cid)
      if (to === undefined) throw new Error(`${cid} was acknowledged twice, or never sent`)
      if (!Number.isInteger(seq)) throw new Error(p.payload.toString())
      this.#unacked.delete(cid)
      this.acked.set(cid, { conv: to, seq })
      onAck()
      fill()
    })
  }
}

/** The whole log of a conversation, as `user` sees it. */
async function log (c: Client, conv: string): Promise<{ seq: number, cid?: string, from: string }[]> {
  const all: { seq: number, cid?: string, from: string }[] = []
  for (let after = 0, more = true; more;) {
    const { result } = await c.rpc('history', { conv, after, limit: 200 })
    const page = result as { entries: typeof all, to: number, more: boolean }
    all.push(...page.entries)
    ;({ to: after, more } = page)
  }
  return all
}

test(`${ROUNDS} kills under load: nothing acknowledged is lost, no gap, nothing twice`, async () => {
  const senders = Array.from({ length: SENDERS }, (_, i) => new Sender(`s${i}`, `s${(i + 1) % SENDERS}`))
  let life = await home.start()
  const owner = await Client.connect(life.mqttPort, { user: 's0', clean: true, subscribe: ['me/#'] })
  expect((await owner.rpc('group.create', { group: 'all', members: senders.slice(1).map(s => s.user) })).error).toBeUndefined()

  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) life = await home.start()
    let left = 1 + Math.floor(Math.random() * MOST_ACKS)
    const clients = await Promise.all(senders.map(async s => await s.connect(life.mqttPort)))
    let enough = (): void => {}
    const heardEnough = new Promise<void>(resolve => { enough = resolve })
    const runs = Promise.all(senders.map(async (s, i) => { await s.run(clients[i]!, () => { if (--left === 0) enough() }) }))
    await Promise.race([heardEnough, runs])
    expect(left).toBeLessThanOrEqual(0) // else the broker died by itself
    await life.kill9()
    await runs
  }

  life = await home.start()
  for (const { user, peer, acked } of senders) {
    expect(acked.size).toBeGreaterThan(0)
    const c = await Client.connect(life.mqttPort, { user, device: 'reader', clean: true, subscribe: ['me/rpc'] })
    const stored = new Map<string, { conv: string, seq: number }>()
    for (const conv of [`u/${peer}`, 'g/all']) {
      const entries = await log(c, conv)
      expect(entries.map(e => e.seq)).toEqual(entries.map((_, i) => i + 1))
      for (const { cid, seq } of entries.filter(e => e.cid !== undefined)) { // of the own ones alone
        expect(stored.has(cid!)).toBe(false)
        stored.set(cid!, { conv, seq })
      }
    }
    c.destroy()
    for (const [cid, where] of acked) expect(stored.get(cid)).toEqual(where)
  }
}, 120_000)
