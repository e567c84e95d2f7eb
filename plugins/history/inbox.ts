import { type ConvKey, type Counts, defineOperation, groupOf, type Head, type Host, type InboxRow, isGroupKey, type Operation, ParleyError, type RawJson, Type, type UserId } from '../../broker/plugin.js'
import { lastEntry, MAX_ENTRIES_BYTES, MAX_LIMIT } from './entries.js'
import { Pace } from './pace.js'
import { unreadAndMentions } from './unread.js'
import { peerMarks, viewOf } from './view.js'

const DEFAULT_LIMIT = 100
/** The answer without conversations: names and the longest `next`. */
const AROUND_BYTES = 512

const seq = Type.Integer({ minimum: 0 })

/**
 * Where a page ended: behind the first `given` of the list, of which the last was `conv`, active at `ts`. `asOf`: the
 * newest activity when the first page was made; the list is given as it stood then.
 */
interface Place { asOf: number, given: number, ts: number, conv: ConvKey }

const cursorOf = (p: Place): string => Buffer.from(JSON.stringify([p.asOf, p.given, p.ts, p.conv])).toString('base64url')

/** @throws ParleyError bad-request */
function placeOf (cursor: string): Place {
  try {
    const [asOf, given, ts, conv] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[]
    if (Number.isFinite(asOf) && Number.isFinite(given) && Number.isFinite(ts) && typeof conv === 'string') return { asOf, given, ts, conv } as Place
  } catch { /* said below */ }
  throw new ParleyError('bad-request', 'cursor: not one that this operation gave')
}

/** Of the last entry not newer than `asOf`; undefined when there was none. A binary search: times never decrease with seq. */
async function activityBefore (host: Host, row: InboxRow, head: Head, asOf: number): Promise<number | undefined> {
  let found: number | undefined
  for (let low = row.since, high = head.seq + 1; low < high;) {
    const middle = Math.floor((low + high) / 2)
    const [e] = await host.log.page(row.conv, { after: middle - 1, limit: 1 })
    if (e === undefined || e.ts > asOf) high = middle
    else { found = e.ts; low = e.seq + 1 }
  }
  return found
}

interface Listed { conv: ConvKey, head: Head, ts: number }

/** The user's conversations, latest activity first, as of the first page. */
async function listed (host: Host, user: UserId, asOf: number | undefined): Promise<{ list: Listed[], asOf: number }> {
  const rows = (await host.inbox.rows(user)).filter(r => r.left === 0)
  const heads = await host.log.heads(rows.map(r => r.conv))
  const upTo = asOf ?? heads.reduce((max, h) => Math.max(max, h.ts), 0)
  const list: Listed[] = []
  const pace = new Pace()
  for (const [i, row] of rows.entries()) {
    const head = heads[i]!
    const ts = head.ts <= upTo ? head.ts : await activityBefore(host, row, head, upTo)
    if (ts !== undefined) list.push({ conv: row.conv, head, ts })
    await pace.breathe()
  }
  list.sort((a, b) => b.ts - a.ts || (a.conv < b.conv ? -1 : 1))
  return { list, asOf: upTo }
}

/**
 * How many of the list the caller has. An entry that was committed late, with an earlier time, may have moved its
 * conversation in among those: which one cannot be told, so all are given again, rather than one never.
 */
function passedBy (place: Place, list: readonly Listed[]): number {
  const passed = list.findIndex(l => l.ts < place.ts || (l.ts === place.ts && l.conv > place.conv))
  const upTo = passed < 0 ? list.length : passed
  return upTo > place.given ? 0 : upTo
}

const title = async (host: Host, conv: ConvKey): Promise<{ title?: string }> => {
  const text = isGroupKey(conv) ? (await host.directory.group(groupOf(conv)))?.title : undefined
  return text === undefined || text === '' ? {} : { title: text }
}

interface Item { conv: string, title?: string, head: number, read: number, unread: number, mentions: number, last: RawJson | null, peer?: { delivered: number, read: number } }

/** One line of the list and its bytes; undefined when the user has just left. */
async function itemOf (host: Host, user: UserId, at: { conv: ConvKey, head: { seq: number, ts: number, counts: Counts } }, alone: number): Promise<{ item: Item, bytes: number } | undefined> {
  const view = await viewOf(host, user, at.conv, at.head)
  if (view === undefined || view.row.left !== 0) return undefined
  const around = {
    conv: view.name,
    ...await title(host, at.conv),
    head: view.head,
    read: view.row.read,
    ...await unreadAndMentions(host.log, view.row, view, user),
    ...await peerMarks(host, user, at.conv)
  }
  const aroundBytes = Buffer.byteLength(JSON.stringify({ ...around, last: null })) + 1
  const last = await lastEntry(host, user, view, alone - aroundBytes)
  return { item: { ...around, last }, bytes: aroundBytes + (last?.bytes.length ?? 0) }
}

/**
 * The list of chats. It is given as it stood when its first page was made: a conversation that becomes active while
 * the caller pages keeps its place, instead of moving up behind the caller's back.
 */
export const inboxOperation = (host: Host): Operation => defineOperation({
  name: 'inbox',
  summary: 'The caller\'s conversations, latest activity first, each with its last entry and what is unread.',
  params: Type.Object({
    cursor: Type.Optional(Type.String({ description: '`next` of the page before.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1 }))
  }),
  result: Type.Object({
    conversations: Type.Array(Type.Object({
      conv: Type.String(),
      title: Type.Optional(Type.String()),
      head: seq,
      read: seq,
      unread: Type.Integer({ minimum: 0, maximum: 999 }),
      mentions: seq,
      last: Type.Unknown({ description: 'The last entry, or null.' }),
      peer: Type.Optional(Type.Object({ delivered: seq, read: seq }))
    })),
    more: Type.Boolean(),
    next: Type.Optional(Type.String())
  }),
  read: true,
  who: 'user',
  async handle (call, p) {
    const place = p.cursor === undefined ? undefined : placeOf(p.cursor)
    const { list, asOf } = await listed(host, call.user, place?.asOf)
    const passed = place === undefined ? 0 : passedBy(place, list)
    const rest = list.slice(passed)
    const limit = Math.min(p.limit ?? DEFAULT_LIMIT, MAX_LIMIT)
    const whole = call.maxBytes - AROUND_BYTES
    let left = whole
    let entryBytes = MAX_ENTRIES_BYTES
    const conversations: Item[] = []
    const pace = new Pace()
    for (const [i, at] of rest.entries()) {
      const made = conversations.length < limit ? await itemOf(host, call.user, at, whole) : 'full'
      await pace.breathe()
      if (made === undefined) continue
      const entry = made === 'full' ? 0 : made.item.last?.bytes.length ?? 0
      if (made === 'full' || (conversations.length > 0 && (made.bytes > left || entry > entryBytes))) {
        const before = rest[i - 1]!
        return { conversations, more: true, next: cursorOf({ asOf, given: passed + i, ts: before.ts, conv: before.conv }) }
      }
      conversations.push(made.item)
      left -= made.bytes
      entryBytes -= entry
    }
    return { conversations, more: false }
  }
})
