import { type Call, type ConvKey, convKey, type Host, type InboxRow, isGroupKey, nameOf, ParleyError } from '../../broker/plugin.js'
import { decodeToken } from './token.js'

/** Where a client stands before one answer of `sync`. */
export interface Standing {
  /** Per conversation of the inbox, the seq up to which the client has it. */
  positions: Map<ConvKey, number>
  /** What the answer before went through; empty: nothing yet. */
  passed: string
  /** Conversations that the client has, and that are no longer its own. */
  gone: string[]
}

export interface SyncParams { cursors?: Record<string, number>, since?: string, cursor?: string }

/** Parts `next` into the token and the place; no token has a dot. */
const DOT = '.'

/** `next`: the token and the place. Where the token has no room it is empty, and the params are counted again. */
export const nextOf = (token: string, passed: ConvKey): string => `${token}${DOT}${Buffer.from(passed).toString('base64url')}`

function byCursors (call: Call, cursors: Record<string, number>, rows: readonly InboxRow[], first: boolean): Standing {
  // By convKey before anything else looks at a name: `__proto__` and the like are refused there.
  const named = new Map(Object.entries(cursors).map(([name, seq]) => [convKey(name, call.user), seq]))
  const positions = new Map<ConvKey, number>()
  const gone: string[] = []
  for (const row of rows) {
    const seq = named.get(row.conv)
    positions.set(row.conv, seq ?? 0)
    if (row.left !== 0 && seq !== undefined && seq >= row.left) gone.push(row.conv)
    named.delete(row.conv)
  }
  for (const conv of named.keys()) if (isGroupKey(conv)) gone.push(nameOf(conv, call.user))
  return { positions, passed: '', gone: first ? gone : [] }
}

/** @throws ParleyError bad-request */
export function standingOf (host: Host, call: Call, p: SyncParams, rows: readonly InboxRow[]): Standing {
  if (p.cursors !== undefined && p.since !== undefined) throw new ParleyError('bad-request', 'cursors and since: only one of them')
  let passed = ''
  if (p.cursor !== undefined) {
    const dot = p.cursor.lastIndexOf(DOT)
    const place = Buffer.from(p.cursor.slice(dot + 1), 'base64url').toString('latin1')
    if (dot < 0 || !/^[dg]\//.test(place)) throw new ParleyError('bad-request', 'cursor: not one that this operation gave')
    if (dot > 0) return { positions: decodeToken(p.cursor.slice(0, dot), host.epoch, rows), passed: place, gone: [] }
    passed = place
  }
  if (p.cursors !== undefined) return { ...byCursors(call, p.cursors, rows, passed === ''), passed }
  if (p.since !== undefined) return { positions: decodeToken(p.since, host.epoch, rows), passed, gone: [] }
  throw new ParleyError('bad-request', 'cursors or since is missing')
}

