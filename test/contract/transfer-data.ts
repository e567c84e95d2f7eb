import type { ConvKey } from '../../broker/domain/ids.js'
import type { Draft } from '../../broker/ports/log.js'
import type { Stores } from '../../broker/ports/stores.js'
import { device, direct, draft, group, HOSTILE_DEVICES, HOSTILE_IDS, inGroup, user } from './opened.js'

export const PAGES = 620
const DAY = 1_750_000_000_000

/** Something of everything that a store keeps, in every form that it may have; more than one page of most. */
export async function fill ({ log, inbox, cursors, devices, tickets, directory }: Stores): Promise<void> {
  const say = async (drafts: readonly Draft[]): Promise<void> => {
    for (const r of await Promise.all(drafts.map(async d => await log.append(d)))) if (r.kind !== 'stored') throw new Error(r.kind)
  }
  const convs: ConvKey[] = HOSTILE_IDS.map(id => direct('__proto__', id))
  await say(convs.map(conv => draft(conv, { from: user('__proto__') })))
  // as appends of one conversation fill blocks
  await say(Array.from({ length: PAGES }, (_, i) => draft(direct('alice', 'bob'), { cid: i % 3 === 0 ? '' : `c${i}`, nowMs: DAY + i * 1000, from: user(i % 2 === 0 ? 'alice' : 'bob') })))
  await say(Array.from({ length: PAGES }, (_, i) => draft(direct(`many-${i}`, 'zoe'), { from: user('zoe') })))
  const odd = direct('odd', 'odd')
  await say([
    draft(odd, { from: user('odd'), dev: '', cid: '', packetId: 65535, hash: 2 ** 53 - 1, exp: DAY + 1, push: Buffer.from('{"title":"\u2028 é"}') }),
    draft(odd, { from: user('odd'), dev: device('\u{10FFFF}".\n'.slice(0, 4)), type: 'a "type"', fields: Buffer.alloc(0), bytes: Buffer.from([0, 255, 10, 13, 34]) }),
    draft(odd, { from: user('odd'), fields: Buffer.from([0x22, 0xff, 0xfe, 0x22]), bytes: Buffer.alloc(0), push: Buffer.from([0xff]) }),
    draft(odd, { from: user('odd'), fields: Buffer.from('\ufeff"body":"bom"') })
  ])
  for (const name of [...HOSTILE_IDS, 'team', 'gone']) {
    await say([draft(inGroup(name), {
      type: 'system', cid: '', dev: '', effects: {
        group: { group: group(name), kind: 'private', title: `$${name}`, avatar: '', custom: JSON.parse('{"__proto__":1,"$a.b":[null],"2":2,"1":1}') as unknown, historyVisible: name === 'a', createdMs: DAY, deleted: false },
        create: true, members: [{ user: user('__proto__'), role: 'owner' }, { user: user('bob'), role: 'admin' }, { user: user('carol'), role: 'member' }]
      }
    })])
  }
  await say([draft(inGroup('team'), { effects: { members: [{ user: user('carol'), role: null }] } }), draft(inGroup('team')),
    draft(inGroup('gone'), { effects: { group: { group: group('gone'), kind: 'channel', title: '', avatar: 'x', custom: undefined, historyVisible: true, createdMs: DAY, deleted: true } } })])
  await say([draft(inGroup('crowd'), { effects: { members: Array.from({ length: PAGES }, (_, i) => ({ user: user(`member-${i}`), role: 'member' as const })) } })])
  await inbox.mark([{ user: user('bob'), conv: direct('alice', 'bob'), read: 7, readCounts: [4, 3], delivered: 900 }, { user: user('alice'), conv: direct('alice', 'bob'), delivered: 3 }])
  for (const [i, name] of HOSTILE_DEVICES.entries()) {
    await cursors.save(user('bob'), device(name), [{ conv: direct('alice', 'bob'), contiguous: i, highest: i + 2 }, { conv: inGroup('team'), contiguous: 1, highest: 1 }])
    await devices.put({ user: user('bob'), device: device(name), subscriptions: [{ filter: 'me/#', qos: 1 }], ack: 'rcpt', maxPacketBytes: i, active: i % 2 === 0, sessionExpirySeconds: 9, placed: true, createdMs: DAY, seenMs: DAY + i })
    await tickets.put(`hash${i}`, { user: user('bob'), device: device(name), issuedMs: i, madeMs: DAY + i, expiresMs: 0, ...(i % 2 === 0 ? { acl: [{ allow: ['publish'], topic: '%u/#' }] } : {}) })
    await tickets.revoke(user('bob-'), device(name), DAY + i)
  }
  await cursors.save(user('zoe'), device('a'), Array.from({ length: PAGES }, (_, i) => ({ conv: direct(`many-${i}`, 'zoe'), contiguous: 1, highest: 1 })))
  for (const name of HOSTILE_IDS) {
    await directory.remember(user(name))
    await directory.block(user('__proto__'), user(name))
  }
}
