import type { ConvKey, UserId } from '../domain/ids.js'
import { isGroupKey, nameOf } from '../domain/ids.js'
import type { Branch } from '../domain/topics.js'
import { Outgoing } from './outgoing.js'
import type { Grants } from './grants.js'
import type { Link } from './link.js'

const MAX_EVENTS = 100
const MAX_ANSWERS = 8
/** Past this many conversations with newer marks the device is told to ask for all. */
const MAX_MARKS = 200
/** What goes at QoS 0 waits while more than this is on its way to the kernel: who does not read costs no memory. */
const MAX_UNSENT_BYTES = 64 << 10

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
  /** Whether the client takes a PUBLISH of this size. */
  fits (out: Outgoing): boolean
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
  private answers: { out: Outgoing, left: () => void }[] = []
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
    if (this.resync) return // asks for all, this too
    if (this.events.length < MAX_EVENTS) this.events.push(out)
    else { this.events = []; this.resync = true }
    this.drain()
  }

  /** Whether one more request may be worked on while `open` ones were not answered: its answer must find a place. */
  takesAnswers (open: number): boolean {
    return open < MAX_ANSWERS || this.qos('rpc') === 0 || this.session.flights.size < this.session.window
  }

  get waiting (): boolean { return this.first() !== null }

  /** Whether the device holds the branch on which that answer goes. */
  hears (reply: Outgoing['reply']): boolean {
    const { grants } = this.session
    return grants.holds('rpc') && (reply === null || reply.suffix === '' || grants.deep)
  }

  /** `left` is called when the answer went out, or is not heard. */
  answer (out: Outgoing, left: () => void): void {
    if (!this.hears(out.reply)) { left(); return }
    this.answers.push({ out, left })
    this.drain()
  }

  private qos (branch: Branch): 0 | 1 { return this.session.window === 1 ? 0 : this.session.grants.qos(branch) }

  drain (): void {
    const s = this.session
    for (let branch = this.first(); branch !== null && !s.closed; branch = this.first()) {
      const qos = this.qos(branch)
      if (qos === 1 ? s.flights.size >= s.window : s.link.unsentBytes > MAX_UNSENT_BYTES) return
      const out = this.take(branch)
      if (s.grants.holds(branch) && s.fits(out)) s.link.deliver(out, qos, qos === 0 ? 0 : s.flyOther(), false, s.grants.isLong(branch))
    }
  }

  /** The branch of what goes next; null: nothing waits. */
  private first (): 'rpc' | 'evt' | 'rcpt' | null {
    if (this.answers.length > 0) return 'rpc'
    return this.events.length > 0 || this.resync ? 'evt' : this.marks.size > 0 ? 'rcpt' : null
  }

  private take (branch: 'rpc' | 'evt' | 'rcpt'): Outgoing {
    if (branch === 'rpc') {
      const { out, left } = this.answers.shift()!
      left()
      return out
    }
    if (branch === 'evt') {
      if (this.events.length > 0) return this.events.shift()!
      this.resync = false
      return Outgoing.json('evt', { type: 'resync' })
    }
    const [key, { conv, user, delivered, read }] = this.marks.entries().next().value!
    this.marks.delete(key)
    const named = !isGroupKey(conv) && user !== this.session.user ? undefined : user
    return Outgoing.json('rcpt', { conv: nameOf(conv, this.session.user), delivered, read, user: named })
  }
}

const most = (a?: number, b?: number): number | undefined => a === undefined ? b : b === undefined ? a : Math.max(a, b)
