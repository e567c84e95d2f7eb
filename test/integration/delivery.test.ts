import fc from 'fast-check'
import type { Client } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { ack, range } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

/** What happens to Bob's phone. Nothing waits for what others sent: it arrives whenever it does. */
type Step =
  | { do: 'others send', by: number, n: number }
  | { do: 'it sends', to: number }
  | { do: 'it acknowledges', share: number, backwards: boolean }
  | { do: 'it waits' } | { do: 'time passes' }
  | { do: 'it closes', how: 'disconnect' | 'destroy' }
  | { do: 'it connects', receiveMaximum: number }
  | { do: 'it subscribes again' }

const SENDERS = 3
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('others send' as const), by: fc.nat(SENDERS - 1), n: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('it sends' as const), to: fc.nat(SENDERS - 1) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('it acknowledges' as const), share: fc.double({ min: 0, max: 1, noNaN: true }), backwards: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ do: 'it waits' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'time passes' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('it closes' as const), how: fc.constantFrom('disconnect' as const, 'destroy' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('it connects' as const), receiveMaximum: fc.constantFrom(1, 2, 3, 7, 100) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'it subscribes again' as const }) }
)

/** Entries by `conv seq`: those sent to the phone, and those settled (acknowledged, or its own). */
interface Story { given: Set<string>, settled: Set<string> }

/** One connection, held to what every connection is promised. */
class Phone {
  readonly unacknowledged = new Map<number, string[]>()
  private looked = 0
  private readonly last = new Map<string, number>()
  private readonly here = new Set<string>()
  constructor (readonly c: Client, private readonly receiveMaximum: number, private readonly story: Story) {}

  look (): void {
    for (; this.looked < this.c.heard.length; this.looked++) {
      const p = this.c.heard[this.looked]!
      if (p.cmd !== 'publish' || (p.topic !== 'me/msg' && p.topic !== 'me/gap')) continue
      const json = JSON.parse(p.payload.toString()) as { conv: string, seq?: number, from?: number, to?: number }
      const [from, to] = [json.seq ?? json.from!, json.seq ?? json.to!]
      const names = range(from, to).map(s => `${json.conv} ${s}`)
      const last = this.last.get(json.conv) ?? 0
      if (from <= last) throw new Error(`${names[0]} after ${last}`)
      for (const s of range(last + 1, from - 1)) if (!this.story.settled.has(`${json.conv} ${s}`)) throw new Error(`${names[0]} before ${s}`)
      if (p.topic === 'me/gap' && from !== to) throw new Error(`a gap from ${from} to ${to}: nothing was left out`)
      for (const name of names) {
        if (this.here.has(name)) throw new Error(`${name} twice on one connection`)
        if (!p.dup && this.story.given.has(name)) throw new Error(`${name} with DUP 0 although it was sent before`)
        this.here.add(name)
        this.story.given.add(name)
      }
      this.last.set(json.conv, to)
      if (this.unacknowledged.has(p.messageId!)) throw new Error(`packet id ${p.messageId} is in use`)
      this.unacknowledged.set(p.messageId!, names)
      const most = Math.max(1, this.receiveMaximum - Math.max(1, this.receiveMaximum >> 2))
      if (this.unacknowledged.size > most) throw new Error(`${this.unacknowledged.size} in flight, ${most} may be`)
    }
  }

  acknowledge (ids: Iterable<number>): void {
    for (const id of ids) {
      for (const name of this.unacknowledged.get(id)!) this.story.settled.add(name)
      this.unacknowledged.delete(id)
      ack(this.c, id)
    }
  }
}

test('whatever a phone acknowledges, closes, takes over or unsubscribes while messages arrive: all, in order, without a gap or a double', async () => {
  const clock = new FakeClock()
  const p = await startParley({ limits: { replay: 100_000, replayTotal: 0, inFlight: 100 } }, clock)
  let run = 0
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async steps => {
    const bob = `bob${++run}`
    const senders = await Promise.all(range(1, SENDERS).map(async i => await p.client({ user: `s${i}-${run}` })))
    const heads: number[] = senders.map(() => 0)
    const story: Story = { given: new Set(), settled: new Set() }
    const under: Promise<unknown>[] = []
    let phone: Phone | null = null
    const connect = async (receiveMaximum: number): Promise<Phone> => {
      clock.advance(61_000) // so that no CONNACK waits for the pace of takeovers
      const c = await p.client({ user: bob, version: 5, acks: false, properties: { receiveMaximum, sessionExpiryInterval: 100_000 } })
      if (!c.connack.sessionPresent) await c.subscribe('me/#')
      return new Phone(c, receiveMaximum, story)
    }
    const one = async (s: Exclude<Step, { do: 'time passes' | 'others send' | 'it connects' }>, at: Phone): Promise<void> => {
      switch (s.do) {
        case 'it sends': {
          heads[s.to]!++
          const n = at.c.on('me/ack').length
          at.c.publish(`u/s${s.to + 1}-${run}/msg`, { body: 'mine' })
          story.settled.add(`u/s${s.to + 1}-${run} ${(await at.c.got('me/ack', n + 1))[n]!.json.seq as number}`)
          break
        }
        case 'it acknowledges': {
          at.look()
          const ids = [...at.unacknowledged.keys()]
          if (s.backwards) ids.reverse()
          at.acknowledge(ids.slice(0, Math.ceil(ids.length * s.share)))
          break
        }
        case 'it waits': await at.c.settled(); at.look(); break
        case 'it subscribes again':
          await at.c.unsubscribe('me/#')
          await at.c.subscribe('me/#')
          break
        case 'it closes':
          await at.c.settled() // what it acknowledged has come
          if (s.how === 'disconnect') await at.c.end()
          else { at.c.destroy(); await at.c.untilClosed() }
          at.look()
      }
    }
    for (const s of steps) {
      if (s.do === 'time passes') clock.advance(1000)
      else if (s.do === 'others send') {
        heads[s.by]! += s.n
        for (const i of range(1, s.n)) under.push(senders[s.by]!.answer('puback', senders[s.by]!.publish(`u/${bob}/msg`, { body: i })))
      } else if (s.do === 'it connects') {
        await phone?.c.settled()
        const next = await connect(s.receiveMaximum)
        await phone?.c.untilClosed()
        phone?.look()
        phone = next
      } else if (phone !== null) {
        await one(s, phone)
        if (s.do === 'it closes') phone = null
      }
    }
    await Promise.all(under)
    const last: Phone = phone ?? await connect(100)
    const due = heads.flatMap((head, i) => range(1, head).map(s => `u/s${i + 1}-${run} ${s}`))
    while (!due.every(name => story.settled.has(name))) {
      await last.c.until(() => { last.look(); return last.unacknowledged.size > 0 }, `one of ${due.filter(name => !story.settled.has(name)).join()}`)
      last.acknowledge([...last.unacknowledged.keys()])
    }
    await last.c.settled()
    last.look()
    expect(last.unacknowledged.size).toBe(0)
    await last.c.end()
    const after = await connect(100)
    await after.c.rpc('inbox')
    expect(after.c.on('me/msg')).toEqual([])
    for (const c of [...senders, after.c]) c.destroy()
  }), { numRuns: 40 })
})
