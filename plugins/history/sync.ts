import { type ConvKey, convKey, defineOperation, type Host, type Operation, type RawJson, Type } from '../../broker/plugin.js'
import { MAX_ENTRIES_BYTES, MAX_LIMIT, type Room, take } from './entries.js'
import { Pace } from './pace.js'
import { nextOf, standingOf } from './standing.js'
import { encodeToken, tokenBytes } from './token.js'
import { unread } from './unread.js'
import { lastSeen, peerMarks, viewOf } from './view.js'

const DEFAULT_LIMIT = 100
/** The answer without conversations, token and `next`: epoch, names, punctuation. */
const AROUND_BYTES = 256
/** The place in `next`: the longest conversation key as base64url. */
const PLACE_BYTES = 350

const seq = Type.Integer({ minimum: 0 })
const conversation = Type.Object({
  conv: Type.String(),
  head: Type.Integer({ minimum: 0, description: 'Last seq that the caller may see.' }),
  entries: Type.Array(Type.Unknown()),
  more: Type.Boolean({ description: 'Entries past these; `history` gives them.' }),
  unread: seq,
  read: seq,
  peer: Type.Optional(Type.Object({ delivered: seq, read: seq }))
})
interface Conversation { conv: string, head: number, entries: RawJson[], more: boolean, unread: number, read: number, peer?: { delivered: number, read: number } }

/** Bytes of a conversation's part without its entries. */
const bytesAround = (c: Omit<Conversation, 'entries'>): number => Buffer.byteLength(JSON.stringify({ ...c, entries: [] })) + 1

/**
 * What changed past a client's cursors, in the order of the conversations' keys: an order by activity would change
 * between two pages, and a conversation that moves up past the place would be left out.
 */
export const syncOperation = (host: Host): Operation => defineOperation({
  name: 'sync',
  summary: 'What came past the caller\'s cursors, or since a token: at most `limit` conversations with at most `limit` entries each.',
  params: Type.Object({
    cursors: Type.Optional(Type.Record(Type.String(), seq, { description: 'Last seq that the caller has, per conversation; one that is not named counts as 0, also when it is gone.' })),
    since: Type.Optional(Type.String({ description: '`token` of an earlier answer; empty: from the beginning.' })),
    cursor: Type.Optional(Type.String({ description: '`next` of the page before, beside the same params.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1 }))
  }),
  result: Type.Object({
    conversations: Type.Array(conversation),
    gone: Type.Array(Type.String()),
    token: Type.String({ description: 'Where the caller stands once it has all entries up to this page. Empty when it does not fit.' }),
    epoch: Type.String(),
    more: Type.Boolean(),
    next: Type.Optional(Type.String())
  }),
  read: true,
  who: 'user',
  async handle (call, p) {
    const rows = (await host.inbox.rows(call.user)).sort((a, b) => (a.conv < b.conv ? -1 : 1))
    const { positions, passed, gone } = standingOf(host, call, p, rows)
    if (p.cursors !== undefined && passed === '' && call.device !== '') {
      await host.moveCursors(call.user, call.device, new Map(Object.entries(p.cursors).map(([name, seq]) => [convKey(name, call.user), seq])))
    }
    const heads = await host.log.heads(rows.map(r => r.conv))
    const limit = Math.min(p.limit ?? DEFAULT_LIMIT, MAX_LIMIT)

    const tokens = 2 * tokenBytes(rows.length)
    const withToken = tokens <= call.maxBytes / 2
    let left = call.maxBytes - AROUND_BYTES - PLACE_BYTES - (withToken ? tokens : 0) - Buffer.byteLength(JSON.stringify(gone))
    const whole = left
    let entryBytes = MAX_ENTRIES_BYTES
    const conversations: Conversation[] = []
    const pace = new Pace()
    let place = passed as ConvKey
    let more = false
    for (const [i, row] of rows.entries()) {
      if (row.conv <= passed) continue
      const last = lastSeen(row, heads[i]!.seq)
      const given = positions.get(row.conv) ?? 0
      // Above the head: of a log that was replaced by an older copy, so it says nothing (protocol.md, `sync`).
      const position = given > last && row.left === 0 ? 0 : given
      positions.set(row.conv, position)
      const from = Math.max(position, row.since - 1)
      if (from < last) {
        if (conversations.length === limit) { more = true; break }
        const part = await onePart(row.conv, i, from)
        if (part === 'full') { more = true; break }
        positions.set(row.conv, part)
        await pace.breathe()
      }
      place = row.conv
    }
    const token = withToken ? encodeToken(host.epoch, positions) : ''
    return { conversations, gone, token, epoch: host.epoch, more, ...(more ? { next: nextOf(token, place) } : {}) }

    /** Adds one conversation's entries past `from`. Gives the seq up to which the client has it now. */
    async function onePart (conv: ConvKey, i: number, from: number): Promise<number | 'full'> {
      const view = await viewOf(host, call.user, conv, heads[i]!)
      if (view === undefined || view.head <= from) return from
      const part = { conv: view.name, head: view.head, more: true, unread: await unread(host.log, view.row, view, call.user), read: view.row.read, ...await peerMarks(host, call.user, conv) }
      const around = bytesAround(part)
      const room: Room = { bytes: Math.min(entryBytes, left - around), alone: whole - around, atLeastOne: conversations.length === 0 }
      const got = await take(host, call.user, view, view.row.since, { after: from }, limit, room)
      if (got.entries.length === 0) return room.atLeastOne ? view.head : 'full'
      left -= around + got.bytes
      entryBytes -= got.bytes
      conversations.push({ ...part, entries: got.entries, more: got.lastSeq < view.head })
      if (view.left) { gone.push(view.name); left -= view.name.length + 3 }
      return got.lastSeq
    }
  }
})
