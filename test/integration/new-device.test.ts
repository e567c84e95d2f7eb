import type { Client } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { fill, seqs } from '../support/inbox.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

afterEach(closeAll)

/** Connects and waits until what is due came, with one entry more behind it. */
async function due (p: Parley, alice: Client, device: string, more = {}): Promise<{ c: Client, seqs: number[] }> {
  const c = await p.client({ user: 'bob', device, subscribe: ['me/#'], ...more })
  const { seq } = (await alice.say('u/bob/msg', { cid: `c${Math.random()}`, body: 'last' }), (await alice.got('me/ack', 1)).at(-1)!.json) as { seq: number }
  await c.until(() => seqs(c).includes(seq))
  return { c, seqs: seqs(c) }
}

/** Resolves when what an ended connection of the device acknowledged is stored. */
const stored = async (p: Parley, device: string): Promise<void> => { await (await p.client({ user: 'bob', device, clean: true })).end() }

/** Bob's phone has the four messages that alice sent, acknowledged, and is away. */
async function phoneAtFour (): Promise<{ p: Parley, alice: Client }> {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/ack'] })
  await fill(alice, 'u/bob/msg', 4)
  const phone = await p.client({ user: 'bob', device: 'phone', subscribe: ['me/#'] })
  await phone.got('me/msg', 4)
  await phone.end()
  await stored(p, 'phone')
  return { p, alice }
}

test('a user\'s first device begins at the beginning, under the replay limits', async () => {
  const p = await startParley({ limits: { replay: 3 } })
  const alice = await p.client({ user: 'alice', subscribe: ['me/ack'] })
  await fill(alice, 'u/bob/msg', 5)
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  await bob.got('me/msg', 3)
  expect(bob.on('me/gap').map(d => d.json)).toEqual([{ conv: 'u/alice', from: 1, to: 2, head: 5 }])
})

test('the next one begins where the furthest device stands, without a gap', async () => {
  const { p, alice } = await phoneAtFour()
  await fill(alice, 'u/bob/msg', 2)
  const { c, seqs } = await due(p, alice, 'tablet')
  expect(seqs).toEqual([5, 6, 7])
  expect(c.on('me/gap')).toEqual([])
  expect((await c.rpc('history', { conv: 'u/alice', before: 5 })).result).toMatchObject({ from: 1, to: 4 })
})

test('or at the read mark, when that is further', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice', subscribe: ['me/ack'] })
  await fill(alice, 'u/bob/msg', 4)
  const web = await p.client({ user: 'bob', device: 'web', clean: true, subscribe: ['me/#'] })
  await web.say('u/alice/rcpt', { read: 3 })
  expect((await due(p, alice, 'tablet')).seqs).toEqual([4, 5])
})

test('a new device that never subscribed, or came by a clean start first, is still a new device', async () => {
  const { p } = await phoneAtFour()

  await (await p.client({ user: 'bob', device: 'mute' })).end()
  await p.restart()
  const alice2 = await p.client({ user: 'alice', subscribe: ['me/ack'] })
  const mute = await due(p, alice2, 'mute')
  expect(mute.seqs).toEqual([5])
  await mute.c.end()
  await stored(p, 'mute')

  const fresh = await p.client({ user: 'bob', device: 'fresh', version: 5, clean: true, properties: { sessionExpiryInterval: 100 }, subscribe: ['me/#'] })
  await fresh.end()
  expect((await due(p, alice2, 'fresh', { version: 5 })).seqs).toEqual([6])
})

test('over limits.devicesPerUser the longest unused device is forgotten, never one that is connected', async () => {
  const clock = new FakeClock()
  const p = await startParley({ limits: { devicesPerUser: 3 } }, clock)
  const present = async (device: string): Promise<boolean> => {
    const c = await p.client({ user: 'bob', device })
    await c.end()
    await (await p.client({ user: 'bob', device })).end() // is let in when what the first one leaves is stored
    clock.advance(1000)
    return c.connack.sessionPresent
  }
  const kept = await p.client({ user: 'bob', device: 'kept' })
  clock.advance(1000)
  for (const d of ['a', 'b']) expect(await present(d)).toBe(false)
  expect(await present('a')).toBe(true)
  expect(await present('c')).toBe(false) // b goes
  expect(await present('a')).toBe(true)
  expect(await present('b')).toBe(false)
  await kept.settled()
  await kept.end()
  expect(await present('kept')).toBe(true)
})

test('after retention.deviceDays an unused device is forgotten', async () => {
  const clock = new FakeClock()
  const p = await startParley({ retention: { deviceDays: 2 }, limits: { sessionExpirySeconds: 0 } }, clock)
  const alice = await p.client({ user: 'alice' })
  const connect = async (): Promise<Client> => await p.client({ user: 'bob', subscribe: ['me/#'] })
  const first = await connect()
  await first.say('u/alice/msg', { body: 1 })
  await first.end()
  clock.advance(47 * 3_600_000)
  const second = await connect()
  expect(second.connack.sessionPresent).toBe(true)
  await second.end()
  await fill(alice, 'u/bob/msg', 1)
  clock.advance(49 * 3_600_000)
  const third = await connect()
  expect(third.connack.sessionPresent).toBe(false)
  await third.got('me/msg', 1)
})
