import { convKey, defineOperation, type Host, isGroupKey, type Operation, ParleyError, Type } from '../../broker/plugin.js'
import { MAX_ENTRIES_BYTES, MAX_LIMIT, take } from './entries.js'
import { firstSeen, viewOf } from './view.js'

/** The answer without its entries: four numbers, five names. */
const AROUND_BYTES = 160
const seq = Type.Integer({ minimum: 0 })

export const historyOperation = (host: Host): Operation => defineOperation({
  name: 'history',
  summary: 'Entries of a conversation, in seq order: those after `after`, or the newest before `before`, or the newest. At most 200 and 256 KiB.',
  params: Type.Object({
    conv: Type.String({ description: '`u/{user}` or `g/{group}`' }),
    before: Type.Optional(Type.Integer({ minimum: 1, description: 'Seq, exclusive.' })),
    after: Type.Optional(Type.Integer({ minimum: 0, description: 'Seq, exclusive.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1 }))
  }),
  result: Type.Object({
    entries: Type.Array(Type.Unknown()),
    from: Type.Integer({ minimum: 0, description: 'First seq covered; above `to` when none is.' }),
    to: seq,
    head: Type.Integer({ minimum: 0, description: 'Last seq that the caller may see.' }),
    more: Type.Boolean()
  }),
  read: true,
  who: 'user',
  async handle (call, p) {
    if (p.before !== undefined && p.after !== undefined) throw new ParleyError('bad-request', 'before and after: only one of them')
    const conv = convKey(p.conv, call.user)
    const [head] = await host.log.heads([conv])
    const view = await viewOf(host, call.user, conv, head!)
    if (view === undefined) {
      if (isGroupKey(conv)) throw new ParleyError('not-member', `you never were a member of ${p.conv.slice(2)}`)
      return { entries: [], from: 1, to: 0, head: 0, more: false }
    }
    const first = await firstSeen(host, view)
    const limit = Math.min(p.limit ?? MAX_LIMIT, MAX_LIMIT)
    const alone = call.maxBytes - AROUND_BYTES
    const room = { bytes: Math.min(MAX_ENTRIES_BYTES, alone), alone, atLeastOne: true }
    if (p.after !== undefined) {
      const from = Math.max(Math.min(p.after, view.head) + 1, first)
      const got = await take(host, call.user, view, first, { after: from - 1 }, limit, room)
      // Nothing found although the head is further: what stood there is gone from the log, and so it is covered.
      const to = got.entries.length === 0 ? Math.max(view.head, from - 1) : got.lastSeq
      return { entries: got.entries, from, to, head: view.head, more: to < view.head }
    }
    const to = Math.min(p.before ?? Infinity, view.head + 1) - 1
    const got = await take(host, call.user, view, first, { before: to + 1 }, limit, room)
    const from = got.entries.length === 0 ? Math.min(first, to + 1) : got.firstSeq
    return { entries: got.entries, from, to, head: view.head, more: from > first && got.entries.length > 0 }
  }
})
