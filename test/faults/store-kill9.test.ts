import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Entry } from '../../broker/domain/entry.js'
import type { MemberChange, Role } from '../../broker/domain/group.js'
import type { ConvKey } from '../../broker/domain/ids.js'
import type { Draft } from '../../broker/ports/log.js'
import { device, direct, draft, group, inGroup, user } from '../contract/opened.js'
import { StoreProcess } from './store-process.js'

const ROUNDS = 25
const WINDOW = 60
/** A round is killed after a random number of answers up to this; after 0 it dies while it still opens. */
const MOST_ANSWERS = 500
const PEERS = ['u1', 'u2', 'u3', 'u4']
const CONVS = [...PEERS.map(p => direct('u0', p)), inGroup('one'), inGroup('two')]

let dir: string
beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'parley-kill9-')) })
afterEach(async () => {
  await StoreProcess.killAll()
  rmSync(dir, { recursive: true })
})

/** What one sender knows: what it tried, and what was acknowledged. */
class Ledger {
  readonly tried = new Map<string, Draft>()
  readonly acked = new Map<string, Entry>()
  readonly cursors = new Map<ConvKey, number>()
  #n = 0

  /** Anything from a few bytes to some pages; every ninth changes the members of a group, and says how. */
  next (): Draft {
    const n = ++this.#n
    const conv = CONVS[n % CONVS.length]!
    const effects = conv === inGroup('one') || conv === inGroup('two') ? { members: [{ user: user(PEERS[n % 4]!), role: ['member', 'admin', null][n % 3] as Role | null }] } : undefined
    const text = effects === undefined ? `"body":"${'x'.repeat(n % 50 === 0 ? 30_000 : n % 300)}"` : JSON.stringify(effects.members)
    return draft(conv, { from: user('u0'), type: effects === undefined ? 'text' : 'system', cid: `c${n}`, hash: n, fields: Buffer.from(text), effects })
  }

  async send (store: StoreProcess, d: Draft): Promise<void> {
    this.tried.set(d.cid, d)
    const r = await store.append(d)
    if (r.kind !== 'stored' && r.kind !== 'already-stored') throw new Error(`${d.cid}: ${r.kind}`)
    this.acked.set(d.cid, r.entry)
    await store.call('cursors', 'save', user('u0'), device('d'), [{ conv: d.conv, contiguous: r.entry.seq, highest: r.entry.seq }])
    this.cursors.set(d.conv, Math.max(this.cursors.get(d.conv) ?? 0, r.entry.seq))
  }
}

/** Sends until `answers` came, then kills. */
async function live (store: StoreProcess, ledger: Ledger, answers: number): Promise<void> {
  const lost = [...ledger.tried.values()].filter(d => !ledger.acked.has(d.cid))
  await new Promise<void>((resolve, reject) => {
    let left = answers
    const more = (): void => {
      ledger.send(store, lost.shift() ?? ledger.next()).then(() => { if (--left === 0) resolve(); else more() }, reject)
    }
    for (let i = 0; i < WINDOW; i++) more()
  })
  await store.kill9()
}

async function whole (store: StoreProcess, conv: ConvKey): Promise<Entry[]> {
  const all: Entry[] = []
  for (;;) {
    const page = await store.call('log', 'page', conv, { after: all.length, limit: 500 })
    if (page.length === 0) return all
    all.push(...page)
  }
}

/** Members of a group as its log tells. */
function membersOf (entries: readonly Entry[]): unknown {
  const members = new Map<string, { role: Role, since: number }>()
  for (const e of entries) {
    for (const { user: u, role } of JSON.parse(e.fields.toString()) as MemberChange[]) {
      if (role === null) members.delete(u)
      else members.set(u, { role, since: members.get(u)?.since ?? e.seq })
    }
  }
  return [...members].sort(([a], [b]) => a < b ? -1 : 1).map(([u, m]) => ({ user: u, ...m }))
}

test(`${ROUNDS} kills: nothing acknowledged is lost, no gap, nothing twice, and effects are where their entries are`, async () => {
  const ledger = new Ledger()
  for (let round = 0; round < ROUNDS; round++) {
    const store = await StoreProcess.start(dir)
    const answers = Math.floor(Math.random() * MOST_ANSWERS)
    if (answers === 0) await store.kill9()
    else await live(store, ledger, answers)
  }
  const store = await StoreProcess.start(dir)
  const cids: string[] = []
  for (const conv of CONVS) {
    const entries = await whole(store, conv)
    expect(entries.map(e => e.seq)).toEqual(entries.map((_, i) => i + 1))
    cids.push(...entries.map(e => e.cid))
    const last = entries.at(-1)!
    expect(await store.call('log', 'heads', [conv])).toEqual([{ seq: last.seq, ts: last.ts, counts: last.counts }])
    expect(last.counts).toEqual(conv.startsWith('d/') ? [entries.length, 0] : [0, 0])
    for (const e of entries) {
      const d = ledger.tried.get(e.cid)!
      expect([e.conv, e.hash, e.fields.equals(d.fields)]).toEqual([d.conv, d.hash, true])
      const acked = ledger.acked.get(e.cid)
      if (acked !== undefined) expect([e.seq, e.ts]).toEqual([acked.seq, acked.ts])
    }
    if (conv.startsWith('g/')) {
      expect(await store.call('directory', 'members', group(conv.slice(2)), { limit: 100 })).toEqual(membersOf(entries))
    } else for (const u of conv.split('/').slice(1)) expect(await store.call('inbox', 'row', user(u), conv)).toBeDefined()
  }
  const stored = new Set(cids)
  expect(stored.size).toBe(cids.length)
  expect([...ledger.acked.keys()].filter(cid => !stored.has(cid))).toEqual([])
  expect(ledger.acked.size).toBeGreaterThan(ROUNDS)
  const cursors = new Map((await store.call('cursors', 'load', user('u0'), device('d'))).map(c => [c.conv, c.contiguous]))
  for (const [conv, seq] of ledger.cursors) expect(cursors.get(conv)).toBeGreaterThanOrEqual(seq)
  await store.close()
}, 60_000)
