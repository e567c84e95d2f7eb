import type { ConvKey, UserId } from '../domain/ids.js'
import { nameOf } from '../domain/ids.js'
import { Outgoing } from './outgoing.js'
import type { Grants } from './grants.js'
import type { Link } from './link.js'

const MAX_EVENTS = 100
const MAX_ANSWERS = 8
/** Past this many conversations with newer marks the device is told to ask for all. */
const MAX_MARKS = 200

/** A receipt as it goes out on `me/rcpt`. */
export interface ReceiptNews { conv: ConvKey, user: UserId, delivered?: number, read?: number }

/** The session, as its extras see it. */
interface Window {
  readonly user: UserId
  readonly closed: boolean
  readonly grants: Grants
  readonly link: Link
  /** Most packets in flight. */
  readonly window: number
  readonly flights: { readonly size: number }
  /** A new packet in flight that is no entry: its packet id. */
  flyOther (): number
}

/**
 * What a session is told besides entries, while its window may be full: marks are merged per conversation and user,
 * events wait up to a bound and then become one `resync`, answers wait up to a bound (protocol.md, below the table of
 * what a client subscribes to).
 */
export class Extras {
  private readonly marks = new Map<string, ReceiptNews>()
  private events: Outgoing[] = []
  private answers: Outgoing[] = []
  private resync = false
  constructor (private readonly session: Window) {}

  receipt (news: ReceiptNews): void {
    if (!this.session.grants.holds('rcpt')) return
    const key = `${news.conv}\n${news.user}`
    const waiting = this.marks.get(key)
    this.marks.set(key, waiting === undefined ? news : {
      ...news, delivered: most(waiting.delivered, news.delivered), read: most(waiting.read, news.read)
    })
    if (this.marks.size > MAX_MARKS) { this.marks.clear(); this.resync = true }
    this.drain()
  }

  event (out: Outgoing): void {
    if (!this.session.grants.holds('evt')) return
    if (this.events.length < MAX_EVENTS) this.events.push(out)
    else { this.events = []; this.resync = true }
    this.drain()
  }

  /** Whether one more answer may be made for this session. */
  get takesAnswers (): boolean { return this.answers.length < MAX_ANSWERS }

  answer (out: Outgoing): void {
    if (!this.session.grants.holds('rpc') || (out.reply !== null && out.reply.suffix !== '' && !this.session.grants.deep)) return
    if (this.session.window === 1) { this.session.link.deliver(out, 0, 0, false, this.session.grants.isLong('rpc')); return }
    this.answers.push(out)
    this.drain()
  }

  drain (): void {
    const s = this.session
    while (!s.closed) {
      const out = this.peek()
      if (out === undefined) return
      const qos = s.window === 1 ? 0 : s.grants.qos(out.branch)
      if (qos === 1 && s.flights.size >= s.window) return
      this.take(out)
      if (s.grants.holds(out.branch)) s.link.deliver(out, qos, qos === 0 ? 0 : s.flyOther(), false, s.grants.isLong(out.branch))
    }
  }

  private peek (): Outgoing | undefined {
    const first = this.answers[0] ?? this.events[0]
    if (first !== undefined) return first
    if (this.resync) return Outgoing.json('evt', { type: 'resync' })
    const mark = this.marks.values().next().value
    if (mark === undefined) return undefined
    const user = !mark.conv.startsWith('g/') && mark.user !== this.session.user ? undefined : mark.user
    return Outgoing.json('rcpt', { conv: nameOf(mark.conv, this.session.user), delivered: mark.delivered, read: mark.read, user })
  }

  private take (out: Outgoing): void {
    if (out === this.answers[0]) this.answers.shift()
    else if (out === this.events[0]) this.events.shift()
    else if (out.branch === 'evt') this.resync = false
    else this.marks.delete(this.marks.keys().next().value!)
  }
}

const most = (a?: number, b?: number): number | undefined => a === undefined ? b : b === undefined ? a : Math.max(a, b)
