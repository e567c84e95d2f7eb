import { cidOf, type Content, decodeContent, type Envelope } from '../domain/content.js'
import { payloadHash } from '../domain/entry.js'
import { asParleyError, ParleyError } from '../domain/errors.js'
import type { Effects } from '../domain/group.js'
import type { ConvKey, DeviceId, UserId } from '../domain/ids.js'
import { keyOf, type Target } from '../domain/topics.js'
import type { Clock } from '../ports/clock.js'
import type { AppendResult, Committed, Draft, LogStore } from '../ports/log.js'
import type { Logger } from '../ports/logger.js'
import type { Publishing } from '../plugin.js'
import type { Access } from './access.js'
import type { HookRunner } from './hooks.js'

/** A message as it came in. */
export interface Message extends Envelope {
  to: Target
  payload: Buffer
  /** MQTT packet id; 0 for QoS 0 and HTTP. */
  packetId: number
  /** A library's resend (MQTT DUP). */
  dup: boolean
}

/** How a publish ended. `dropped`: only for now, unanswered; the connection is closed and its library sends again. */
export type Outcome =
  | { kind: 'stored', conv: ConvKey, seq: number, ts: number, cid: string }
  | { kind: 'refused', conv: ConvKey, error: ParleyError, cid: string }
  | { kind: 'dropped' }

/** One sender: what it publishes is appended in the order in which it came, whatever look-ups and hooks take. */
export class Lane {
  /** Behind a message that still waits for a look-up or a hook. */
  readonly waiting: (() => void)[] = []
  blocked = false
  /** The connection is gone: nobody waits for an outcome any more. */
  closed = false
  private to: Target | null = null
  private conv = '' as ConvKey
  constructor (readonly user: UserId, readonly device: DeviceId | '') {}

  /** The conversation; for the same target the same string, which Maps then find without comparing characters. */
  convWith (to: Target): ConvKey {
    if (to !== this.to) {
      this.to = to
      this.conv = keyOf(to, this.user)
    }
    return this.conv
  }
}

const NONE = Buffer.alloc(0)
/** A plugin that is too slow, or asks for patience without saying how long, is asked again after this. */
const RETRY_MS = 1000
/** What a plugin asks for is kept within these: no hot loop, and no sender that waits for days. */
const [MIN_RETRY_MS, MAX_RETRY_MS] = [100, 60_000]
/** Where a refused message is looked for: as far as a resend without a cid is known (protocol.md, Content). */
const RESENT_AMONG = { limit: 200, maxBytes: 1 << 20 }
/** An unknown outcome is settled by appending again, at most this long. */
const SETTLE_MS = 10_000

export class Publisher {
  constructor (private readonly deps: {
    log: LogStore, access: Access, hooks: HookRunner, clock: Clock, logger: Logger
    limits: { readonly messageBytes: number }
    appended (ms: number): void
    /** Hands a committed entry to whom it concerns, waiting for nobody. */
    announce (c: Committed): void
  }) {}

  /** `done` is called exactly once; at once when the message is refused without a look-up. */
  publish (lane: Lane, m: Message, done: (outcome: Outcome) => void): void {
    const conv = lane.convWith(m.to)
    if (lane.blocked || lane.waiting.length > 0) lane.waiting.push(() => this.step(lane, conv, m, done))
    else this.step(lane, conv, m, done)
  }

