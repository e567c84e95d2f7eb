import { deflated } from './batch.js'
import type { ConvState } from './conv-state.js'
import { EntryView } from './outgoing.js'
import type { Sender } from './sender.js'

/** Bytes of entries read from the log at once for one session. */
const PAGE_BYTES = 64 << 10
const BATCH_ENTRIES = 200
/**
 * So many packets in this time, and the session waits for the rest of it. A device 5,000 entries behind would keep the
 * event loop and a core busy for 50 ms, and the commits of everybody else would wait for it: their p99 tripled.
 */
const PACE = { packets: 64, ms: 5 }

/** Serves a session from the log: conversations one after another, a page at a time, while its window is open. */
export class CatchUp {
  private readonly queue: ConvState[] = []
  private page: { conv: ConvState, views: EntryView[] } | null = null
  private loading = false
  /** Of the time that began at `sinceMs`. */
  private packets = 0
  private sinceMs = 0
  private rest: NodeJS.Timeout | undefined
  constructor (private readonly session: Sender) {}

  enqueue (conv: ConvState): void {
    if (conv.queued) return
    conv.queued = true
    this.queue.push(conv)
  }

  get waiting (): boolean { return this.queue.length > 0 }

  pump (): void {
    const s = this.session
    while (this.queue.length > 0 && s.hasRoom && this.mayGoOn()) {
      const conv = this.queue[0]!
      if (conv.ahead !== null) conv.takeAhead(s.ackMoves)
      if (conv.gap !== null) {
        const { from, to } = conv.gap
        conv.gap = null
        s.giveGap(conv, from, to)
      } else if (conv.next > conv.head) {
        this.queue.shift()
        conv.queued = false
      } else if (s.grants.holds('batch')) {
        this.load(conv, BATCH_ENTRIES)
        return
      } else if (s.grants.holds('msg')) {
        const view = s.world.recent.get(conv.key, conv.next) ?? this.fromPage(conv)
        if (view === undefined) { this.load(conv, Math.max(1, s.entryWindow)); return }
        conv.next++
        s.world.count.caughtUp++
        s.give(conv, view)
      } else return
    }
  }

  close (): void { clearTimeout(this.rest) }

  /** False: it took its share, and goes on after a rest. By the machine's time, not the node's: nothing is promised of it. */
  private mayGoOn (): boolean {
    if (this.rest !== undefined) return false
    if (this.packets === PACE.packets) {
      this.packets = 0
      const leftMs = this.sinceMs + PACE.ms - performance.now()
      if (leftMs > 0) {
        this.rest = setTimeout(() => {
          this.rest = undefined
          this.session.pump()
        }, leftMs).unref()
        return false
      }
    }
    if (this.packets++ === 0) this.sinceMs = performance.now()
    return true
  }

  private fromPage (conv: ConvState): EntryView | undefined {
    const views = this.page?.conv === conv ? this.page.views : undefined
    const view = views?.find(v => v.entry.seq === conv.next)
    if (view === undefined || view === views![views!.length - 1]) this.page = null
    return view
  }

  /** Reads on from `conv.next`; one read at a time per session. */
  private load (conv: ConvState, most: number): void {
    if (this.loading) return
    this.loading = true
    const { world, user } = this.session
    const from = conv.next
    const to = conv.readable
    world.log.page(conv.key, { after: from - 1, limit: Math.min(most, to - from + 1), maxBytes: PAGE_BYTES }).then(entries => {
      this.loading = false
      if (this.session.closed) return
      if (conv.next === from) this.use(conv, entries.map(e => new EntryView(e)), to) // else the device said that it has them
      this.session.pump()
    }, (err: unknown) => { this.loading = false; world.logger.error({ err, user }, 'catch-up could not read the log; the next acknowledgement tries again') })
  }

  private use (conv: ConvState, views: EntryView[], due: number): void {
    const first = views[0]?.entry.seq ?? due + 1
    if (first !== conv.next) {
      // erased from the log (retention): what is missing is announced
      conv.gap = { from: conv.next, to: first - 1 }
      conv.next = first
    } else if (!this.session.grants.holds('batch')) this.page = { conv, views }
    else if (this.session.hasRoom) this.giveBatch(conv, views)
  }

  private giveBatch (conv: ConvState, views: EntryView[]): void {
    const s = this.session
    const from = conv.next
    const own = views.findIndex(v => !s.isOwn(v))
    if (own !== 0) { // an array without entries would tell the device nothing
      conv.next = from + (own < 0 ? views.length : own)
      s.pass(conv, from, conv.next - 1)
      return
    }
    const now = s.world.clock.now()
    const { covered, out } = deflated(views, v => s.isOwn(v) ? null : v.for(s.user, now).bytes, o => s.fits(o))
    const to = from + covered - 1
    conv.next = to + 1
    if (out === null) { s.giveGap(conv, from, to); return }
    s.world.count.caughtUp += covered
    s.world.count.delivered += covered
    s.send(conv, from, to, 'batch', out)
  }
}
