import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Client } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { range } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)
const ALL = { acl: [{ allow: ['publish', 'subscribe'], topic: '#' }] }
const MESSAGES = 4000
const BODY = 'x'.repeat(8000)

setFlagsFromString('--expose_gc')
const gc = runInNewContext('gc') as () => void
async function buffersMb (): Promise<number> {
  for (let i = 0; i < 3; i++) {
    gc()
    await new Promise(resolve => setImmediate(resolve))
  }
  return process.memoryUsage().arrayBuffers / 2 ** 20
}

/** Numbers in front of the payloads; the packets themselves are not kept. */
function numbersOnly (c: Client): number[] {
  const got: number[] = []
  const keep = c.heard.push.bind(c.heard)
  c.heard.push = p => p.cmd === 'publish' ? got.push(Number.parseInt(p.payload.toString('latin1', 0, 6))) : keep(p)
  return got
}

test('subscribers that read nothing, at QoS 0, 1 and persistent, cost a bounded memory and the others nothing', async () => {
  const p = await startParley({ ...ALL, limits: { queuedMessages: 1000 } })
  const pub = await p.client({ user: 'pub', clean: true })
  const frozen = await Promise.all([0, 1, 2].map(async i => {
    const c = await p.client({ user: 'frozen', device: `f${i}`, clean: i < 2, acks: i === 2 })
    await c.subscribe('t', i === 0 ? 0 : 1)
    return c
  }))
  const others = await Promise.all([0, 1].map(async qos => {
    const c = await p.client({ user: 'other', device: `o${qos}`, clean: true })
    await c.subscribe('t', qos as 0 | 1)
    return { c, got: numbersOnly(c) }
  }))
  const held = frozen.map(numbersOnly)
  for (const c of frozen) c.socket.pause()
  const before = await buffersMb()
  for (let sent = 0; sent < MESSAGES; sent += 100) {
    await pub.answer('puback', range(sent + 1, sent + 100).map(i => pub.publish('t', `${i} `.padEnd(7, ' ') + BODY)).at(-1)!)
    for (const { c, got } of others) await c.until(() => got.length >= sent + 100)
    pub.heard.splice(0)
  }
  // of 32 MB that each missed: what may be unsent (1 MiB and a packet), and in memory 4 MiB of who has no stored queue
  expect(await buffersMb() - before).toBeLessThan(16)
  for (const { got } of others) expect(got).toEqual(range(1, MESSAGES))
  for (const c of frozen) c.socket.resume()
  for (const [i, c] of frozen.entries()) await c.settled().then(async () => { if (i === 2) await c.until(() => held[2]!.length >= 1000) })
  expect(held[2]).toEqual(range(1, 1000)) // its queue held so many, the newer ones were dropped
  const dropped = /dropped_total\{reason="slow"\} (\d+)/.exec(await (await p.http('/metrics')).text())!
  expect(held[0]!.length + Number(dropped[1])).toBe(MESSAGES)
  for (const got of held) expect(got).toEqual([...got].sort((a, b) => a - b))
  await pub.say('t', '0000 last')
  for (const [i, c] of frozen.entries()) if (i !== 1) await c.until(() => held[i]!.at(-1) === 0)
})

test('a frozen subscriber of an ordinary topic does not hold up its own inbox, nor the inbox its topics', async () => {
  const p = await startParley(ALL)
  const c = await p.client({ user: 'me', device: 'd', acks: false, subscribe: ['me/#', 't'] })
  const pub = await p.client({ user: 'pub', clean: true })
  for (const i of range(1, 300)) { pub.publish('t', `${i}`); pub.publish('u/me/msg', `${i}`) }
  await pub.settled()
  await c.got('t', 256)
  await c.got('me/msg', 24) // its window less a quarter
  c.send({ cmd: 'puback', messageId: c.on('t')[0]!.id })
  await c.got('t', 257)
  c.send({ cmd: 'puback', messageId: c.on('me/msg')[0]!.id })
  await c.got('me/msg', 25)
})

test('a client that answers nothing is closed by its keepalive, and its queue waits', async () => {
  const clock = new FakeClock()
  const p = await startParley(ALL, clock)
  const me = { user: 'me', device: 'd' }
  const c = await p.client({ ...me, keepalive: 10, acks: false, subscribe: ['t'] })
  const pub = await p.client({ user: 'pub', clean: true })
  for (const i of range(1, 10)) await pub.say('t', `${i}`)
  clock.advance(15_600)
  await c.untilClosed()
  const back = await p.client(me)
  await back.got('t', 10)
  expect(back.on('t').map(d => [String(d.packet.payload), d.dup])).toEqual(range(1, 10).map(i => [`${i}`, true]))
})
