import type { Entry } from '../../broker/domain/entry.js'
import type { Stores } from '../../broker/ports/stores.js'
import { type Kind, type Records, sameEntry, type TransferStore } from '../../broker/ports/transfer.js'
import { device, direct, draft, group, inGroup, user } from './opened.js'
import { fill, PAGES } from './transfer-data.js'

/** A place for a store, empty at first, that is opened in one way or the other. */
export interface Place {
  stores (): Promise<Stores>
  transfer (): Promise<TransferStore>
  /** From now on every commit fails. */
  stall (): void
  remove (): Promise<void>
}

const KINDS: readonly Kind[] = ['cursors', 'inbox', 'members', 'groups', 'users', 'blocks', 'devices', 'tickets', 'removals', 'log']

async function all<K extends Kind> (store: TransferStore, kind: K): Promise<Records[K][]> {
  const out: Records[K][] = []
  for await (const batch of store.read(kind)) {
    expect(batch.length).toBeLessThanOrEqual(PAGES)
    out.push(...batch)
  }
  return out
}
type Whole = { [K in Kind]: Records[K][] }
const whole = async (store: TransferStore): Promise<Whole> => Object.fromEntries(await Promise.all(KINDS.map(async k => [k, await all(store, k)]))) as Whole
async function putAll (store: TransferStore, data: Whole): Promise<void> {
  for (const kind of KINDS) for (let at = 0; at < data[kind].length; at += 300) await store.put(kind, data[kind].slice(at, at + 300) as never)
}

