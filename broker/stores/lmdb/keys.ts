import type { ConvKey, DeviceId } from '../../domain/ids.js'

/**
 * Keys are strings of which each character is one byte: cheap to build, usable in a Map, and in LMDB's order as they
 * stand. Parts are joined by a zero byte, which no id may hold, so no key is the beginning of another's range.
 */
export type Key = string

/** LMDB's largest key with 4 KiB pages. The longest of ours, a cursor's, has 128 + 512 + 259 bytes and two zeros. */
export const MAX_KEY_BYTES = 1978

const END = '\u0001'
const SEQ_BYTES = 6

/** A device id holds any UTF-8; the other ids are ASCII. */
export function deviceBytes (device: DeviceId): string {
  for (let i = 0; i < device.length; i++) if (device.charCodeAt(i) > 127) return Buffer.from(device).toString('latin1')
  return device
}

export const join = (a: string, b: string): Key => `${a}\u0000${b}`
export const join3 = (a: string, b: string, c: string): Key => `${a}\u0000${b}\u0000${c}`

/** All keys whose first parts are `prefix`: from `start`, below `end`. */
export const rangeOf = (prefix: string): { start: Key, end: Key } => ({ start: `${prefix}\u0000`, end: prefix + END })

/** What follows the first parts. */
export const lastPart = (key: Key): string => key.slice(key.lastIndexOf('\u0000') + 1)

/** A number of up to 48 bits as six bytes, in numeric order. */
export function u48 (n: number): string {
  const hi = Math.floor(n / 4294967296)
  return String.fromCharCode(hi >>> 8 & 255, hi & 255, n >>> 24 & 255, n >>> 16 & 255, n >>> 8 & 255, n & 255)
}

/** Of a block of entries: the conversation and the seq of its first entry. */
export const blockKey = (conv: ConvKey, firstSeq: number): Key => `${conv}\u0000${u48(firstSeq)}`
export const firstSeqOf = (key: Key): number => {
  let n = 0
  for (let i = key.length - SEQ_BYTES; i < key.length; i++) n = n * 256 + key.charCodeAt(i)
  return n
}

/** Of the idempotency index; behind all blocks of its conversation. */
export const cidKey = (conv: ConvKey, hash: number): Key => `${conv}\u0001${u48(hash)}`

/** 48 bits of (sender, cid), cyrb53's mixing. A collision costs a look at one entry more: the entry itself decides. */
export function cidHash (from: string, cid: string): number {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < from.length; i++) {
    const c = from.charCodeAt(i)
    a = Math.imul(a ^ c, 2654435761)
    b = Math.imul(b ^ c, 1597334677)
  }
  // what no id holds parts sender and cid: (ab, c) is not (a, bc)
  a = Math.imul(a ^ 0, 2654435761)
  b = Math.imul(b ^ 0, 1597334677)
  for (let i = 0; i < cid.length; i++) {
    const c = cid.charCodeAt(i)
    a = Math.imul(a ^ c, 2654435761)
    b = Math.imul(b ^ c, 1597334677)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return 4294967296 * (65535 & b) + (a >>> 0)
}

/** @throws Error when LMDB would not take the key */
export function checkKey (key: Key): void {
  if (key.length > MAX_KEY_BYTES) throw new Error(`a key of ${key.length} bytes; LMDB takes ${MAX_KEY_BYTES}`)
}

/** How lmdb reads and writes our keys. */
export const keyEncoder = {
  writeKey (key: Key, target: Buffer, at: number): number {
    // write() cuts silently what does not fit
    checkKey(key)
    return at + target.write(key, at, 'latin1')
  },
  readKey: (source: Buffer, start: number, end: number): Key => source.toString('latin1', start, end)
}