  private step (lane: Lane, conv: ConvKey, m: Message, done: (outcome: Outcome) => void): void {
    let cid = m.cid ?? ''
    const refuse = (error: ParleyError): void => {
      if (error.final) done({ kind: 'refused', conv, error, cid: cid === '' ? cidOf(m.payload, m) : cid })
      else this.later(lane, error, done, () => this.step(lane, conv, m, done))
    }
    const failed = (e: unknown): ParleyError => {
      const error = asParleyError(e)
      if (error.code === 'internal') this.deps.logger.error({ err: error.cause ?? error, user: lane.user, conv }, 'a publish failed')
      return error
    }
    try {
      if (m.payload.length > this.deps.limits.messageBytes) throw new ParleyError('too-large', `a message has at most ${this.deps.limits.messageBytes} bytes`)
      const content = decodeContent(m.payload, m)
      cid = content.cid
      const decide = (refusal: ParleyError | null): void => {
        const draft = this.draft(lane, conv, m, content)
        if (refusal === null) this.append(lane, draft, done)
        else if (refusal.final && (draft.cid !== '' || draft.dup)) this.resent(draft, done, () => refuse(refusal))
        else refuse(refusal)
      }
      const allowed = this.allowed(lane, conv, content)
      if (!(allowed instanceof Promise)) decide(allowed)
      else {
        lane.blocked = true
        allowed.catch(failed).then(refusal => {
          lane.blocked = false
          decide(refusal)
        }).catch((e: unknown) => { refuse(failed(e)) }).finally(() => { this.goOn(lane) })
      }
    } catch (e) { refuse(failed(e)) }
  }

  /**
   * A resend gets the first one's answer, whatever was decided since: its sender was removed, a plugin is of another
   * mind. Else `refuse`. Looks at the newest entries, which a library's resend is among.
   */
  private resent (draft: Draft, done: (outcome: Outcome) => void, refuse: () => void): void {
    this.deps.log.page(draft.conv, { before: Number.MAX_SAFE_INTEGER, ...RESENT_AMONG }).then(entries => {
      const first = entries.find(e => e.from === draft.from && e.hash === draft.hash &&
        (draft.cid === '' ? e.cid === '' && e.dev === draft.dev && e.packetId === draft.packetId : e.cid === draft.cid))
      if (first === undefined) refuse()
      else done({ kind: 'stored', conv: draft.conv, seq: first.seq, ts: first.ts, cid: draft.cid })
    }, refuse)
  }

