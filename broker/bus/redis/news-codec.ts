import type { Entry } from '../../domain/entry.js'
import { packMessage, unpackMessage } from '../../domain/message-bytes.js'
import type { News, NodeId } from '../../ports/bus.js'

/** Of what nodes tell each other. One that does not know a version, or a kind, leaves the message unread: the log has it. */
const VERSION = 1
type Bodies = Pick<Entry, 'fields' | 'bytes' | 'push'>

/**
 * A message on a channel: length of the head (u32), the head as JSON, then of an entry the bytes of its fields, its opaque
 * bytes and its push hints, whose lengths stand in the head; of a message on an ordinary topic its bytes.
 */
export function encodeNews (node: NodeId, news: News): Buffer {
  if ('message' in news && news.message !== null) {
    const { message, ...rest } = news
    const head = Buffer.from(JSON.stringify({ v: VERSION, node, ...rest, packed: true }))
    return Buffer.concat([lengthOf(head), head, packMessage(message)])
  }
  const { plain, bodies } = split(news)
  const head = Buffer.from(JSON.stringify({ v: VERSION, node, ...plain, ...(bodies === null ? {} : { lengths: [bodies.fields.length, bodies.bytes?.length ?? -1, bodies.push.length] }) }))
  return Buffer.concat(bodies === null ? [lengthOf(head), head] : [lengthOf(head), head, bodies.fields, bodies.bytes ?? NONE, bodies.push])
}

const NONE = Buffer.alloc(0)

function lengthOf (head: Buffer): Buffer {
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(head.length)
  return length
}

function split (news: News): { plain: object, bodies: Bodies | null } {
  if (news.kind !== 'entry') return { plain: news, bodies: null }
  const { entry: { fields, bytes, push, ...entry }, ...rest } = news
  return { plain: { ...rest, entry }, bodies: { fields, bytes, push } }
}

/** Null: of a version or a kind that this one does not know, or no message of ours. */
export function decodeNews (b: Buffer): { node: NodeId, news: News } | null {
  try {
    const end = 4 + b.readUInt32BE(0)
    const { v, node, lengths, packed, ...plain } = JSON.parse(b.toString('utf8', 4, end)) as { v: number, node: NodeId, packed?: true, lengths?: [number, number, number] } & Record<string, unknown>
    if (v !== VERSION) return null
    if (packed === true) return { node, news: { ...plain, message: unpackMessage(Buffer.from(b.subarray(end))) } as unknown as News }
    if (lengths === undefined) return { node, news: plain as unknown as News }
    const [fields, bytes, push] = lengths
    const afterFields = end + fields
    const afterBytes = afterFields + Math.max(0, bytes)
    if (b.length !== afterBytes + push) return null
    // one copy, which keeps alive what is kept of the entry and nothing else
    const own = Buffer.from(b.subarray(end))
    const at = (n: number): number => n - end
    const bodies: Bodies = { fields: own.subarray(0, at(afterFields)), bytes: bytes < 0 ? null : own.subarray(at(afterFields), at(afterBytes)), push: own.subarray(at(afterBytes)) }
    return { node, news: { ...plain, entry: { ...plain['entry'] as Entry, ...bodies } } as unknown as News }
  } catch { return null }
}
