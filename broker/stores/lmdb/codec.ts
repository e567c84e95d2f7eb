import type { Entry } from '../../domain/entry.js'
import type { ConvKey, DeviceId, UserId } from '../../domain/ids.js'

/**
 * A block: `format u8, count u16`, then per entry
 *
 *     flags u8, ts u48, counts u32 u32, hash u64, packetId u16,
 *     from, [dev], [cid], [type]      each: length u8 (dev: u16) and bytes
 *     [exp u48], fields, [bytes], [push]   each: length u32 and bytes
 *
 * What is empty, and the type `text`, takes one bit of the flags. The conversation and the first seq are in the key.
 */
const FORMAT = 1
const HEADER = 3
const F_DEV = 1; const F_CID = 2; const F_TYPE = 4; const F_EXP = 8; const F_BYTES = 16; const F_PUSH = 32
const FIXED = 25

/** {@link encodeBlock} takes at most this for one entry. */
export const maxEncodedBytes = (e: Entry): number =>
  64 + e.from.length + 3 * (e.dev.length + e.type.length) + e.cid.length + e.fields.length + (e.bytes?.length ?? 0) + e.push.length
export const BLOCK_OVERHEAD = HEADER
const EMPTY_BLOCK: Buffer = Buffer.from([FORMAT, 0, 0])

const MAX_TEXT = 255
const MAX_DEVICE_BYTES = 65535
/** So that a key of it is one that LMDB takes, with room for what the key holds beside it. */
const MAX_CONV = 1024

/**
 * One entry that does not fit its own fields would make the others of its block unreadable, or fail their commit.
 * @throws Error
 */
export function checkEncodable (e: Pick<Entry, 'conv' | 'from' | 'dev' | 'cid' | 'type'>): void {
  if (e.conv.length > MAX_CONV) throw new Error(`a conversation's name has at most ${MAX_CONV} characters`)
  if (e.from.length > MAX_TEXT || e.cid.length > MAX_TEXT) throw new Error(`from and cid have at most ${MAX_TEXT} characters`)
  // three bytes at most for each UTF-16 unit
  if (3 * e.type.length > MAX_TEXT && Buffer.byteLength(e.type) > MAX_TEXT) throw new Error(`a type has at most ${MAX_TEXT} bytes`)
  if (3 * e.dev.length > MAX_DEVICE_BYTES && Buffer.byteLength(e.dev) > MAX_DEVICE_BYTES) throw new Error(`a device id has at most ${MAX_DEVICE_BYTES} bytes`)
}

function putU16 (b: Buffer, n: number, at: number): number {
  b[at] = n >>> 8
  b[at + 1] = n
  return at + 2
}
function putU32 (b: Buffer, n: number, at: number): number {
  b[at] = n >>> 24
  b[at + 1] = n >>> 16
  b[at + 2] = n >>> 8
  b[at + 3] = n
  return at + 4
}
const putU48 = (b: Buffer, n: number, at: number): number => putU32(b, n >>> 0, putU16(b, Math.floor(n / 4294967296), at))

/** Faster than Buffer's own write for the short strings that ids are. */
function putAscii (b: Buffer, s: string, at: number): number {
  for (let i = 0; i < s.length; i++) b[at + i] = s.charCodeAt(i)
  return at + s.length
}

function putBytes (b: Buffer, from: Buffer, at: number): number {
  at = putU32(b, from.length, at)
  b.set(from, at)
  return at + from.length
}

