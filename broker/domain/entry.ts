import { type ConvKey, type ConvName, type DeviceId, isFirstOf, isGroupKey, type UserId } from './ids.js'

/**
 * Messages so far in a conversation (no edits, reactions, recalls, system entries): in a group `[total, 0]`; in a
 * direct conversation one count per author, in the order of the sorted user ids. The difference of two counts is an
 * unread number without reading what lies between.
 */
export type Counts = readonly [number, number]

/** Where a conversation stands. An empty one has seq 0. */
export interface Head { readonly seq: number, readonly ts: number, readonly counts: Counts }
export const EMPTY_HEAD: Head = { seq: 0, ts: 0, counts: [0, 0] }

/** One item of a conversation's log, as stored. */
export interface Entry {
  readonly conv: ConvKey
  /** 1, 2, 3 … per conversation, without gaps. */
  readonly seq: number
  /** Server time, ms since the epoch, never decreasing with seq. */
  readonly ts: number
  readonly counts: Counts
  readonly from: UserId
  /** Empty for what no device sent (system entries, HTTP). */
  readonly dev: DeviceId | ''
  /** The idempotency key; empty when the sender gave none. */
  readonly cid: string
  readonly type: string
  /** Members of the delivered JSON as they are spliced in, without braces: `"body":…,"ref":…`. May be empty (recall). */
  readonly fields: Buffer
  /** What an app sent as opaque bytes; delivered as base64. Null for JSON content. */
  readonly bytes: Buffer | null
  /** When it disappears, ms since the epoch; 0: never. */
  readonly exp: number
  /** {@link payloadHash} of what was received: tells a resend from a conflict. */
  readonly hash: number
  /** MQTT packet id of a message without cid, by which a resend with DUP is known; 0: none. */
  readonly packetId: number
  /** The `push` hints as received, a JSON object; empty: none. */
  readonly push: Buffer
}

/** Types that the broker gives a meaning; the rest is the app's. */
export const RESERVED_TYPES = ['edit', 'recall', 'react', 'system'] as const

/** Edits, recalls, reactions and system entries are no messages: they do not count as unread. */
export const countsAsMessage = (type: string): boolean => !(RESERVED_TYPES as readonly string[]).includes(type)

/** The counts after one more entry. */
export function countsAfter (head: Counts, conv: ConvKey, from: UserId, type: string): Counts {
  if (!countsAsMessage(type)) return head
  if (isGroupKey(conv) || isFirstOf(conv, from)) return [head[0] + 1, head[1]]
  return [head[0], head[1] + 1]
}

/** Bound once: as a member of a global it is looked up for each byte, which is slow where globals are not the engine's own (node:vm). */
const { imul } = Math

/** A 53-bit hash (cyrb53, public domain) of a payload as received, seeded by its kind. Not for security: sender and resender are one. */
export function payloadHash (bytes: Buffer, seed: number): number {
  let h1 = 0xdeadbeef ^ seed
  let h2 = 0x41c6ce57 ^ seed
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i]!
    h1 = imul(h1 ^ c, 2654435761)
    h2 = imul(h2 ^ c, 1597334677)
  }
  h1 = imul(h1 ^ (h1 >>> 16), 2246822507) ^ imul(h2 ^ (h2 >>> 13), 3266489909)
  h2 = imul(h2 ^ (h2 >>> 16), 2246822507) ^ imul(h1 ^ (h1 >>> 13), 3266489909)
  return 4294967296 * (2097151 & h2) + (h1 >>> 0)
}

/** How much of an entry a reader is shown: `short` leaves out what can be told without it (deliveries); `full` never does (operations). */
export interface Look {
  /** As the reader writes the conversation. */
  conv: ConvName
  /** The author's own devices get `cid` and `dev`. */
  own: boolean
  full: boolean
}

/** The delivered JSON of an entry (protocol.md, Entry). An entry past its `exp` is given as erased. */
export function entryJson (e: Entry, look: Look, nowMs: number): Buffer {
  let head = `{"conv":"${look.conv}","seq":${e.seq},"ts":${e.ts}`
  if (e.exp !== 0 && e.exp <= nowMs) return Buffer.from(`${head},"erased":"expired"}`, 'latin1')
  if (look.full || isGroupKey(e.conv) || look.own) head += `,"from":"${e.from}"`
  if (look.full || e.type !== 'text') head += `,"type":${JSON.stringify(e.type)}`
  if (e.bytes !== null) head += `,"bytes":"${e.bytes.toString('base64')}"`
  let tail = '}'
  if (e.exp !== 0) tail = `,"exp":${e.exp}}`
  if (look.own) {
    const cid = e.cid === '' ? '' : `,"cid":${JSON.stringify(e.cid)}`
    const dev = e.dev === '' ? '' : `,"dev":${JSON.stringify(e.dev)}`
    tail = cid + dev + tail
  }
  if (e.fields.length === 0) return Buffer.from(head + tail)
  head += ','
  const h = Buffer.byteLength(head)
  const out = Buffer.allocUnsafe(h + e.fields.length + Buffer.byteLength(tail))
  out.write(head, 0)
  e.fields.copy(out, h)
  out.write(tail, h + e.fields.length)
  return out
}
