import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Client } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { fill, range } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

const MESSAGES = 3000
const BODY = 'x'.repeat(8000)

setFlagsFromString('--expose_gc')
const gc = runInNewContext('gc') as () => void
/** What Buffers hold when nothing is garbage, MB. */
async function buffersMb (): Promise<number> {
  for (let i = 0; i < 3; i++) { // what a Buffer held is given back some turns after its object
    gc()
    await new Promise(resolve => setImmediate(resolve))
  }
  return process.memoryUsage().arrayBuffers / 2 ** 20
}

/** Seqs of the entries from now on; the packets themselves are not kept. */
function seqsOnly (c: Client): number[] {
  const seqs: number[] = []
  const keep = c.heard.push.bind(c.heard)
  c.heard.push = p => p.cmd === 'publish' && p.topic === 'me/msg' ? seqs.push(Number(/"seq":(\d+)/.exec(p.payload.toString())![1])) : keep(p)
  return seqs
}

test('receivers that read nothing, at QoS 1 and at QoS 0, cost the broker no memory and the others nothing; later they get all', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/rpc'] })
  await alice.rpc('group.create', { group: 'team', members: ['bob', 'carol', 'dave', 'erin'] })
  const members = await Promise.all(['bob', 'carol', 'dave', 'erin'].map(async user => await p.client({ user })))
  for (const [i, c] of members.entries()) await c.subscribe('me/msg', i === 0 ? 1 : i === 1 ? 0 : 1)
  for (const c of members) await c.got('me/msg', 1)
  const all = members.map(c => ({ c, seqs: seqsOnly(c) }))
  const frozen = all.slice(0, 2)
  const others = all.slice(2)
  for (const { c } of frozen) c.socket.pause()
  const before = await buffersMb()
  for (let sent = 0; sent < MESSAGES; sent += 500) {
    await alice.answer('puback', range(1, 500).map(() => alice.publish('g/team/msg', { body: BODY })).at(-1)!)
    for (const { c, seqs } of others) await c.until(() => seqs.length >= sent + 500)
    alice.heard.splice(0)
  }
  expect(await buffersMb() - before).toBeLessThan(32) // the two missed 48 MB; what is kept for all who lag is bounded
  for (const { seqs } of others) expect(seqs).toEqual(range(2, MESSAGES + 1))
  for (const { c } of frozen) c.socket.resume()
  for (const { c, seqs } of frozen) {
    await c.until(() => seqs.length >= MESSAGES)
    expect(seqs).toEqual(range(2, MESSAGES + 1))
  }
})

test('a sender that does not read its answers is not read any more, and costs no memory', async () => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob' })
  await bob.subscribe('me/rpc', 0)
  await fill(bob, 'u/alice/msg', 25, () => BODY)
  const before = await buffersMb()
  bob.socket.pause()
  for (const i of range(1, 500)) bob.publish('rpc/history', { id: `q${i}`, conv: 'u/alice', limit: 100 }, { qos: 0 })
  const other = await p.client({ user: 'alice', subscribe: ['me/rpc'] })
  for (let i = 0; i < 20; i++) await other.rpc('server.info')
  expect(await buffersMb() - before).toBeLessThan(32) // 500 answers are 100 MB
  bob.socket.resume()
  await bob.settled()
  expect(bob.on('me/rpc').length).toBeGreaterThan(10)
})

test('who reads again after a while is read again at once, not at the next round of the clock', async () => {
  const p = await startParley({ limits: { messageBytes: 1_000_000 } }, new FakeClock())
  const alice = await p.client({ user: 'alice' })
  const bob = await p.client({ user: 'bob', subscribe: ['me/msg'] })
  const seqs = seqsOnly(bob)
  bob.socket.pause()
  await fill(alice, 'u/bob/msg', 30, () => 'x'.repeat(600_000))
  bob.send({ cmd: 'pingreq' })
  await alice.settled() // by now the broker has seen it, and reads no more of bob
  await alice.settled()
  bob.socket.resume()
  await bob.until(() => seqs.length === 30)
})
