import type { Head } from '../domain/entry.js'
import type { ConvKey } from '../domain/ids.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { Committed, SharedLog } from '../ports/log.js'
import type { Logger } from '../ports/logger.js'

/** Conversations of which the last entry is remembered. */
const MAX_KNOWN = 100_000
/** News of two nodes may cross: so long is waited for what stands before, then the log is asked. */
const CROSSING_MS = 20
/** After a read of the log that failed. */
const RETRY_MS = 1000
/** Clocks of two nodes may differ by this much. */
const SKEW_MS = 10_000
/** Entries of one read. */
const MOST = 200

interface Held { readonly items: Map<number, Committed>, timer: Timer | null, reading: boolean }

/**
 * What was committed, here or by other nodes, on its way to this node's sessions: in the order of seq, each once, and what
 * the bus lost is read from the log. So a session never sees a hole that it would take for the end of what came before.
 */
export class Arrivals {
  private readonly known = new Map<ConvKey, number>()
  private readonly held = new Map<ConvKey, Held>()
  private closed = false

  constructor (private readonly deps: {
    log: SharedLog, clock: Clock, logger: Logger
    give (c: Committed): void
    /** Since when this node hears all news of the conversation for the sessions that it has of it, ms; null: it has none. */
    since (conv: ConvKey): number | null
    repaired (entries: number): void
  }) {}

  entry (c: Committed): void {
    const { conv, seq, ts, counts } = c.entry
    this.deps.log.heard(conv, { seq, ts, counts })
    const last = this.known.get(conv)
    if (last !== undefined && seq <= last) return
    const held = this.held.get(conv)
    if (held === undefined && (last === undefined ? !this.mayMiss(conv, c.afterMs) : seq === last + 1)) { this.give(c); return }
    this.hold(conv, held).items.set(seq, c)
    this.drain(conv)
  }

  /** Whether an entry before may have come after sessions here began to listen, and was not heard. */
  private mayMiss (conv: ConvKey, afterMs: number): boolean {
    const since = this.deps.since(conv)
    return since !== null && afterMs !== 0 && afterMs + SKEW_MS >= since
  }

  /** The log has entries up to `seq`: those that were not heard are read. */
  look (conv: ConvKey, seq: number): void {
    const last = this.known.get(conv)
    if (seq === 0 || (last !== undefined && last >= seq) || this.deps.since(conv) === null) return
    const held = this.hold(conv, this.held.get(conv))
    if (!held.reading) void this.read(conv, held, seq)
  }

  /** A session that hears the conversation's news since `sinceMs` was given all up to its head by the log. */
  learn (conv: ConvKey, { seq, ts }: Head, sinceMs: number): void {
    if (seq === 0 || ts + SKEW_MS < sinceMs || this.known.has(conv) || this.held.has(conv)) return
    if (this.deps.since(conv) === sinceMs) this.known.set(conv, seq)
    else this.look(conv, seq) // of others that are here nobody knows whether they heard of it
  }

  private hold (conv: ConvKey, held: Held | undefined): Held {
    if (held === undefined) this.held.set(conv, held = { items: new Map(), timer: null, reading: false })
    return held
  }

  private give (c: Committed): void {
    const { conv, seq } = c.entry
    this.known.delete(conv) // so that Map's order is that of the last entries
    this.known.set(conv, seq)
    if (this.known.size > MAX_KNOWN) this.known.delete(this.known.keys().next().value!)
    this.deps.give(c)
  }

  private drain (conv: ConvKey): void {
    const held = this.held.get(conv)
    if (held === undefined) return
    for (let last = this.known.get(conv); last !== undefined; last = this.known.get(conv)) {
      for (const seq of held.items.keys()) if (seq <= last) held.items.delete(seq)
      const next = held.items.get(last + 1)
      if (next === undefined) break
      held.items.delete(last + 1)
      this.give(next)
    }
    if (held.items.size === 0 && !held.reading) {
      held.timer?.cancel()
      this.held.delete(conv)
    } else if (held.timer === null && !held.reading) this.readAfter(conv, held, CROSSING_MS)
  }

  private readAfter (conv: ConvKey, held: Held, ms: number): void {
    held.timer = this.deps.clock.after(ms, () => {
      held.timer = null
      if (!this.closed) void this.read(conv, held, Math.max(0, ...held.items.keys()))
    })
  }

  /** Never rejects. */
  private async read (conv: ConvKey, held: Held, upTo: number): Promise<void> {
    held.reading = true
    let again = false
    try {
      const after = this.known.get(conv) ?? await this.begin(conv, upTo)
      const missed = await this.deps.log.missed(conv, after, MOST)
      if (!this.known.has(conv)) this.known.set(conv, after)
      let repaired = 0
      for (const c of missed) {
        if (c.entry.seq <= this.known.get(conv)!) continue
        if (!held.items.has(c.entry.seq)) repaired++
        this.give(c)
      }
      if (repaired > 0) this.deps.repaired(repaired)
      again = missed.length === MOST
    } catch (err) {
      this.deps.logger.warn({ err, conv }, 'news was lost and the log cannot be read; it is tried again')
      again = true
    }
    held.reading = false
    if (this.closed) return
    if (again) this.readAfter(conv, held, RETRY_MS)
    else this.drain(conv)
  }

  /** The seq behind which the first entry stands that sessions here may have missed. */
  private async begin (conv: ConvKey, upTo: number): Promise<number> {
    const since = this.deps.since(conv)
    if (since === null) return upTo
    const before = await this.deps.log.page(conv, { before: upTo + 1, limit: MOST })
    const first = before.find(e => e.ts + SKEW_MS >= since)
    return first === undefined ? upTo : first.seq - 1
  }

  /** Reads what any node appended since then and was not heard here. @throws when the log cannot be read */
  async lookBack (sinceMs: number): Promise<void> {
    for (const [conv, seq] of await this.deps.log.recent(sinceMs - SKEW_MS)) this.look(conv, seq)
  }

  close (): void {
    this.closed = true
    for (const h of this.held.values()) h.timer?.cancel()
  }
}