function putEntry (b: Buffer, e: Entry, at: number): number {
  const flags = (e.dev === '' ? 0 : F_DEV) | (e.cid === '' ? 0 : F_CID) | (e.type === 'text' ? 0 : F_TYPE) |
    (e.exp === 0 ? 0 : F_EXP) | (e.bytes === null ? 0 : F_BYTES) | (e.push.length === 0 ? 0 : F_PUSH)
  b[at++] = flags
  at = putU48(b, e.ts, at)
  at = putU32(b, e.counts[0], at)
  at = putU32(b, e.counts[1], at)
  at = putU32(b, Math.floor(e.hash / 4294967296), at)
  at = putU32(b, e.hash >>> 0, at)
  at = putU16(b, e.packetId, at)
  b[at++] = e.from.length
  at = putAscii(b, e.from, at)
  if (flags & F_DEV) {
    const n = b.write(e.dev, at + 2)
    putU16(b, n, at)
    at += 2 + n
  }
  if (flags & F_CID) {
    b[at++] = e.cid.length
    at = putAscii(b, e.cid, at)
  }
  if (flags & F_TYPE) {
    const n = b.write(e.type, at + 1)
    b[at] = n
    at += 1 + n
  }
  if (flags & F_EXP) at = putU48(b, e.exp, at)
  at = putBytes(b, e.fields, at)
  if (e.bytes !== null) at = putBytes(b, e.bytes, at)
  if (flags & F_PUSH) at = putBytes(b, e.push, at)
  return at
}

/**
 * Writes entries `from` (with) to `to` (without) as one block at `at`, those of the block `before` first; gives the
 * end. `b` must have the room.
 */
export function encodeBlock (b: Buffer, entries: readonly Entry[], from: number, to: number, at: number, before = EMPTY_BLOCK): number {
  const start = at
  at += before.copy(b, at)
  putU16(b, countIn(before) + to - from, start + 1)
  for (let i = from; i < to; i++) at = putEntry(b, entries[i]!, at)
  return at
}

/** Adds the entries of `next` to the block that `b` begins with and that ends at `end`; gives its new end. */
export function joinBlocks (b: Buffer, end: number, next: Buffer): number {
  putU16(b, countIn(b) + countIn(next), 1)
  return end + next.copy(b, end, HEADER)
}

const getU16 = (b: Buffer, at: number): number => b[at]! << 8 | b[at + 1]!
const getU32 = (b: Buffer, at: number): number => (b[at]! << 24 | b[at + 1]! << 16 | b[at + 2]! << 8 | b[at + 3]!) >>> 0
const getU48 = (b: Buffer, at: number): number => getU16(b, at) * 4294967296 + getU32(b, at + 2)
const NONE = Buffer.alloc(0)

/** Number of entries in a block. */
export function countIn (b: Buffer): number {
  if (b[0] !== FORMAT) throw new Error(`a block of format ${b[0]}: this version reads ${FORMAT}`)
  return getU16(b, 1)
}

/** The entries of a block. Their buffers are views of `b`. */
export function decodeBlock (b: Buffer, conv: ConvKey, firstSeq: number): Entry[] {
  const n = countIn(b)
  const entries: Entry[] = new Array<Entry>(n)
  let at = HEADER
  for (let i = 0; i < n; i++) {
    const flags = b[at]!
    const head = at + 1
    at += FIXED
    let len = b[at++]!
    const from = b.toString('latin1', at, at += len) as UserId
    let dev: DeviceId | '' = ''
    if (flags & F_DEV) { len = getU16(b, at); at += 2; dev = b.toString('utf8', at, at += len) as DeviceId }
    let cid = ''
    if (flags & F_CID) { len = b[at++]!; cid = b.toString('latin1', at, at += len) }
    let type = 'text'
    if (flags & F_TYPE) { len = b[at++]!; type = b.toString('utf8', at, at += len) }
    let exp = 0
    if (flags & F_EXP) { exp = getU48(b, at); at += 6 }
    len = getU32(b, at); at += 4
    const fields = len === 0 ? NONE : b.subarray(at, at += len)
    let bytes: Buffer | null = null
    if (flags & F_BYTES) { len = getU32(b, at); at += 4; bytes = b.subarray(at, at += len) }
    let push: Buffer = NONE
    if (flags & F_PUSH) { len = getU32(b, at); at += 4; push = b.subarray(at, at += len) }
    entries[i] = {
      conv, seq: firstSeq + i, ts: getU48(b, head), counts: [getU32(b, head + 6), getU32(b, head + 10)], from, dev, cid, type,
      fields, bytes, exp, hash: getU32(b, head + 14) * 4294967296 + getU32(b, head + 18), packetId: getU16(b, head + 22), push
    }
  }
  if (at !== b.length) throw new Error(`a block of ${conv} from seq ${firstSeq} is damaged`)
  return entries
}
