import { Client } from '../support/client.js'
import { Home } from '../support/process.js'

const ROUNDS = 12
const WINDOW = 20
/** A round is killed after a random number of acknowledgements up to this. */
const MOST_ACKS = 1500

let home: Home
beforeEach(() => { home = new Home({ acl: [{ allow: ['publish', 'subscribe'], topic: '#' }], limits: { queuedMessages: 0, retainedMessages: 0 } }) })
afterEach(async () => { await home.close() })

test(`${ROUNDS} kills under load: what was acknowledged is in the queue of who was away and of who was there, and retained; QoS 2 comes once`, async () => {
  const away = { user: 'away', device: 'd' }
  const there = { user: 'there', device: 'd' }
  /** By the number in the payload: what a publisher was told that it is taken. */
  const acked = { q: new Set<number>(), twice: new Set<number>() }
  const seen = new Set<number>()
  let retained = 0
  let n = 0
  let life = await home.start()
  await (await Client.connect(life.mqttPort, { ...away, subscribe: ['q'] })).end()
  const begin = await Client.connect(life.mqttPort, away)
  expect(await begin.subscribe('twice', 2)).toBe(2)
  await begin.end()

  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) life = await home.start()
    const listener = await Client.connect(life.mqttPort, { ...there, subscribe: ['q'] })
    const listening = listener.each(p => { if (p.cmd === 'publish' && p.topic === 'q') seen.add(Number(p.payload)) })
    for (const d of listener.on('q')) seen.add(Number(d.packet.payload))
    const pub = await Client.connect(life.mqttPort, { user: 'pub', device: `pub${round}` }) // packet ids begin anew
    const waiting = new Map<number, { number: number, kind: 'q' | 'twice' | 'r' }>()
    let left = 1 + Math.floor(Math.random() * MOST_ACKS)
    let enough = (): void => {}
    const heardEnough = new Promise<void>(resolve => { enough = resolve })
    const fill = (): void => {
      while (waiting.size < WINDOW) {
        const number = ++n
        const kind = number % 7 === 0 ? 'twice' : number % 11 === 0 ? 'r' : 'q'
        waiting.set(pub.publish(kind, `${number}`, { qos: kind === 'twice' ? 2 : 1, retain: kind === 'r' }), { number, kind })
      }
    }
    fill()
    const running = pub.each(p => {
      if (p.cmd === 'pubrec') { // from here on it is taken
        acked.twice.add(waiting.get(p.messageId!)!.number)
        pub.send({ cmd: 'pubrel', messageId: p.messageId! })
        return
      }
      const of = waiting.get(p.messageId!)
      if (of === undefined || (p.cmd !== 'puback' && p.cmd !== 'pubcomp')) return
      waiting.delete(p.messageId!)
      if (of.kind === 'q') acked.q.add(of.number)
      if (of.kind === 'r') retained = of.number
      if (--left === 0) enough()
      fill()
    })
    await Promise.race([heardEnough, running])
    expect(left).toBeLessThanOrEqual(0) // else the broker died by itself
    await life.kill9()
    await Promise.all([running, listening])
  }

  life = await home.start()
  const reader = await Client.connect(life.mqttPort, { ...away })
  const exactly = new Map<number, number>()
  const queue = new Set<number>()
  const take = (p: { cmd: string, topic?: string, messageId?: number, payload?: unknown, qos?: number }): void => {
    if (p.cmd !== 'publish') return
    if (p.topic === 'q') queue.add(Number(p.payload))
    if (p.topic !== 'twice') return
    exactly.set(Number(p.payload), (exactly.get(Number(p.payload)) ?? 0) + 1)
    reader.send({ cmd: 'pubrec', messageId: p.messageId! })
  }
  for (const p of reader.heard) take(p as never)
  const reading = reader.each(p => {
    take(p as never)
    if (p.cmd === 'pubrel') reader.send({ cmd: 'pubcomp', messageId: p.messageId! })
  })
  const last = await Client.connect(life.mqttPort, { user: 'last', clean: true })
  await last.say('q', '0')
  await reader.until(() => queue.has(0) && [...acked.twice].every(i => exactly.has(i)))
  expect([...acked.q].filter(i => !queue.has(i))).toEqual([])
  expect([...exactly.values()].filter(times => times > 1)).toEqual([])
  const other = await Client.connect(life.mqttPort, there)
  await other.until(() => { for (const d of other.on('q')) seen.add(Number(d.packet.payload)); return seen.has(0) })
  expect([...acked.q].filter(i => !seen.has(i))).toEqual([])
  await last.subscribe('r')
  expect(Number((await last.got('r', 1))[0]!.packet.payload)).toBeGreaterThanOrEqual(retained)
  for (const c of [reader, last, other]) c.destroy()
  await reading
  await life.stop()
}, 120_000)
