import { REMOVALS_PER_USER, type Ticket, TICKETS_PER_DEVICE, TICKETS_PER_USER } from '../../broker/ports/tickets.js'
import { device, HOSTILE_DEVICES, type Open, type Opened, user } from './opened.js'

/** What any {@link TicketStore} keeps. */
export function ticketStoreContract (name: string, open: Open): void {
  describe(`${name}: tickets`, () => {
    let opened: Opened
    beforeAll(async () => { opened = await open() })
    afterAll(async () => { await opened.close() })
    let last = 0
    const ticket = (u: string, d: string, over: Partial<Ticket> = {}): Ticket =>
      ({ user: user(u), device: device(d), issuedMs: 1000, madeMs: ++last, expiresMs: 0, ...over })
    const put = async (hash: string, t: Ticket): Promise<void> => { await opened.stores.tickets.put(hash, t) }
    const found = async (...hashes: string[]): Promise<boolean[]> => await Promise.all(hashes.map(async h => await opened.stores.tickets.find(h) !== undefined))

    test('keeps what a ticket stands for, across a restart, under any device name', async () => {
      const all = HOSTILE_DEVICES.map((d, i) => ({ hash: `keep-${i}`, t: ticket('keeper', d, { acl: [{ allow: ['publish'], topic: 'a/%u' }], expiresMs: 2 ** 47 }) }))
      await Promise.all(all.map(async ({ hash, t }) => { await put(hash, t) }))
      await opened.reopen()
      for (const { hash, t } of all) expect(await opened.stores.tickets.find(hash)).toEqual(t)
      expect(await opened.stores.tickets.find('none')).toBeUndefined()
    })

    test('of a device the newest stay, and what ended goes', async () => {
      for (let i = 0; i <= TICKETS_PER_DEVICE; i++) await put(`a-${i}`, ticket('ann', 'phone'))
      expect(await found('a-0', 'a-1', `a-${TICKETS_PER_DEVICE}`)).toEqual([false, true, true])
      const ends = ++last
      await put('ended', ticket('ann', 'tablet', { expiresMs: ends }))
      await put('other', ticket('ann', 'watch', { expiresMs: 2 ** 40 }))
      await put('later', ticket('ann', 'tablet'))
      expect(await found('ended', 'other', 'later', 'a-1')).toEqual([false, true, true, true])
    })

    test('of a user a bounded number, whatever its devices are called', async () => {
      for (let i = 0; i <= TICKETS_PER_USER; i++) await put(`many-${i}`, ticket('many', `d${i}`))
      expect(await found('many-0', 'many-1', `many-${TICKETS_PER_USER}`)).toEqual([false, true, true])
    })

    test('a removal drops the tickets of that device alone, and its time is remembered', async () => {
      for (const d of ['p', 'p/', 'pp']) await put(`r-${d}`, ticket('rid', d))
      await put('r-other', ticket('rid~', 'p'))
      await Promise.all([put('r-late', ticket('rid', 'p')), opened.stores.tickets.revoke(user('rid'), device('p'), 5000)])
      await opened.stores.tickets.revoke(user('rid'), device('p'), 4000)
      await opened.reopen()
      expect(await found('r-p', 'r-late', 'r-p/', 'r-pp', 'r-other')).toEqual([false, false, true, true, true])
      const { tickets } = opened.stores
      expect([await tickets.revokedMs(user('rid'), device('p')), await tickets.revokedMs(user('rid'), device('pp'))]).toEqual([5000, 0])
    })

    test('a device that is forgotten loses its tickets', async () => {
      await put('f-1', ticket('fay', 'phone'))
      await put('f-2', ticket('fay', 'phone2'))
      await opened.stores.devices.remove(user('fay'), device('phone'))
      expect(await found('f-1', 'f-2')).toEqual([false, true])
    })

    test('removals are bounded: the oldest is forgotten', async () => {
      const { tickets } = opened.stores
      for (let i = 0; i <= REMOVALS_PER_USER; i++) await tickets.revoke(user('rex'), device(`d${i}`), 10 + i)
      expect(await Promise.all([0, 1, REMOVALS_PER_USER].map(async i => await tickets.revokedMs(user('rex'), device(`d${i}`))))).toEqual([0, 11, 10 + REMOVALS_PER_USER])
    })

    test('while nothing can be committed, nothing is promised', async () => {
      const resume = opened.stall()
      const outcome = opened.stores.tickets.revoke(user('sue'), device('p'), 7).then(() => 'done', (e: { code?: string }) => e.code)
      while (opened.stores.health().ok) await new Promise(resolve => setImmediate(resolve))
      resume()
      expect(await outcome === 'done' ? 7 : 0).toBe(await opened.stores.tickets.revokedMs(user('sue'), device('p')))
    })
  })
}
