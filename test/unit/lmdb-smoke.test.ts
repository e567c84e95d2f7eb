import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdb } from '../../broker/stores/lmdb/open.js'
import { directKey, type UserId } from '../../broker/domain/ids.js'
const log = { debug () {}, info () {}, warn () {}, error () {} }
test('smoke', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'lm-'))
  let s = await openLmdb(dir, { log })
  const conv = directKey('a' as UserId, 'b' as UserId)
  const draft = (i: number) => ({ conv, from: 'a' as UserId, dev: '' as const, cid: 'c' + i, type: 'text', fields: Buffer.from('"body":"x' + i + '"'), bytes: null, exp: 0, hash: 2 ** 52 + i, packetId: 7, push: Buffer.alloc(0), nowMs: 1000 + i, dup: false })
  const r = await Promise.all(Array.from({ length: 1000 }, (_, i) => s.log.append(draft(i))))
  expect(r.map(x => x.kind === 'stored' ? x.entry.seq : 0)).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1))
  expect(await s.log.append(draft(5))).toMatchObject({ kind: 'already-stored', entry: { seq: 6 } })
  expect(await s.inbox.rows('b' as UserId)).toHaveLength(1)
  await s.close()
  s = await openLmdb(dir, { log })
  expect((await s.log.heads([conv]))[0]).toEqual({ seq: 1000, ts: 1999, counts: [1000, 0] })
  const p = await s.log.page(conv, { before: 500, limit: 3 })
  expect(p.map(e => [e.seq, e.fields.toString(), e.cid, e.hash, e.packetId])).toEqual([497, 498, 499].map(n => [n, `"body":"x${n - 1}"`, 'c' + (n - 1), 2 ** 52 + n - 1, 7]))
  await s.close()
})
