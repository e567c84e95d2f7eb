import { readdirSync, readFileSync } from 'node:fs'
import type { Client } from '../support/client.js'
import { Door, SECRET } from '../support/door.js'
import { FakeClock } from '../support/fake-clock.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { hs256 } from '../support/token.js'

afterEach(closeAll)

const START_MS = 1_750_000_000_000
const at = (seconds: number): number => START_MS / 1000 + seconds
const token = (user: string, claims: object = {}): string => hs256({ sub: user, exp: at(3600), iat: at(-10), ...claims }, SECRET)

async function start (auth: object = {}): Promise<{ p: Parley, clock: FakeClock }> {
  const clock = new FakeClock(START_MS)
  return { p: await startParley({ auth: { jwt: { secret: SECRET }, ...auth } }, clock), clock }
}
const enter = async (p: Parley, password: string, o: { user?: string, device?: string } = {}): Promise<Client> =>
  await p.client({ user: 'alice', device: 'phone', version: 5, password, subscribe: [], ...o })
const code = async (p: Parley, password: string, o: { user?: string, device?: string } = {}): Promise<number> => (await enter(p, password, o)).connack.reasonCode!
async function ticketOf (c: Client): Promise<string> {
  await c.subscribe('me/rpc')
  const { result, error } = await c.rpc('auth.ticket')
  if (error !== undefined) throw new Error(error.code)
  return result!.ticket as string
}

test('a ticket signs the device in, in place of its token, for as long as the token is good, across a restart', async () => {
  const { p, clock } = await start()
  const first = await enter(p, token('alice', { scope: 'admin' }))
  await first.subscribe('me/#')
  const { result } = await first.rpc('auth.ticket')
  expect(result).toEqual({ ticket: expect.stringMatching(/^[\x21-\x7e]{1,44}$/) as string, expires: at(3600) * 1000 })
  const ticket = result!.ticket as string
  await p.restart()
  const again = await enter(p, ticket)
  expect(again.connack).toMatchObject({ reasonCode: 0, sessionPresent: true })
  await again.say('u/alice/msg', { body: 'me' })
  expect(await code(p, ticket, { user: '' })).toBe(0)
  clock.advance(3_600_000)
  expect(await code(p, ticket)).toBe(0x86)
})

test('the connection of a ticket ends when the ticket does, and is told before', async () => {
  const { p, clock } = await start()
  const ticket = await ticketOf(await enter(p, token('alice', { exp: at(600) })))
  const c = await enter(p, ticket)
  await c.subscribe('me/evt')
  clock.advance(540_000)
  expect((await c.got('me/evt', 1))[0]!.json.type).toBe('token-expiring')
  clock.advance(60_000)
  await c.untilClosed()
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x87 })
})

test('auth.ticket.ttlSeconds says how long instead', async () => {
  const { p, clock } = await start({ ticket: { ttlSeconds: 86_400 } })
  const ticket = await ticketOf(await enter(p, token('alice')))
  clock.advance(86_399_000)
  expect(await code(p, ticket)).toBe(0)
  clock.advance(1000)
  expect(await code(p, ticket)).toBe(0x86)
})

test('it is never an admin’s, not good for another ticket, another device or another user', async () => {
  const { p } = await start()
  const admin = await enter(p, token('alice', { scope: 'admin' }))
  const ticket = await ticketOf(admin)
  const c = await enter(p, ticket)
  await c.subscribe('me/rpc')
  expect((await c.rpc('auth.ticket')).error?.code).toBe('forbidden')
  expect((await c.rpc('auth.refresh', { token: token('alice') })).result).toBeDefined()
  expect((await c.rpc('auth.ticket')).result).toBeDefined() // it holds a token again
  expect(await code(p, ticket, { device: 'tablet' })).toBe(0x87)
  expect(await code(p, ticket, { user: 'bob' })).toBe(0x87)
  expect(await code(p, `${ticket.slice(0, -1)}${ticket.endsWith('A') ? 'B' : 'A'}`)).toBe(0x86)
})

test('no log line and no file of the store holds a ticket', async () => {
  const { p } = await start()
  const c = await enter(p, token('alice'))
  const ticket = await ticketOf(c)
  await code(p, ticket, { device: 'tablet' })
  await code(p, ticket)
  expect(JSON.stringify(p.lines)).not.toContain(ticket)
  for (const name of readdirSync(p.dataDir)) expect(readFileSync(`${p.dataDir}/${name}`).includes(ticket)).toBe(false)
})

