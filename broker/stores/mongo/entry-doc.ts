import { Binary, ObjectId } from 'mongodb'
import type { Counts, Entry, Head } from '../../domain/entry.js'
import type { ConvKey, DeviceId, UserId } from '../../domain/ids.js'
import type { Draft } from '../../ports/log.js'

/** An entry in the collection `log`. What is empty is left out. */
export interface EntryDoc {
  _id: ObjectId
  /** Conversation, seq. */
  c: string
  s: number
  /** Author and idempotency key; one of the broker's own making begins with {@link OWN}. */
  u: string
  cid: string
  ts: number
  n: Counts
  d?: string
  t?: string
  /** Members of the delivered JSON. */
  f?: Binary
  /** Opaque bytes. */
  b?: Binary
  exp?: number
  h: number
  p?: number
  push?: Binary
  /** JSON of what it changed beside the log: for nodes that missed its news. */
  e?: string
}

/** No cid of a client's begins so: control characters are refused. */
const OWN = '\u0000'
/** The unique index on (conversation, author, cid) wants one of each entry. */
export const ownCid = (random: string): string => OWN + random
const NONE = Buffer.alloc(0)
/** A document has at most 16 MiB, of which names and the rest need little. */
export const MOST_BYTES = 15 << 20

export function toDoc (d: Draft, _id: ObjectId, cid: string, place: Head): EntryDoc {
  const doc: EntryDoc = { _id, c: d.conv, s: place.seq, u: d.from, cid, ts: place.ts, n: place.counts, h: d.hash }
  if (d.dev !== '') doc.d = d.dev
  if (d.type !== 'text') doc.t = d.type
  if (d.fields.length > 0) doc.f = new Binary(d.fields)
  if (d.bytes !== null) doc.b = new Binary(d.bytes)
  if (d.exp !== 0) doc.exp = d.exp
  if (d.packetId !== 0) doc.p = d.packetId
  if (d.push.length > 0) doc.push = new Binary(d.push)
  if (d.effects !== undefined) doc.e = JSON.stringify(d.effects)
  return doc
}

/** The document of an entry that has its place already. By its `_id` it is as old as it is: nodes look for what is new by that. */
export function docOfEntry (e: Entry): EntryDoc {
  const seconds = Math.min(Math.floor(e.ts / 1000), 0xffffffff).toString(16).padStart(8, '0')
  return toDoc({ ...e, nowMs: e.ts, dup: false }, new ObjectId(seconds + new ObjectId().toHexString().slice(8)), e.cid === '' ? ownCid(String(e.seq)) : e.cid, e)
}

export function toEntry (doc: EntryDoc): Entry {
  return {
    conv: doc.c as ConvKey, seq: doc.s, ts: doc.ts, counts: doc.n, from: doc.u as UserId, dev: (doc.d ?? '') as DeviceId | '',
    cid: doc.cid.startsWith(OWN) ? '' : doc.cid, type: doc.t ?? 'text', fields: bytesOf(doc.f) ?? NONE, bytes: bytesOf(doc.b) ?? null,
    exp: doc.exp ?? 0, hash: doc.h, packetId: doc.p ?? 0, push: bytesOf(doc.push) ?? NONE
  }
}

/** The driver gives a view of all that the answer held; what is kept must not keep that. */
const bytesOf = (b: Binary | undefined): Buffer | undefined => b === undefined ? undefined : Buffer.from(b.buffer.subarray(0, b.position))