/** What any {@link TransferStore} keeps. */
export function transferContract (name: string, make: () => Promise<Place>): void {
  describe(`${name}: a store as a whole`, () => {
    const places: Place[] = []
    const opened: { close (): Promise<void> }[] = []
    afterEach(async () => {
      for (const o of opened.splice(0)) await o.close()
      for (const p of places.splice(0)) await p.remove()
    })
    const place = async (): Promise<Place> => { const p = await make(); places.push(p); return p }
    const use = <T extends { close (): Promise<void> }>(o: T): T => { opened.push(o); return o }

    test('gives all, each once and in order; put into an empty one, it gives the same', async () => {
      const from = await place()
      const stores = await from.stores()
      await fill(stores)
      const heads = await stores.log.heads([direct('alice', 'bob'), inGroup('team')])
      await stores.close()
      const source = use(await from.transfer())
      const data = await whole(source)
      expect(data.log.filter(e => e.conv === direct('alice', 'bob')).map(e => e.seq)).toEqual(Array.from({ length: PAGES }, (_, i) => i + 1))
      const keys = data.log.map(e => `${e.conv}\u0000${String(e.seq).padStart(9, '0')}`)
      expect(keys).toEqual([...new Set(keys)].sort())
      expect(Object.fromEntries(KINDS.map(k => [k, data[k].length]))).toMatchObject({ users: 17, blocks: 17, devices: 19, tickets: 19, removals: 19, groups: 19 })

      const to = await place()
      const target = await to.transfer()
      await putAll(target, data)
      expect(await whole(target)).toEqual(data)
      await target.close()
      const copy = use(await to.stores())
      expect(await copy.log.heads([direct('alice', 'bob'), inGroup('team')])).toEqual(heads)
      expect(await copy.directory.memberCount(group('crowd'))).toBe(PAGES)
      expect(await copy.directory.memberCount(group('team'))).toBe(2)
      expect(await copy.directory.member(group('team'), user('carol'))).toBeUndefined()
      expect(await copy.tickets.find('hash0')).toMatchObject({ user: 'bob', acl: [{ allow: ['publish'], topic: '%u/#' }] })
      // a cid is known again, and the log goes on where it was
      const second = data.log.find(e => e.conv === direct('alice', 'bob') && e.seq === 2)!
      expect(await copy.log.append(draft(second.conv, { from: second.from, cid: second.cid, hash: second.hash }))).toMatchObject({ kind: 'already-stored', entry: { seq: 2 } })
      expect(await copy.log.append(draft(second.conv))).toMatchObject({ kind: 'stored', entry: { seq: PAGES + 1 } })
    })

    test('what is put again changes nothing; marks that went on stay', async () => {
      const p = await place()
      const stores = await p.stores()
      await fill(stores)
      await stores.close()
      const first = await p.transfer()
      const data = await whole(first)
      await putAll(first, data)
      expect(await whole(first)).toEqual(data)
      await first.close()
      const later = await p.stores()
      await later.inbox.mark([{ user: user('bob'), conv: direct('alice', 'bob'), read: 1000, readCounts: [500, 500] }])
      await later.cursors.save(user('bob'), device('a'), [{ conv: direct('alice', 'bob'), contiguous: 1000, highest: 1001 }])
      await later.tickets.revoke(user('bob-'), device('a'), 2e12)
      await later.close()
      const again = await p.transfer()
      await putAll(again, data)
      await again.close()
      const { inbox, cursors, tickets } = use(await p.stores())
      expect(await inbox.row(user('bob'), direct('alice', 'bob'))).toMatchObject({ read: 1000, delivered: 1000, readCounts: [500, 500] })
      expect((await cursors.load(user('bob'), device('a'))).find(c => c.conv === direct('alice', 'bob'))).toMatchObject({ contiguous: 1000, highest: 1001 })
      expect(await tickets.revokedMs(user('bob-'), device('a'))).toBe(2e12)
    })

    test('another entry, group or member in its place is refused by name, and so is a gap', async () => {
      const store = use(await (await place()).transfer())
      const entry = (seq: number, over: Partial<Entry> = {}): Entry => {
        const { nowMs, dup: _dup, ...e } = draft(direct('alice', 'bob'), { cid: `cid-of-${seq}`, hash: seq, fields: Buffer.from('"body":1') })
        return { ...e, seq, ts: nowMs, counts: [seq, 0], ...over }
      }
      await store.put('log', [entry(1), entry(2)])
      await store.put('log', [entry(1), entry(2), entry(3)])
      const others: Partial<Entry>[] = [{ ts: 1 }, { counts: [0, 2] }, { from: user('bob') }, { dev: '' }, { cid: 'x' }, { type: 'x' }, { fields: Buffer.alloc(0) }, { bytes: Buffer.alloc(0) }, { exp: 1 }, { hash: 9 }, { packetId: 1 }, { push: Buffer.from('{}') }]
      for (const other of others) await expect(store.put('log', [entry(1), entry(2, other)])).rejects.toThrow('conversation d/alice/bob, seq 2: another entry')
      await expect(store.put('log', [entry(5)])).rejects.toThrow('conversation d/alice/bob, seq 5: the entry before it is missing')
      await expect(store.put('log', [entry(4, { cid: 'cid-of-1' })])).rejects.toThrow('conversation d/alice/bob, seq 4: another entry of alice has its cid')
      await store.put('log', [entry(4)])
      const log = await all(store, 'log')
      expect(log.map(e => e.seq)).toEqual([1, 2, 3, 4])
      expect(log.every(e => sameEntry(e, entry(e.seq)))).toBe(true)
      const team = { group: group('team'), kind: 'private' as const, title: 'a', avatar: '', custom: { a: 1 }, historyVisible: false, createdMs: 1, deleted: false }
      await store.put('groups', [team])
      await expect(store.put('groups', [{ ...team, title: 'b' }])).rejects.toThrow('group team: another one')
      await expect(store.put('groups', [{ ...team, custom: { a: 2 } }])).rejects.toThrow('group team: another one')
      const bob = { group: group('team'), user: user('bob'), role: 'member' as const, since: 1 }
      await store.put('members', [bob])
      await expect(store.put('members', [{ ...bob, role: 'admin' }])).rejects.toThrow('group team: its member bob')
    })

    test('the first entry of a direct conversation makes its inbox rows, and leaves those that are there', async () => {
      const p = await place()
      const store = await p.transfer()
      const conv = direct('alice', 'bob')
      await store.put('inbox', [{ user: user('bob'), conv, since: 1, left: 0, read: 1, delivered: 1, readCounts: [1, 0] }])
      const { nowMs, dup: _dup, ...e } = draft(conv)
      await store.put('log', [{ ...e, seq: 1, ts: nowMs, counts: [1, 0] }])
      await store.close()
      const { inbox } = use(await p.stores())
      expect([await inbox.row(user('alice'), conv), await inbox.row(user('bob'), conv)]).toMatchObject([{ read: 0 }, { read: 1, readCounts: [1, 0] }])
    })

    test('between begin and end no node opens it; the epoch goes along when it is given', async () => {
      const p = await place()
      const before = await p.transfer()
      const { epoch } = await before.state()
      await before.begin('one')
      expect(await before.state()).toEqual({ epoch, importing: 'one' })
      await before.close()
      await expect(p.stores()).rejects.toThrow('part of an import only')
      const after = await p.transfer()
      await after.begin('two', 'the-epoch')
      await after.end()
      expect(await after.state()).toEqual({ epoch: 'the-epoch', importing: undefined })
      await after.close()
      expect(use(await p.stores()).epoch).toBe('the-epoch')
    })

    test('a store that cannot commit says so, and waits for nothing', async () => {
      const p = await place()
      const store = use(await p.transfer())
      p.stall()
      const { nowMs, dup: _dup, ...e } = draft(direct('alice', 'bob'))
      await expect(store.put('log', [{ ...e, seq: 1, ts: nowMs, counts: [1, 0] }])).rejects.toMatchObject({ code: 'unavailable' })
      await expect(store.put('users', [{ user: user('alice') }])).rejects.toMatchObject({ code: 'unavailable' })
    })
  })
}
