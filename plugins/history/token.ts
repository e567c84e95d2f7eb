import { createHash } from 'node:crypto'
import { type ConvKey, type InboxRow, ParleyError } from '../../broker/plugin.js'

/*
 * A token says where a client stands in each conversation: seq by a hash of the conversation. Not a time: entries are
 * given their time before they are committed, and clocks go back, so "newer than" would lose entries. Eight bytes a
 * conversation, where names and JSON would take thirty.
 *
 *   version 1 byte · epoch 4 bytes · (conversation 6 bytes · seq varint) …      as base64url
 */
const VERSION = 1
const MARK_BYTES = 4
const HASH_BYTES = 6
const START = 1 + MARK_BYTES

const digest = (s: string, bytes: number): Buffer => createHash('sha256').update(s).digest().subarray(0, bytes)
const hashOf = (conv: ConvKey): number => digest(conv, HASH_BYTES).readUIntBE(0, HASH_BYTES)

const bad = (): ParleyError => new ParleyError('bad-request', 'since: not a token of this operation')

/** The token of a client that stands so. Conversations at 0 take no room. */
export function encodeToken (epoch: string, positions: ReadonlyMap<ConvKey, number>): string {
  const bytes: number[] = [VERSION, ...digest(epoch, MARK_BYTES)]
  for (const [conv, seq] of positions) {
    if (seq === 0) continue
    bytes.push(...digest(conv, HASH_BYTES))
    let n = seq
    for (; n > 127; n = Math.floor(n / 128)) bytes.push(n % 128 + 128)
    bytes.push(n)
  }
  return Buffer.from(bytes).toString('base64url')
}

/** At most so many characters has the token of so many conversations, with seqs below 2^28. */
export const tokenBytes = (conversations: number): number => Math.ceil((START + conversations * (HASH_BYTES + 4)) * 4 / 3) + 1

/**
 * Where the bearer of a token stands in the conversations of its inbox, 0 where the token says nothing. An empty token,
 * or one of another epoch, whose seqs mean other entries, is that of a new client: 0 everywhere, and nothing wanted of
 * groups that the user left. Where two conversations share a hash nothing can be said, so 0 too: given twice, never lost.
 * @throws ParleyError bad-request
 */
export function decodeToken (token: string, epoch: string, rows: readonly InboxRow[]): Map<ConvKey, number> {
  const out = new Map<ConvKey, number>(rows.map(r => [r.conv, r.left]))
  if (token === '') return out
  const b = Buffer.from(token, 'base64url')
  if (b.length < START || b[0] !== VERSION || b.toString('base64url') !== token) throw bad()
  const seqs = new Map<number, number>()
  for (let at = START; at < b.length;) {
    if (at + HASH_BYTES >= b.length) throw bad()
    const hash = b.readUIntBE(at, HASH_BYTES)
    at += HASH_BYTES
    let seq = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = b[at++]
      if (byte === undefined || scale > 2 ** 49) throw bad()
      seq += (byte & 127) * scale
      if (byte < 128) break
    }
    seqs.set(hash, seq)
  }
  if (!digest(epoch, MARK_BYTES).equals(b.subarray(1, START))) return out
  const owner = new Map<number, ConvKey | null>()
  for (const { conv } of rows) {
    const hash = hashOf(conv)
    owner.set(hash, owner.has(hash) ? null : conv)
  }
  for (const { conv } of rows) {
    const hash = hashOf(conv)
    out.set(conv, owner.get(hash) === conv ? seqs.get(hash) ?? 0 : 0)
  }
  return out
}
