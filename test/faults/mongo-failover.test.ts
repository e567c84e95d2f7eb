import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import type { Entry } from '../../broker/domain/entry.js'
import { openMongo, type MongoStores } from '../../broker/stores/mongo/open.js'
import { direct, draft, user } from '../contract/opened.js'
import { ReplicaSet } from '../servers/replica-set.js'
import { until } from '../servers/server-process.js'
import { someNode } from '../servers/shared.js'
import { recordingLogger } from '../support/recording-logger.js'

let dir: string
let set: ReplicaSet
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'parley-failover-'))
  set = await ReplicaSet.start(dir)
}, 60_000)
afterEach(async () => {
  await set.stop()
  rmSync(dir, { recursive: true, force: true })
})

const open = async (): Promise<MongoStores> => await openMongo(set.url('parley'), { log: recordingLogger(), hasBus: true, node: someNode() })

async function whole (s: MongoStores, conv: Entry['conv']): Promise<Entry[]> {
  const all: Entry[] = []
  for (;;) {
    const page = await s.log.page(conv, { after: all.length, limit: 200 })
    if (page.length === 0) return all
    all.push(...page)
  }
}

test.each(['killed', 'frozen'])('the primary is %s under load from two nodes: nothing acknowledged is lost, no gap, no double, each sender in order', async how => {
  const nodes = [await open(), await open()]
  const convs = ['bob', 'carol', 'dave'].map(peer => direct('alice', peer))
  const acked: Entry[][] = []
  let going = true
  const writers = nodes.flatMap((s, n) => convs.map(async (conv, c) => {
    const mine: Entry[] = acked[n * 3 + c] = []
    for (let i = 0; going; i++) {
      const r = await s.log.append(draft(conv, { from: user(`writer${n}`), fields: Buffer.from(`"body":${i}`) }))
      if (r.kind !== 'stored' && r.kind !== 'already-stored') throw new Error(r.kind)
      mine.push(r.entry)
    }
  }))
  const many = async (more: number): Promise<void> => {
    const from = acked.map(a => a.length)
    await until(async () => { if (!acked.every((a, i) => a.length >= from[i]! + more)) throw new Error('not yet') }, 60_000)
  }
  await many(30)
  const primary = await set.primary()
  if (how === 'killed') await primary.kill9()
  else primary.signal('SIGSTOP')
  await many(30)
  if (how === 'killed') await primary.start()
  else primary.signal('SIGCONT')
  await many(30)
  going = false
  await Promise.all(writers)
  for (const [c, conv] of convs.entries()) {
    const log = await whole(nodes[0]!, conv)
    expect(log.map(e => e.seq)).toEqual(log.map((_, i) => i + 1))
    expect(new Set(log.map(e => e.cid)).size).toBe(log.length)
    for (const [i, e] of log.entries()) expect(e.ts).toBeGreaterThanOrEqual(log[i - 1]?.ts ?? 0)
    for (const n of [0, 1]) {
      // what is in the log of a writer is what it was told, in its order
      expect(log.filter(e => e.from === `writer${n}`).map(e => [e.seq, e.cid])).toEqual(acked[n * 3 + c]!.map(e => [e.seq, e.cid]))
    }
  }
  for (const s of nodes) await s.close()
}, 120_000)

test('an entry that only a primary without followers has is not taken for the head: after the failover that takes it back there is no gap', async () => {
  const conv = direct('alice', 'bob')
  const first = await open()
  for (let i = 0; i < 3; i++) expect((await first.log.append(draft(conv))).kind).toBe('stored')
  await first.close()
  const primary = await set.primary()
  const followers = set.members.filter(m => m !== primary)
  for (const f of followers) await f.kill9()
  // as a node would leave it that wrote without waiting for a majority
  const direct1 = await MongoClient.connect(`mongodb://127.0.0.1:${primary.port}/?directConnection=true`)
  const log = direct1.db('parley').collection('log')
  await log.insertOne({ c: conv, s: 4, u: 'mallory', cid: 'lost', ts: 1, n: [9, 9], h: 1 }, { writeConcern: { w: 1 } })
  const seen = await log.find({ c: conv }, { readConcern: { level: 'local' } }).sort({ s: -1 }).limit(1).toArray()
  expect(seen[0]!['s']).toBe(4)
  await direct1.close()
  await primary.kill9()
  for (const f of followers) await f.start()
  const second = await open()
  const r = await second.log.append(draft(conv))
  expect(r.kind === 'stored' && r.entry.seq).toBe(4)
  await primary.start()
  expect((await second.log.append(draft(conv))).kind).toBe('stored')
  expect((await whole(second, conv)).map(e => [e.seq, e.from])).toEqual([1, 2, 3, 4, 5].map(s => [s, 'alice']))
  await second.close()
}, 120_000)
