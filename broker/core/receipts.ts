import { isUtf8 } from 'node:buffer'
import { EMPTY_HEAD } from '../domain/entry.js'
import { ParleyError } from '../domain/errors.js'
import { type ConvKey, groupOf, isGroupKey, type UserId, usersOf } from '../domain/ids.js'
import { scanObject } from '../domain/json-scan.js'
import type { Clock } from '../ports/clock.js'
import type { Directory } from '../ports/directory.js'
import type { InboxStore, Mark } from '../ports/inbox.js'
import type { LogStore } from '../ports/log.js'
import type { Logger } from '../ports/logger.js'
import type { ReceiptNews } from './extras.js'
import type { Roster } from './roster.js'
import type { Session } from './session.js'

/** At most one news per conversation and user in this time. */
const EVERY_MS = 1000
/** Authors among this many newest entries that are newly covered are told. */
const AUTHORS_OF = 200

/** `by`: the only device that said so, which need not be told. */
interface Waiting { conv: ConvKey, user: UserId, delivered: number, read: number, by: Session | null }

/** Delivered and read marks of users: raised, stored, told. */
export class Receipts {
  private readonly waiting = new Map<string, Waiting>()
  private armed = false
  private running: Promise<void> = Promise.resolve()

  constructor (private readonly deps: {
    log: LogStore, inbox: InboxStore, directory: Directory, roster: Roster, clock: Clock, logger: Logger
    limits: { readonly receiptMembers: number }
  }) {}

  /** Devices of the user acknowledged up to `seq`. */
  delivered (user: UserId, conv: ConvKey, seq: number): void { this.note(user, conv, seq, 0, null) }

  /** `rcpt` of a device: the user's marks and this device's cursor move. */
  async fromDevice (session: Session, conv: ConvKey, payload: Buffer): Promise<void> {
    const { delivered, read } = parseReceipt(payload)
    const row = await this.deps.inbox.row(session.user, conv)
    if (row === undefined || row.left !== 0) {
      if (isGroupKey(conv)) throw new ParleyError('not-member', 'you are not a member of the group')
      return // nothing was said there yet
    }
    const [head = EMPTY_HEAD] = await this.deps.log.heads([conv])
    const upTo = Math.min(Math.max(delivered, read), head.seq)
    if (upTo > 0) session.moveTo(conv, upTo, head.seq)
    this.note(session.user, conv, upTo, Math.min(read, head.seq), session)
  }

  private note (user: UserId, conv: ConvKey, delivered: number, read: number, by: Session | null): void {
    const key = `${conv}\n${user}`
    const w = this.waiting.get(key)
    if (w === undefined) this.waiting.set(key, { conv, user, delivered, read, by })
    else {
      if (read > w.read) w.by = by
      w.delivered = Math.max(w.delivered, delivered)
      w.read = Math.max(w.read, read)
    }
    if (this.armed) return
    this.armed = true
    void this.round()
  }

  /** The first mark goes at once, what follows within a second goes together. */
  private round (): Promise<void> {
    this.deps.clock.after(EVERY_MS, () => {
      this.armed = false
      if (this.waiting.size > 0) { this.armed = true; void this.round() }
    })
    return this.flush()
  }

  /** Never rejects. */
  async flush (): Promise<void> {
    const all = [...this.waiting.values()]
    this.waiting.clear()
    this.running = this.running.then(() => this.settle(all))
    await this.running
  }

  private async settle (all: Waiting[]): Promise<void> {
    for (const w of all) {
      try { await this.raise(w) } catch (err) { this.deps.logger.warn({ err, conv: w.conv, user: w.user }, 'a receipt could not be stored') }
    }
  }

  private async raise (w: Waiting): Promise<void> {
    const row = await this.deps.inbox.row(w.user, w.conv)
    if (row === undefined || row.left !== 0) return
    const read = w.read > row.read ? w.read : 0
    const delivered = Math.max(w.delivered, read) > row.delivered ? Math.max(w.delivered, read) : 0
    if (read === 0 && delivered === 0) return
    const mark: Mark = { user: w.user, conv: w.conv }
    if (delivered > 0) mark.delivered = delivered
    if (read > 0) {
      mark.read = read
      mark.readCounts = (await this.deps.log.page(w.conv, { after: read - 1, limit: 1 }))[0]?.counts
    }
    await this.deps.inbox.mark([mark])
    await this.tell(w, read > 0 ? row.read : row.delivered, delivered, read)
  }

  /** My own other devices always; the authors of what is newly covered when the group is small. */
  private async tell (w: Waiting, before: number, delivered: number, read: number): Promise<void> {
    const news: ReceiptNews = { conv: w.conv, user: w.user }
    if (delivered > 0) news.delivered = delivered
    if (read > 0) news.read = read
    if (read > 0) for (const s of this.deps.roster.ofUser(w.user)) if (s !== w.by) s.extras.receipt(news)
    for (const author of await this.authors(w, before, Math.max(delivered, read))) {
      if (author !== w.user) for (const s of this.deps.roster.ofUser(author)) s.extras.receipt(news)
    }
  }

  private async authors (w: Waiting, after: number, upTo: number): Promise<Iterable<UserId>> {
    if (!isGroupKey(w.conv)) return usersOf(w.conv)
    const most = this.deps.limits.receiptMembers
    if (most !== 0 && await this.deps.directory.memberCount(groupOf(w.conv)) > most) return []
    const from = Math.max(after, upTo - AUTHORS_OF)
    const entries = await this.deps.log.page(w.conv, { after: from, limit: Math.max(1, upTo - from) })
    return new Set(entries.map(e => e.from))
  }
}

/** @throws ParleyError bad-request */
function parseReceipt (payload: Buffer): { delivered: number, read: number } {
  const bad = (why: string): never => { throw new ParleyError('bad-request', `a receipt is {"delivered":seq} or {"read":seq}: ${why}`) }
  if (payload.length > 1024 || !isUtf8(payload)) bad('no valid UTF-8, or over 1 KiB')
  const members = scanObject(payload)
  if (typeof members === 'string') return bad(members)
  const out = { delivered: 0, read: 0 }
  const seen = new Set<string>()
  for (const m of members) {
    if (m.name !== 'delivered' && m.name !== 'read') return bad(`unknown name ${JSON.stringify(m.name.slice(0, 40))}`)
    if (seen.has(m.name)) bad(`${m.name} is given twice`)
    seen.add(m.name)
    const v: unknown = JSON.parse(payload.toString('utf8', m.start, m.end))
    if (!Number.isSafeInteger(v) || (v as number) < 0) bad(`${m.name} is no seq`)
    out[m.name] = v as number
  }
  if (seen.size === 0) bad('one of them is required')
  return out
}
