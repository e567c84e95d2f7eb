import type { Device } from '../../broker/ports/devices.js'
import { device, HOSTILE_DEVICES, HOSTILE_IDS, inGroup, type Open, type Opened, user } from './opened.js'

/** What any {@link DeviceStore} keeps. */
export function deviceStoreContract (name: string, open: Open): void {
  describe(`${name}: devices`, () => {
    let opened: Opened
    beforeAll(async () => { opened = await open() })
    afterAll(async () => { await opened.close() })
    const record = (u: string, d: string, over: Partial<Device> = {}): Device => ({
      user: user(u), device: device(d), subscriptions: [{ filter: 'me/#', qos: 1 }, { filter: 'me/ack', qos: 0 }], ack: 'puback',
      maxPacketBytes: 0, active: true, sessionExpirySeconds: 2 ** 32 - 1, placed: false, createdMs: 1, seenMs: 2, ...over
    })
    const byDevice = (devices: readonly Device[]): Device[] => [...devices].sort((a, b) => a.device < b.device ? -1 : 1)

    test('keeps whole records, across a restart, under any name', async () => {
      const all = HOSTILE_DEVICES.map((d, i) => record('odd', d, { seenMs: i, ack: i % 2 === 0 ? 'puback' : 'rcpt', placed: i % 3 === 0 }))
      await Promise.all([...all, record('odd~', 'a'), ...HOSTILE_IDS.map(id => record(id, 'one'))].map(async d => { await opened.stores.devices.put(d) }))
      await opened.reopen()
      const { devices } = opened.stores
      for (const d of all) expect(await devices.get(user('odd'), d.device)).toEqual(d)
      expect(byDevice(await devices.list(user('odd')))).toEqual(byDevice(all))
      for (const id of HOSTILE_IDS) expect(await devices.list(user(id))).toEqual([record(id, 'one')])
      expect([await devices.get(user('odd'), device('b')), await devices.list(user('od'))]).toEqual([undefined, []])
    })

    test('keeps the later of two records, and what was given, not what became of it', async () => {
      const { devices } = opened.stores
      const first = record('twice', 'd')
      const puts = [devices.put(first), devices.put(record('twice', 'd', { maxPacketBytes: 5, subscriptions: [] }))]
      const third = record('twice', 'd', { maxPacketBytes: 7, subscriptions: [{ filter: 'me/msg', qos: 1 }] })
      puts.push(devices.put(third))
      third.subscriptions.push({ filter: 'me/evt', qos: 0 })
      await Promise.all(puts)
      expect(await devices.get(user('twice'), device('d'))).toEqual(record('twice', 'd', { maxPacketBytes: 7, subscriptions: [{ filter: 'me/msg', qos: 1 }] }))
    })

    test('removes the record with its cursors, and no other', async () => {
      const { devices, cursors } = opened.stores
      const me = user('rid')
      for (const d of ['a', 'a/', 'aa']) {
        await devices.put(record('rid', d))
        await cursors.save(me, device(d), [{ conv: inGroup('g'), contiguous: d.length, highest: d.length }, { conv: inGroup('h'), contiguous: 1, highest: 1 }])
      }
      // what waits for the same commit goes too
      await Promise.all([cursors.save(me, device('a'), [{ conv: inGroup('i'), contiguous: 1, highest: 1 }]), devices.remove(me, device('a'))])
      expect([await devices.get(me, device('a')), await cursors.load(me, device('a'))]).toEqual([undefined, []])
      await devices.remove(me, device('a'))
      expect((await devices.list(me)).map(d => d.device).sort()).toEqual(['a/', 'aa'])
      expect(await cursors.load(me, device('aa'))).toHaveLength(2)
      expect(await cursors.furthest(me)).toEqual(new Map([[inGroup('g'), 2], [inGroup('h'), 1]]))
    })

    test('while nothing can be committed a put fails as unavailable, or waits; the record is whole in either case', async () => {
      const resume = opened.stall()
      const before = record('stalled', 'd')
      const put = opened.stores.devices.put(before).then(() => 'done', (e: { code?: string }) => e.code)
      while (opened.stores.health().ok) await new Promise(resolve => setImmediate(resolve))
      expect(await opened.stores.devices.get(user('stalled'), device('d'))).toBeUndefined()
      resume()
      const outcome = await put
      expect(['done', 'unavailable']).toContain(outcome)
      await opened.stores.devices.put({ ...before, active: false })
      expect(await opened.stores.devices.get(user('stalled'), device('d'))).toEqual({ ...before, active: false })
    })
  })
}
