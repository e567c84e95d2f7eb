import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdb } from '../../broker/stores/lmdb/open.js'
import { recordingLogger } from '../support/recording-logger.js'
import { cursorStoreContract } from './cursor-store.contract.js'
import { deviceStoreContract } from './device-store.contract.js'
import { directoryContract } from './directory.contract.js'
import { inboxStoreContract } from './inbox-store.contract.js'
import { logStoreContract } from './log-store.contract.js'
import { topicStoreContract } from './topic-store.contract.js'
import { ticketStoreContract } from './ticket-store.contract.js'
import { direct, draft, group, inGroup, type Opened, someConv, user } from './opened.js'

async function open (): Promise<Opened> {
  const dir = mkdtempSync(join(tmpdir(), 'parley-lmdb-'))
  let stalled = false
  const again = async (): Promise<Opened['stores']> => await openLmdb(dir, {
    log: recordingLogger(),
    commitGate: () => { if (stalled) throw Object.assign(new Error('no space left on device'), { code: 28 }) }
  })
  const opened: Opened = {
    stores: await again(),
    stall: () => { stalled = true; return () => { stalled = false } },
    reopen: async () => {
      const closing = opened.stores.close()
      await closing
      stalled = false
      opened.stores = await again()
    },
    close: async () => {
      await opened.stores.close()
      rmSync(dir, { recursive: true })
    }
  }
  return opened
}

logStoreContract('LMDB', open)
inboxStoreContract('LMDB', open)
cursorStoreContract('LMDB', open)
directoryContract('LMDB', open)
deviceStoreContract('LMDB', open)
topicStoreContract('LMDB', open)
ticketStoreContract('LMDB', open)

describe('LMDB alone', () => {
  test('what no key or field of it can hold is certainly not stored, and spoils nothing else', async () => {
    const opened = await open()
    const { log } = opened.stores
    const beyond = 'x'.repeat(2000)
    const conv = someConv()
    const odd = [
      draft(direct('a', beyond)), draft(inGroup(beyond)), draft(conv, { cid: beyond }), draft(conv, { from: user(beyond) }), draft(conv, { type: beyond }),
      draft(inGroup('g'), { effects: { members: [{ user: user('ann'), role: 'owner' }, { user: user(beyond), role: 'member' }] } })
    ]
    const results = await Promise.all([...odd, draft(conv), ...odd, draft(inGroup('g'))].map(async d => await log.append(d)))
    const kinds = [...odd.map(() => 'not-stored'), 'stored']
    expect(results.map(r => r.kind)).toEqual([...kinds, ...kinds])
    await opened.reopen()
    expect((await opened.stores.log.heads([conv, inGroup('g')])).map(h => h.seq)).toEqual([1, 1])
    // the effects of what was not stored are not there, not even their first half
    expect(await opened.stores.directory.members(group('g'), { limit: 9 })).toEqual([])
    expect(await opened.stores.inbox.rows(user('a'))).toEqual([])
    await opened.close()
  })

  test('what is in a commit that fails when the store closes is unknown; what is not, is settled', async () => {
    const opened = await open()
    const conv = someConv()
    const known = draft(conv)
    await opened.stores.log.append(known)
    opened.stall()
    const d = draft(conv)
    const { log } = opened.stores
    const results = [log.append(d), log.append(d), log.append({ ...d, hash: 0 }), log.append(known), log.append({ ...known, hash: 0 })]
    await opened.reopen()
    expect((await Promise.all(results)).map(r => r.kind)).toEqual(['unknown', 'unknown', 'unknown', 'already-stored', 'conflict'])
    await opened.close()
  })
})
