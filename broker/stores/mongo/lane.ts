import type { ObjectId } from 'mongodb'
import { countsAfter, type Entry, type Head } from '../../domain/entry.js'
import type { ConvKey } from '../../domain/ids.js'
import type { AppendResult, Draft } from '../../ports/log.js'

/** An entry that waits for its place. */
export interface Waiting {
  readonly draft: Draft
  /** Made once: whatever becomes of a try, the next one sends the same. */
  readonly id: ObjectId
  readonly cid: string
  /** The newest entries were searched for a resend without cid. */
  searched: boolean
  readonly resolve: (r: AppendResult) => void
}

/** Waits in front of this many of its own conversation goes in an insert of their own. */
export const ORDERED_FROM = 4
const MOST_ORDERED = 100
const MOST_BYTES = 4 << 20

/** The appends of one conversation on this node: in order, at most one write in flight. */
export class Lane {
  readonly queue: Waiting[] = []
  /** The last entry as far as known here; null: to be asked. */
  head: Head | null = null
  busy = false
  /** Tries in a row that came to nothing. */
  tries = 0
  constructor (readonly conv: ConvKey) {}

  /** The first waits for more than its insert: it changes members, or may be a resend that only its place tells. */
  get alone (): boolean { return needsMore(this.queue[0]!) }
  get long (): boolean { return this.queue.length >= ORDERED_FROM }

  /** What goes in one ordered insert. */
  batch (): Waiting[] {
    const out: Waiting[] = []
    let bytes = 0
    for (const w of this.queue) {
      if (out.length === MOST_ORDERED || bytes > MOST_BYTES || needsMore(w)) break
      out.push(w)
      bytes += sizeOf(w.draft)
    }
    return out
  }
}

const needsMore = ({ draft: d, searched }: Waiting): boolean => d.effects !== undefined || (d.dup && d.cid === '' && d.packetId !== 0 && !searched)

export const sizeOf = (d: Draft): number => d.fields.length + (d.bytes?.length ?? 0) + d.push.length

export const entryAt = (d: Draft, { seq, ts, counts }: Head): Entry => ({
  conv: d.conv, seq, ts, counts, from: d.from, dev: d.dev, cid: d.cid, type: d.type,
  fields: d.fields, bytes: d.bytes, exp: d.exp, hash: d.hash, packetId: d.packetId, push: d.push
})

/** The place behind `head`. */
export const placeAfter = (head: Head, d: Draft): Head =>
  ({ seq: head.seq + 1, ts: Math.max(d.nowMs, head.ts), counts: countsAfter(head.counts, d.conv, d.from, d.type) })
