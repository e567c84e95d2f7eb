import type { AppendResult, Draft } from '../../broker/ports/log.js'
import { device, draft, inGroup, user } from '../contract/opened.js'
import { type Disk, disks } from './store-disk.js'
import { StoreProcess } from './store-process.js'

const CONV = inGroup('full')
const WINDOW = 30

const record = { user: user('u'), device: device('d'), subscriptions: [], ack: 'puback' as const, maxPacketBytes: 0, active: true, sessionExpirySeconds: 0, placed: false, createdMs: 1, seenMs: 1 }

/** Keeps a window of appends in flight until the store says that it cannot commit; gives what was sent, in order, and its answers. */
async function sendUntilFull (store: StoreProcess): Promise<{ sent: Draft[], answers: Map<string, AppendResult>, all: Promise<unknown> }> {
  const sent: Draft[] = []
  const answers = new Map<string, AppendResult>()
  const pending: Promise<unknown>[] = []
  let full = false
  const send = (): void => {
    const d = draft(CONV, { fields: Buffer.alloc(3000, 'x') })
    sent.push(d)
    pending.push(store.append(d).then(r => {
      answers.set(d.cid, r)
      if (!full) send()
    }))
  }
  for (let i = 0; i < WINDOW; i++) send()
  while ((await store.health()).ok) { /* each question is a turn of both processes */ }
  full = true
  return { sent, answers, all: Promise.all(pending) }
}

async function seqs (store: StoreProcess): Promise<number[]> {
  const all: number[] = []
  for (;;) {
    const page = await store.call('log', 'page', CONV, { after: all.length, limit: 500 })
    if (page.length === 0) return all
    all.push(...page.map(e => e.seq))
  }
}
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

describe.each(disks())('%s', (_name, make) => {
  let disk: Disk
  beforeEach(async () => { disk = await make() })
  afterEach(async () => {
    await StoreProcess.killAll()
    await disk.close()
  })

  test('full: senders wait, health and log say why, reading goes on; with room again all are stored, in order', async () => {
    const store = await disk.start()
    disk.fill(store)
    const { sent, answers, all } = await sendUntilFull(store)
    const { why } = await store.health()
    expect(why).toMatch(disk.says)
    expect(why).toContain(disk.dir)
    const known = answers.size
    expect(known).toBeLessThan(sent.length)
    expect([...answers.values()].every(r => r.kind === 'stored')).toBe(true)
    // what was acknowledged is there, and what was not is not
    expect(await seqs(store)).toEqual(upTo(known))
    // other writes are told at once, and take no effect
    await expect(store.call('devices', 'put', record)).rejects.toMatchObject({ code: 'unavailable', message: why })
    expect(await store.call('devices', 'get', user('u'), device('d'))).toBeUndefined()
    expect(answers.size).toBe(known)
    expect((await store.lines()).filter(l => l.level === 'error').map(l => l.message)).toEqual([why])

    disk.makeRoom(store)
    await all
    expect(await store.health()).toEqual({ ok: true })
    expect(sent.map(d => answers.get(d.cid))).toMatchObject(sent.map((d, i) => ({ kind: 'stored', entry: { seq: i + 1, cid: d.cid } })))
    await store.call('devices', 'put', record)
    await store.close()

    const again = await disk.start()
    expect(await seqs(again)).toEqual(upTo(sent.length))
    expect(await again.call('devices', 'get', user('u'), device('d'))).toEqual(record)
    await again.kill9()
  })

  test('full, killed and started again: what was acknowledged is there, and what was not is stored once when there is room', async () => {
    const first = await disk.start()
    disk.fill(first)
    const { sent, answers } = await sendUntilFull(first)
    await first.kill9()

    const second = await disk.start()
    disk.fill(second)
    expect(await seqs(second)).toEqual(upTo(answers.size))
    const resent = sent.map(async d => await second.append({ ...d, dup: true }))
    disk.makeRoom(second)
    const results = await Promise.all(resent)
    expect(results).toMatchObject(sent.map((d, i) => ({ kind: answers.has(d.cid) ? 'already-stored' : 'stored', entry: { seq: i + 1 } })))
    expect(await seqs(second)).toEqual(upTo(sent.length))
    await second.close()
  })
})