  /** What is only for now is late, not refused (guarantee 5): `again` after a while, and what the sender sent behind it then. */
  private later (lane: Lane, why: ParleyError, done: (outcome: Outcome) => void, again: () => void): void {
    lane.blocked = true
    const waitMs = why.retryAfterMs ?? RETRY_MS
    this.deps.clock.after(Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, MIN_RETRY_MS), MAX_RETRY_MS) : RETRY_MS, () => {
      lane.blocked = false
      if (lane.closed) done({ kind: 'dropped' })
      else again()
      this.goOn(lane)
    })
  }

  private goOn (lane: Lane): void {
    while (!lane.blocked && lane.waiting.length > 0) lane.waiting.shift()!()
  }

  /** May-post, then the plugins' say. Null: yes; a promise only when something has to be waited for. */
  private allowed (lane: Lane, conv: ConvKey, content: Content): ParleyError | null | Promise<ParleyError | null> {
    const may = this.deps.access.mayPost(lane.user, conv)
    if (!this.deps.hooks.has('willPublish')) return may
    if (may instanceof Promise) return may.then(async refusal => refusal ?? await this.hooked(lane, conv, content))
    return may ?? this.hooked(lane, conv, content)
  }

  private hooked (lane: Lane, conv: ConvKey, content: Content): ParleyError | null | Promise<ParleyError | null> {
    try {
      const done = this.deps.hooks.willPublish(publishing(lane, conv, content))
      return done === undefined ? null : done.then(() => null, asParleyError)
    } catch (e) { return asParleyError(e) }
  }

  private draft (lane: Lane, conv: ConvKey, m: Message, c: Content): Draft {
    const now = this.deps.clock.now()
    return {
      conv, from: lane.user, dev: lane.device, cid: c.cid, type: c.type, fields: c.fields, bytes: c.bytes, push: c.push,
      exp: c.ttlSeconds === 0 ? 0 : now + c.ttlSeconds * 1000,
      hash: payloadHash(m.payload, m.raw ? 1 : 0), packetId: m.packetId, nowMs: now, dup: m.dup
    }
  }

  private append (lane: Lane, draft: Draft, done: (outcome: Outcome) => void): void {
    const t0 = performance.now()
    const broken = (err: unknown): void => {
      this.deps.logger.error({ err, conv: draft.conv }, 'the log store broke its promise never to reject')
      done({ kind: 'dropped' })
    }
    this.deps.log.append(draft).then(result => {
      try {
        this.deps.appended(performance.now() - t0)
        this.settled(lane, draft, result, done, this.deps.clock.now())
      } catch (err) { broken(err) }
    }, broken)
  }

  private settled (lane: Lane, draft: Draft, r: AppendResult, done: (outcome: Outcome) => void, sinceMs: number, tries = 0): void {
    switch (r.kind) {
      case 'stored':
        done({ kind: 'stored', conv: draft.conv, seq: r.entry.seq, ts: r.entry.ts, cid: draft.cid })
        this.announce({ entry: r.entry, afterMs: r.afterMs, effects: draft.effects })
        return
      case 'already-stored':
        done({ kind: 'stored', conv: draft.conv, seq: r.entry.seq, ts: r.entry.ts, cid: draft.cid })
        return
      case 'conflict':
        done({ kind: 'refused', conv: draft.conv, cid: draft.cid, error: new ParleyError('conflict', 'another message was stored under this cid') })
        return
      case 'not-stored':
        this.deps.logger.warn({ err: r.cause, conv: draft.conv }, 'a message was not stored; its sender is not answered and will send it again')
        done({ kind: 'dropped' })
        return
      case 'unknown':
        // never taken for "not stored": asking again under the same identity settles it
        if (lane.closed || this.deps.clock.now() - sinceMs > SETTLE_MS) { done({ kind: 'dropped' }); return }
        this.deps.clock.after(Math.min(1000, 20 * 2 ** tries), () => {
          this.deps.log.append({ ...draft, dup: true }).then(
            next => this.settled(lane, draft, next, done, sinceMs, tries + 1), () => done({ kind: 'dropped' }))
        })
    }
  }

  /** Appends what no device sent, with its effects. @throws ParleyError conflict, unavailable */
  async system (e: { conv: ConvKey, from: UserId, body: unknown, effects?: Effects }): Promise<{ seq: number, ts: number }> {
    const lane = new Lane(e.from, '')
    const draft: Draft = {
      conv: e.conv, from: e.from, dev: '', cid: '', type: 'system', fields: Buffer.from(`"body":${JSON.stringify(e.body)}`), bytes: null, push: NONE,
      exp: 0, hash: 0, packetId: 0, nowMs: this.deps.clock.now(), dup: false, effects: e.effects
    }
    const outcome = await new Promise<Outcome>(resolve => this.append(lane, draft, resolve))
    if (outcome.kind === 'stored') return { seq: outcome.seq, ts: outcome.ts }
    if (outcome.kind === 'refused') throw outcome.error
    throw new ParleyError('unavailable', 'the store cannot commit now', { retryAfterMs: 1000 })
  }

  private announce (c: Committed): void {
    this.deps.announce(c)
    if (this.deps.hooks.has('didPublish')) this.deps.hooks.didPublish({ entry: c.entry })
  }
}

function publishing (lane: Lane, conv: ConvKey, content: Content): Publishing {
  let parsed: { body?: unknown } | null = null
  const fields = (): { body?: unknown } => parsed ??= JSON.parse(`{${content.fields.toString()}}`) as { body?: unknown }
  return {
    user: lane.user, device: lane.device, conv, type: content.type, cid: content.cid,
    body: () => content.bytes === null ? fields().body : undefined,
    replaceBody (body) {
      const text = JSON.stringify(body) as string | undefined
      if (text === undefined) throw new TypeError('replaceBody needs a JSON value')
      // mime says what the bytes were, of which nothing is left
      const others = Object.entries(fields()).filter(([k]) => k !== 'body' && k !== 'mime').map(([k, v]) => `,${JSON.stringify(k)}:${JSON.stringify(v)}`).join('')
      content.fields = Buffer.from(`"body":${text}${others}`)
      content.bytes = null
      parsed = null
    }
  }
}
