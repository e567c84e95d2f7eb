import { Failures } from '../../broker/core/failures.js'
import { SignIn } from '../../broker/core/sign-in.js'
import { Tickets } from '../../broker/core/tickets.js'
import type { Credentials, Identity, Verdict } from '../../broker/domain/identity.js'
import type { DeviceId, UserId } from '../../broker/domain/ids.js'
import type { Ticket, TicketStore } from '../../broker/ports/tickets.js'
import { FakeClock } from '../support/fake-clock.js'

const settle = async (): Promise<void> => { await new Promise(resolve => setImmediate(resolve)) }
const REFUSED: Verdict = { kind: 'refused', reason: 'credential', why: 'a wrong password' }

/** A sign-in whose provider knows one password, and a store in memory. */
function setUp (ttlMs = 0) {
  const clock = new FakeClock()
  const kept = new Map<string, Ticket>()
  const revoked = new Map<string, number>()
  const store: TicketStore = {
    find: async hash => kept.get(hash),
    put: async (hash, ticket) => { kept.set(hash, ticket) },
    revoke: async (user, device, atMs) => { revoked.set(`${user}/${device}`, atMs) },
    revokedMs: async (user, device) => revoked.get(`${user}/${device}`) ?? 0
  }
  const tickets = new Tickets({ store, clock, ttlMs })
  let checked = 0
  let identity: Partial<Identity> = {}
  const providers = {
    authenticate: async (c: Credentials): Promise<Verdict> => {
      checked++
      return c.password?.toString() === 'right' ? { kind: 'accepted', identity: { user: (c.user ?? 'anna') as UserId, admin: false, expiresMs: 0, ...identity } } : REFUSED
    }
  }
  const signIn = new SignIn({ providers, tickets, store, clock })
  const check = (password: string, more: Partial<Credentials> = {}): Promise<Verdict> =>
    signIn.check({ user: 'anna', password: Buffer.from(password), device: 'phone' as DeviceId, address: '192.0.2.1', listener: 'mqtts:8883', ...more })
  /** ms until the answer comes; at most an hour. */
  async function waits (answer: Promise<Verdict>): Promise<number> {
    let done = false
    void answer.then(() => { done = true })
    for (let ms = 0; ms < 3_600_000; ms += 50) {
      await settle()
      if (done) return ms
      clock.advance(50)
    }
    throw new Error('no answer within an hour')
  }
  return { clock, kept, store, tickets, signIn, check, waits, checks: () => checked, as: (i: Partial<Identity>) => { identity = i } }
}

describe('guessing', () => {
  test('the first slips cost nothing; then each answer takes longer, up to ten seconds', async () => {
    const { check, waits } = setUp()
    const all: number[] = []
    for (let i = 0; i < 14; i++) all.push(await waits(check('wrong')))
    expect(all.slice(0, 5)).toEqual([0, 0, 0, 0, 0])
    expect(all.slice(5, 9)).toEqual([250, 500, 1000, 1850])
    expect(Math.max(...all)).toBeLessThanOrEqual(10_000)
    expect(all.at(-1)).toBeGreaterThan(8000)
  })

  test('the right password from elsewhere is let in at once while an attacker hammers; from the same address, too, when there is room', async () => {
    const { check, waits } = setUp()
    const hammered = Array.from({ length: 500 }, () => check('wrong'))
    expect(await waits(check('right', { address: '198.51.100.7' }))).toBe(0)
    expect(await waits(check('right', { user: 'bob' }))).toBe(0)
    expect(await waits(Promise.all(hammered).then(() => REFUSED))).toBeLessThanOrEqual(10_000)
  })

  test('while refusals are held back, more of the same are closed unchecked: the rate is bounded', async () => {
    const { check, checks, clock, waits } = setUp()
    for (let i = 0; i < 8; i++) await waits(check('wrong'))
    const before = checks()
    let down = 0
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 500; i++) void check('wrong').then(v => { if (v.kind === 'down') down++ })
      await settle()
      clock.advance(1000)
    }
    expect(checks() - before).toBeLessThan(150)
    expect(down).toBeGreaterThan(29_000)
  })

  test('an address where many guesses come from opens few connections a second; others, and itself later, as many as they like', async () => {
    const { check, signIn, clock } = setUp()
    const opens = (address: string): number => Array.from({ length: 500 }, () => signIn.admits(address)).filter(Boolean).length
    expect(opens('192.0.2.1')).toBe(500)
    for (let s = 0; s < 10; s++) {
      for (let i = 0; i < 50; i++) void check('wrong')
      await settle()
      clock.advance(1000)
    }
    expect([opens('192.0.2.1'), opens('198.51.100.7')]).toEqual([20, 500])
    clock.advance(1000)
    expect(opens('192.0.2.1')).toBe(20)
    clock.advance(300_000)
    expect(opens('192.0.2.1')).toBe(500)
  })

  test('one password for many users is slowed down by the address, and other addresses are not', async () => {
    const { check, waits } = setUp()
    const all: number[] = []
    for (let i = 0; i < 40; i++) all.push(await waits(check('wrong', { user: `u${i}`, address: '2001:db8:1:2::1' })))
    expect(all.slice(0, 28).every(ms => ms === 0)).toBe(true)
    expect(all.at(-1)).toBeGreaterThan(1000)
    expect(await waits(check('wrong', { user: 'x', address: '2001:db8:1:2:ffff::9' }))).toBeGreaterThan(1000) // the same network
    expect(await waits(check('wrong', { user: 'x', address: '2001:db8:1:3::1' }))).toBe(0)
  })

  test('it decays, and a success forgives the user at that address', async () => {
    const { check, waits, clock } = setUp()
    for (let i = 0; i < 8; i++) await waits(check('wrong'))
    clock.advance(600_000)
    expect(await waits(check('wrong'))).toBe(0)
    for (let i = 0; i < 7; i++) await waits(check('wrong'))
    await check('right')
    expect(await waits(check('wrong'))).toBe(0)
  })

  test('tokens and tickets, which nobody guesses, are never held back', async () => {
    const { check, waits } = setUp()
    for (let i = 0; i < 100; i++) {
      expect(await waits(check('eyJhbGciOiJub25lIn0.eyJz.c2ln'))).toBe(0)
      expect(await waits(check(`tk.${'x'.repeat(40)}`))).toBe(0)
    }
    expect(await waits(check('wrong'))).toBe(0)
  })

  test('what is remembered and what is held back has a bound; at the end all is let go', async () => {
    const { check, signIn, clock } = setUp()
    const answers: Promise<Verdict>[] = []
    for (let a = 0; a < 400; a++) {
      const address = `10.0.${a >> 8}.${a & 255}`
      for (let i = 0; i < 12; i++) answers.push(check('wrong', { address }))
    }
    await settle()
    expect(clock.waiting).toBe(1000)
    expect((await check('right', { address: '10.9.9.9' })).kind).toBe('accepted')
    signIn.close()
    expect(new Set((await Promise.all(answers)).map(v => v.kind))).toEqual(new Set(['refused', 'down']))
    expect(clock.waiting).toBe(0)

    const failures = new Failures(1, 1, clock)
    for (let i = 0; i < 100_500; i++) { const t = failures.of(`${i}`); failures.add(`${i}`, t) }
    expect(failures.size).toBe(100_000)
    const fresh = new Failures(1, 1, clock)
    for (let i = 0; i < 100; i++) { const t = fresh.of(`${i}`); t.busy++; fresh.release(`${i}`, t) }
    expect(fresh.size).toBe(0)
  })
})

