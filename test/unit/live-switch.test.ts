import { localBus } from '../../broker/bus/local.js'
import fc from 'fast-check'
import { Access } from '../../broker/core/access.js'
import { FanOut } from '../../broker/core/fan-out.js'
import type { Outgoing } from '../../broker/core/outgoing.js'
import { Recent } from '../../broker/core/recent.js'
import { type ReplayDeps, Replays } from '../../broker/core/replay.js'
import { Roster } from '../../broker/core/roster.js'
import { Session, type SessionWorld } from '../../broker/core/session.js'
import { RetainedWindows } from '../../broker/core/windows.js'
import { EMPTY_HEAD, type Entry } from '../../broker/domain/entry.js'
import type { Effects } from '../../broker/domain/group.js'
import type { ConvKey, DeviceId, SessionId, UserId } from '../../broker/domain/ids.js'
import { inboxFilter } from '../../broker/domain/topics.js'
import type { Device } from '../../broker/ports/devices.js'
import type { InboxRow } from '../../broker/ports/inbox.js'
import { FakeClock } from '../support/fake-clock.js'
import { range } from '../support/inbox.js'
import { recordingLogger } from '../support/recording-logger.js'

/*
 * A session becomes live while entries are committed and fanned out, over a store whose every answer takes its time:
 * fast-check decides in which order things happen.
 */

const BOB = 'bob' as UserId
const NONE = Buffer.alloc(0)
const CONVS = ['d/alice/bob', 'd/bob/carol', 'g/in', 'g/later'] as ConvKey[]

/** Something that befalls a conversation. */
type Change = { conv: ConvKey, what: 'message' | 'add' | 'remove' }

class World {
  readonly clock = new FakeClock()
  readonly log = new Map<ConvKey, Entry[]>(CONVS.map(c => [c, []]))
  readonly rows = new Map<ConvKey, InboxRow>()
  /** Seqs that the user may see, by conversation. */
  readonly allowed = new Map<ConvKey, Set<number>>(CONVS.map(c => [c, new Set()]))
  readonly cursors = new Map<ConvKey, number>()
  readonly roster = new Roster(localBus)
  private readonly fanOut = new FanOut(this.roster, new Access({} as never, 'store'))
  readonly failures: unknown[] = []

  constructor (private readonly s: fc.Scheduler) {}

  /** An answer that was true at some moment between the question and now. */
  private async answer<T> (name: string, read: () => T): Promise<T> {
    await this.s.schedule(Promise.resolve(), `${name}: asked`)
    const value = read()
    await this.s.schedule(Promise.resolve(), `${name}: answered`)
    return value
  }

  readonly deps: ReplayDeps = {
    log: {
      append: () => { throw new Error('unused') },
      heads: async convs => await this.answer('heads', () => convs.map(c => this.log.get(c)!.at(-1) ?? EMPTY_HEAD)),
      page: async (conv, q) => await this.answer('page', () => this.log.get(conv)!.filter(e => e.seq > q.after!).slice(0, q.limit))
    },
    inbox: { rows: async () => await this.answer('rows', () => [...this.rows.values()]), row: () => { throw new Error('unused') }, mark: () => { throw new Error('unused') } },
    cursors: {
      load: async () => await this.answer('cursors', () => [...this.cursors].map(([conv, contiguous]) => ({ conv, contiguous, highest: contiguous }))),
      furthest: async () => await this.answer('furthest', () => new Map()),
      save: async () => { await this.answer('save', () => {}) }
    },
    devices: { get: async () => undefined, put: async () => { await this.answer('put', () => {}) }, remove: async () => {}, list: async () => [] },
    roster: this.roster, windows: new RetainedWindows(), learn: () => {}, limits: { replay: 1000, replayTotal: 0 }
  }

  private readonly replays = new Replays(this.deps, (_, err) => { this.failures.push(err) })
  readonly sessions: SessionWorld = {
    log: this.deps.log, recent: new Recent(), clock: this.clock, logger: recordingLogger(), limits: { inFlight: 4, ...this.deps.limits },
    moved: () => {}, named: () => {}, count: { delivered: 0, caughtUp: 0 },
    enter: (session, reads) => { this.replays.enter(session, reads) },
    replay: session => { this.replays.replay(session) }
  }

  /** Commits; gives what fans it out. */
  commit ({ conv, what }: Change): () => void {
    const log = this.log.get(conv)!
    const seq = log.length + 1
    const row = this.rows.get(conv)
    const member = row !== undefined && row.left === 0
    if (conv.startsWith('g/') && ((what === 'remove' && !member) || (what === 'add' && member))) return () => {}
    const entry: Entry = {
      conv, seq, ts: seq, counts: [0, 0], from: 'alice' as UserId, dev: '', cid: '', type: what === 'message' ? 'text' : 'system',
      fields: Buffer.from(`"body":${seq}`), bytes: null, exp: 0, hash: 0, packetId: 0, push: NONE
    }
    log.push(entry)
    const fresh = { conv, since: seq, left: 0, read: 0, delivered: 0, readCounts: [0, 0] as const }
    if (conv.startsWith('d/')) { if (row === undefined) this.rows.set(conv, fresh) } else if (what === 'add') this.rows.set(conv, fresh)
    else if (what === 'remove') this.rows.set(conv, { ...row!, left: seq })
    if (conv.startsWith('d/') || member || what === 'add') this.allowed.get(conv)!.add(seq)
    const effects: Effects | undefined = what === 'message' || conv.startsWith('d/') ? undefined : { members: [{ user: BOB, role: what === 'add' ? 'member' : null }] }
    return () => this.fanOut.entry(entry, effects)
  }
}