describe('devices', () => {
  test('device.list: all, the one that asks marked, those without a record too', async () => {
    const { p, clock } = await start()
    const old = await enter(p, token('alice'), { device: 'old' })
    await old.end()
    clock.advance(1000)
    const c = await enter(p, token('alice'))
    await c.subscribe('me/rpc')
    await p.client({ user: 'alice', device: 'passing', clean: true, password: token('alice') })
    await enter(p, token('bob'), { user: 'bob', device: 'foreign' })
    const { devices } = (await c.rpc('device.list')).result as { devices: object[] }
    expect(devices).toHaveLength(3)
    expect(devices).toEqual(expect.arrayContaining([
      { device: 'phone', connected: true, current: true, created: START_MS + 1000, seen: START_MS + 1000 },
      { device: 'old', connected: false, current: false, created: START_MS, seen: START_MS },
      { device: 'passing', connected: true, current: false }
    ]))
  })

  test('device.remove closes it, tells the user’s devices, and refuses what was made before: tokens and tickets, of that device alone', async () => {
    const { p, clock } = await start()
    const lost = await enter(p, token('alice'), { device: 'lost' })
    const ticket = await ticketOf(lost)
    await lost.subscribe('me/evt')
    const c = await enter(p, token('alice'))
    await c.subscribe('me/#')
    clock.advance(5000)
    expect(await c.rpc('device.remove', { device: 'lost' })).toMatchObject({ result: {} })
    await lost.untilClosed()
    expect(lost.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x87 })
    for (const heard of [lost, c]) expect((await heard.got('me/evt', 1).catch(() => heard.on('me/evt')))[0]!.json).toEqual({ type: 'device-removed', device: 'lost' })
    expect((await c.rpc('device.list')).result).toMatchObject({ devices: [{ device: 'phone' }] })

    const lostAgain = { device: 'lost' }
    expect(await code(p, ticket, lostAgain)).toBe(0x86)
    expect(await code(p, token('alice'), lostAgain)).toBe(0x86)
    expect(await code(p, token('alice', { iat: at(4.9) }), lostAgain)).toBe(0x86)
    expect(await code(p, hs256({ sub: 'alice', exp: at(3600) }, SECRET), lostAgain)).toBe(0x86) // without iat
    expect(await code(p, token('alice'))).toBe(0) // this device's token is as good as before
    expect(await code(p, token('bob'), { user: 'bob', device: 'lost' })).toBe(0)
    await p.restart()
    expect(await code(p, token('alice'), lostAgain)).toBe(0x86)
    const fresh = await enter(p, token('alice', { iat: at(5) }), lostAgain)
    expect(fresh.connack).toMatchObject({ reasonCode: 0, sessionPresent: false })
  })

  test('auth.refresh with an old token does not save a connection of a removed device either', async () => {
    const { p, clock } = await start()
    const c = await enter(p, token('alice'))
    await c.subscribe('me/#')
    clock.advance(5000)
    const other = await enter(p, token('alice'), { device: 'lost' })
    await other.end()
    await c.rpc('device.remove', { device: 'lost' })
    const fresh = await enter(p, token('alice', { iat: at(6) }), { device: 'lost' })
    await fresh.subscribe('me/#')
    expect((await fresh.rpc('auth.refresh', { token: token('alice', { exp: at(7200) }) })).error?.code).toBe('unauthenticated')
  })

  test('a device that removes itself (a logout) hears the answer, then its connection ends; again is fine', async () => {
    const { p } = await start()
    const c = await enter(p, token('alice'))
    await c.subscribe('me/#')
    expect((await c.rpc('device.remove', { device: 'phone' })).result).toEqual({})
    await c.untilClosed()
    expect(await code(p, token('alice'))).toBe(0x86)
    const other = await enter(p, token('alice'), { device: 'other' })
    await other.subscribe('me/#')
    expect((await other.rpc('device.remove', { device: 'phone' })).result).toEqual({})
    expect((await other.rpc('device.remove', { device: 'unknown' })).error?.code).toBe('not-found')
    expect((await other.rpc('device.remove', { device: 'a\u0000b' })).error?.code).toBe('bad-request')
    expect((await other.rpc('device.remove', {})).error?.code).toBe('bad-request')
  })

  test('a connect whose credential was found good before the removal is not let in after it', async () => {
    const door = new Door()
    try {
      const clock = new FakeClock(START_MS)
      const p = await startParley(door.settings, clock)
      const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
      const lost = await p.client({ user: 'alice', device: 'lost' })
      await lost.settled()
      let letIn: () => void = () => {}
      door.answer = async () => {
        await new Promise<void>(resolve => { letIn = resolve })
        return { kind: 'accepted', identity: { user: 'alice', admin: false, expiresMs: 0, issuedMs: START_MS - 1 } }
      }
      const late = p.client({ user: 'alice', device: 'lost', version: 5 })
      await alice.settled()
      clock.advance(1)
      const removing = alice.rpc('device.remove', { device: 'lost' })
      await lost.untilClosed()
      letIn()
      expect((await late).connack.reasonCode).toBe(0x86)
      expect((await removing).result).toEqual({})
      // whoever signs in without a token may come again
      door.answer = c => door.accept(c)
      expect((await p.client({ user: 'alice', device: 'lost', version: 5 })).connack.reasonCode).toBe(0)
    } finally { door.remove() }
  })
})