describe('tickets', () => {
  const phone = 'phone' as DeviceId
  const anna: Identity = { user: 'anna' as UserId, admin: true, expiresMs: 0, issuedMs: 7, acl: [{ allow: ['publish'], topic: 'a' }] }

  test('carry user, device and rules, never admin, and have at most 44 characters', async () => {
    const { tickets, check, kept, checks } = setUp()
    const { ticket, expiresMs } = await tickets.issue(anna, phone)
    expect([ticket.length <= 44, /^[\x21-\x7e]+$/.test(ticket), expiresMs]).toEqual([true, true, 0])
    const expected: Verdict = { kind: 'accepted', identity: { user: 'anna' as UserId, admin: false, expiresMs: 0, issuedMs: 7, acl: anna.acl, byTicket: true } }
    for (const user of ['anna', '', undefined]) expect(await check(ticket, { user })).toEqual(expected)
    expect(checks()).toBe(0) // no provider sees it
    expect(JSON.stringify([...kept])).not.toContain(ticket) // only its hash is kept
  })

  test('are no good for another device or user, over HTTP, or made up', async () => {
    const { tickets, check } = setUp()
    const { ticket } = await tickets.issue(anna, phone)
    expect(await check(ticket, { device: 'tablet' as DeviceId })).toMatchObject({ kind: 'refused', reason: 'forbidden' })
    expect(await check(ticket, { user: 'bob' })).toMatchObject({ kind: 'refused', reason: 'forbidden' })
    expect(await check(ticket, { device: undefined })).toMatchObject({ kind: 'refused', reason: 'credential' })
    expect(await check(`tk.${'A'.repeat(40)}`)).toMatchObject({ kind: 'refused', reason: 'credential', why: 'an unknown ticket' })
  })

  test('end with their token, or when the configuration says', async () => {
    const { tickets, check, clock } = setUp()
    const { ticket, expiresMs } = await tickets.issue({ ...anna, expiresMs: clock.now() + 1000 }, phone)
    clock.advance(999)
    expect(await check(ticket)).toMatchObject({ kind: 'accepted', identity: { expiresMs } })
    clock.advance(1)
    expect(await check(ticket)).toMatchObject({ kind: 'refused', reason: 'credential' })
    const own = setUp(5000)
    expect((await own.tickets.issue(anna, phone)).expiresMs).toBe(own.clock.now() + 5000)
  })
})

describe('a removed device', () => {
  test('is refused what was made before; passwords and certificates may sign in again', async () => {
    const { check, store, clock, as, tickets } = setUp()
    const before = clock.now() - 1
    const { ticket } = await tickets.issue({ user: 'anna' as UserId, admin: false, expiresMs: 0, issuedMs: before }, 'phone' as DeviceId)
    await store.revoke('anna' as UserId, 'phone' as DeviceId, clock.now())
    const kind = async (issuedMs: number | undefined, device = 'phone'): Promise<string> => { as({ issuedMs }); return (await check('right', { device: device as DeviceId })).kind }
    expect([await kind(before), await kind(0), await kind(clock.now()), await kind(undefined), await kind(before, 'tablet')]).toEqual(['refused', 'refused', 'accepted', 'accepted', 'accepted'])
    expect(await check(ticket)).toMatchObject({ kind: 'refused', reason: 'credential', why: expect.stringContaining('removed') as string })
  })
})