const change: fc.Arbitrary<Change> = fc.record({ conv: fc.constantFrom(...CONVS), what: fc.constantFrom('message' as const, 'message' as const, 'message' as const, 'add' as const, 'remove' as const) })

const device = (): Device => ({ user: BOB, device: 'phone' as DeviceId, subscriptions: [], ack: 'puback', maxPacketBytes: 0, active: true, placed: true, sessionExpirySeconds: 100, createdMs: 0, seenMs: 0 })

/** Runs one story; gives what was delivered, and how far each log was when entries were first subscribed to. */
async function story (s: fc.Scheduler, from: 'now' | 'cursors', before: Change[], during: Change[], filters: readonly string[], after: Change[]) {
  const w = new World(s)
  for (const c of [{ conv: 'g/in' as ConvKey, what: 'add' as const }, ...before]) w.commit(c)()
  const got = new Map<ConvKey, number[]>(CONVS.map(c => [c, []]))
  const flights: number[] = []
  const link = {
    receiveMaximum: 100, maxPacketBytes: 0, unsentBytes: 0, sizeOf: () => 0,
    deliver (out: Outgoing, _qos: number, id: number) {
      const { conv, seq } = JSON.parse(out.bytes.toString()) as { conv: string, seq: number }
      if (out.branch === 'msg') got.get((conv.startsWith('g/') ? conv : CONVS.find(c => c.startsWith('d/') && c.includes(conv.slice(2)))) as ConvKey)!.push(seq)
      flights.push(id)
      void s.schedule(Promise.resolve(), 'ack').then(() => session.ack(id))
    }
  }
  const session: Session = new Session('bob/phone' as SessionId, BOB, 'phone' as DeviceId, device(), from, link, w.sessions)
  const grants = (held: readonly string[]): void => { session.setGrants(held.map(f => [inboxFilter(f, BOB)!, 1])) }
  let subscribed: Map<ConvKey, number> | null = null
  s.scheduleSequence(during.flatMap(c => {
    let fan: () => void
    // A clean start has no cursor to tell it what it did not hear of: as in the embedded store, one hears of a commit at once.
    if (from === 'now') return [{ label: 'commit and fan out', builder: async () => { w.commit(c)() } }]
    return [
      { label: 'commit', builder: async () => { fan = w.commit(c) } },
      { label: 'fan out', builder: async () => { fan() } }
    ]
  }))
  s.scheduleSequence(filters.map((f, i) => ({
    label: `subscribe ${f}`,
    builder: async () => {
      grants(filters.slice(0, i + 1))
      if (f === 'me/msg') subscribed = new Map(CONVS.map(c => [c, w.log.get(c)!.length]))
    }
  })))
  await s.waitIdle()
  for (const c of after) w.commit(c)()
  await s.waitIdle()
  expect(w.failures).toEqual([])
  expect(session.state).toBe('live')
  expect(session.flights.size).toBe(0)
  return { w, got, subscribed: subscribed! as Map<ConvKey, number> }
}

/** Nothing twice, out of order or not allowed; and of the last stay in each conversation all from that seq on. */
function expectWhole (w: World, got: Map<ConvKey, number[]>, from: (row: InboxRow) => number): void {
  for (const conv of CONVS) {
    const seqs = got.get(conv)!
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
    const allowed = w.allowed.get(conv)!
    expect(seqs.filter(q => !allowed.has(q))).toEqual([])
    const row = w.rows.get(conv)
    if (row === undefined) continue
    const due = range(from(row), row.left === 0 ? w.log.get(conv)!.length : row.left)
    expect([conv, due.filter(q => !seqs.includes(q))]).toEqual([conv, []])
  }
}

const stories = [fc.scheduler(), fc.array(change, { maxLength: 8 }), fc.array(change, { maxLength: 12 }), fc.constantFrom(['me/msg'], ['me/evt', 'me/msg']), fc.array(change, { maxLength: 6 })] as const

test('with cursors: all that is allowed since the last coming in, in order, without a hole or a double, whatever overtakes what', async () => {
  await fc.assert(fc.asyncProperty(...stories, async (s, before, during, filters, after) => {
    const { w, got } = await story(s, 'cursors', before, during, filters, after)
    expectWhole(w, got, row => row.since)
  }), { numRuns: 300 })
})

test('a clean start: nothing that was there before the connection, all that came after the subscription', async () => {
  await fc.assert(fc.asyncProperty(...stories, async (s, before, during, filters, after) => {
    const { w, got, subscribed } = await story(s, 'now', before, during, filters, after)
    expectWhole(w, got, row => Math.max(row.since, subscribed.get(row.conv)! + 1))
  }), { numRuns: 300 })
})
