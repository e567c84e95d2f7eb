import { isUtf8 } from 'node:buffer'
import { EMPTY_HEAD } from '../domain/entry.js'
import { ParleyError } from '../domain/errors.js'
import { type ConvKey, groupOf, isGroupKey, type UserId } from '../domain/ids.js'
import { scanObject } from '../domain/json-scan.js'
import { type Bus, userChannel } from '../ports/bus.js'
import type { Clock } from '../ports/clock.js'
import type { Directory } from '../ports/directory.js'
import type { InboxRow, InboxStore, Mark } from '../ports/inbox.js'
import type { LogStore } from '../ports/log.js'
import type { Logger } from '../ports/logger.js'
import type { ReceiptNews } from './extras.js'
import type { Roster } from './roster.js'
import type { Session } from './session.js'

/** At most one news per conversation and user in this time. */
const EVERY_MS = 1000
/** Authors among this many newest entries that are newly covered are told. */
const AUTHORS_OF = 200

/** Marks of one user in one conversation that were not told yet. `by`: the only device that said so, which need not be told. */
interface Waiting {
  conv: ConvKey
  user: UserId
  delivered: number
  read: number
  /** Seqs up to here were covered before the marks that are stored already. */
  after: number
  by: Session | null
}

/** Delivered and read marks of users: raised, stored, told. */
export class Receipts {
  private readonly waiting = new Map<string, Waiting>()
  private armed = false
  private running: Promise<void> = Promise.resolve()

  constructor (private readonly deps: {
    log: LogStore, inbox: InboxStore, directory: Directory, roster: Roster, bus: Pick<Bus, 'publish'>, clock: Clock, logger: Logger
    limits: { readonly receiptMembers: number }
  }) {}

  /** Devices of the user acknowledged up to `seq`. */
  delivered (user: UserId, conv: ConvKey, seq: number): void {
    this.note({ conv, user, delivered: seq, read: 0, after: Infinity, by: null })
  }

  /**
   * `rcpt` of a device: the user's marks and this device's cursor move. The marks are stored when it resolves.
   * @throws ParleyError bad-request, not-member, unavailable
   */
  async fromDevice (session: Session, conv: ConvKey, payload: Buffer): Promise<void> {
    const { user } = session
    const said = parseReceipt(payload)
    const row = await this.deps.inbox.row(user, conv)
    if (row === undefined || row.left !== 0) {
      if (isGroupKey(conv)) throw new ParleyError('not-member', 'you are not a member of the group')
      return // nothing was said there yet
    }
    const [head = EMPTY_HEAD] = await this.deps.log.heads([conv])
    const read = Math.min(said.read, head.seq)
    const delivered = Math.min(Math.max(said.delivered, read), head.seq)
    if (delivered > 0) session.moveTo(conv, delivered)
    const mark = await this.raised(row, user, delivered, read)
    if (mark === null) return
    await this.deps.inbox.mark([mark])
    this.note({ conv, user, delivered: mark.delivered ?? 0, read: mark.read ?? 0, after: mark.read === undefined ? row.delivered : row.read, by: session })
  }

  private note (n: Waiting): void {
    const key = `${n.conv}\n${n.user}`
    const w = this.waiting.get(key)
    if (w === undefined) this.waiting.set(key, n)
    else {
      if (n.read > w.read) w.by = n.by
      w.delivered = Math.max(w.delivered, n.delivered)
      w.read = Math.max(w.read, n.read)
      w.after = Math.min(w.after, n.after)
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
      try { await this.one(w) } catch (err) { this.deps.logger.warn({ err, conv: w.conv, user: w.user }, 'a receipt could not be stored') }
    }
  }

  private async one (w: Waiting): Promise<void> {
    const row = await this.deps.inbox.row(w.user, w.conv)
    if (row === undefined || row.left !== 0) return
    const mark = await this.raised(row, w.user, w.delivered, w.read)
    if (mark !== null) {
      await this.deps.inbox.mark([mark])
      w.after = Math.min(w.after, row.delivered)
    }
    if (w.after !== Infinity) await this.tell(w)
  }

  /** What of the marks is above those that are stored; null: nothing. */
  private async raised (row: InboxRow, user: UserId, delivered: number, read: number): Promise<Mark | null> {
    const mark: Mark = { user, conv: row.conv }
    if (Math.max(delivered, read) > row.delivered) mark.delivered = Math.max(delivered, read)
    if (read > row.read) {
      mark.read = read
      mark.readCounts = (await this.deps.log.page(row.conv, { after: read - 1, limit: 1 }))[0]?.counts
    }
    return mark.delivered === undefined && mark.read === undefined ? null : mark
  }

  /** My own other devices of what was read; the authors of what is newly covered when the group is small. */
  private async tell (w: Waiting): Promise<void> {
    const news: ReceiptNews = { conv: w.conv, user: w.user }
    if (w.delivered > 0) news.delivered = w.delivered
    if (w.read > 0) news.read = w.read
    if (w.read > 0) this.send(w.user, news, w.by)
    for (const author of await this.authors(w)) if (author !== w.user) this.send(author, news, null)
  }

  private send (to: UserId, news: ReceiptNews, not: Session | null): void {
    this.deps.bus.publish(userChannel(to), { kind: 'receipt', ...news })
    this.deliver(to, news, not)
  }

  /** To the user's sessions on this node. `not`: who said so. */
  deliver (to: UserId, news: ReceiptNews, not: Session | null): void {
    for (const s of this.deps.roster.ofUser(to)) if (s !== not) s.extras.receipt(news)
  }

  private async authors ({ conv, user, after, delivered, read }: Waiting): Promise<Iterable<UserId>> {
    const most = this.deps.limits.receiptMembers
    if (isGroupKey(conv) && most !== 0 && await this.deps.directory.memberCount(groupOf(conv)) > most) return []
    const upTo = Math.max(delivered, read)
    // most often the newest entry tells of the one peer that there is
    const [newest] = isGroupKey(conv) ? [] : await this.deps.log.page(conv, { after: upTo - 1, limit: 1 })
    if (newest !== undefined && newest.from !== user) return [newest.from]
    const from = Math.max(after, upTo - AUTHORS_OF)
    const entries = await this.deps.log.page(conv, { after: from, limit: Math.max(1, upTo - from) })
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
