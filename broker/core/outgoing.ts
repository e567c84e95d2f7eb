import { entryJson, type Entry } from '../domain/entry.js'
import { nameOf, type UserId } from '../domain/ids.js'
import type { Branch } from '../domain/topics.js'

/** One payload for one branch of one or many inboxes. */
export class Outgoing {
  /** What a transport made of it for one receiver and may use for the next; its own business. */
  encoded: object | null = null
  /** For an answer on an MQTT 5 Response Topic: what follows `me/rpc` there, and the Correlation Data. */
  reply: { suffix: string, correlationData?: Buffer } | null = null
  constructor (readonly branch: Branch, readonly bytes: Buffer) {}

  static json (branch: Branch, value: unknown): Outgoing {
    return new Outgoing(branch, Buffer.from(JSON.stringify(value)))
  }
}

/** An entry as its receivers see it: each form is built once, when the first receiver needs it. */
export class EntryView {
  private forOthers: Outgoing | null = null
  private forAuthor: Outgoing | null = null
  constructor (readonly entry: Entry) {}

  /** As `user` gets it on `me/msg`. In a group all but the author share one; so does the peer's side of a direct conversation. */
  for (user: UserId, nowMs: number): Outgoing {
    const e = this.entry
    if (e.exp !== 0 && e.exp <= nowMs) return this.build(user, nowMs)
    return user === e.from
      ? this.forAuthor ??= this.build(user, nowMs)
      : this.forOthers ??= this.build(user, nowMs)
  }

  private build (user: UserId, nowMs: number): Outgoing {
    const e = this.entry
    return new Outgoing('msg', entryJson(e, { conv: nameOf(e.conv, user), own: user === e.from, full: false }, nowMs))
  }
}
