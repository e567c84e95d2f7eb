import type { Draft } from '../../broker/ports/log.js'
import type { Stores } from '../../broker/ports/stores.js'
import { type ConvKey, directKey, groupKey, type DeviceId, type GroupId, type UserId } from '../../broker/domain/ids.js'

/** A store of its own, and hands on what it stands on. */
export interface Opened {
  stores: Stores
  /** From now on every commit fails, as on a full disk, until the answer is called. */
  stall (): () => void
  /** Closes, and opens the same data again; `stores` is the new one. */
  reopen (): Promise<void>
  /** Closes and removes it. */
  close (): Promise<void>
}
export type Open = () => Promise<Opened>

export const user = (s: string): UserId => s as UserId
export const device = (s: string): DeviceId => s as DeviceId
export const group = (s: string): GroupId => s as GroupId
export const direct = (a: string, b: string): ConvKey => directKey(user(a), user(b))
export const inGroup = (g: string): ConvKey => groupKey(group(g))

/** Valid ids that a careless store confuses: with a prototype, a path, a separator, or one another. */
export const HOSTILE_IDS = ['__proto__', 'constructor', 'toString', '..', '.', '~', '!', 'a', 'aa', 'a|b', 'a:b', '0', '-1', 'A', '@', '='.repeat(128), 'z'.repeat(128)]
/** The same for devices, which may be called almost anything. */
export const HOSTILE_DEVICES = ['__proto__', 'a', 'aa', 'a/b', '+', '#', ' ', '..', 'é', 'e\u0301', '\u{1F4F1}', '\u{10FFFF}'.repeat(128), '\uFFFF', 'x'.repeat(128), '\u00a0', 'a\u00ff', 'i', '\u0169', '\u0100']

let last = 0
/** A draft that is like no other, but for what is given. */
export function draft (conv: ConvKey, over: Partial<Draft> = {}): Draft {
  const n = ++last
  return {
    conv, from: user('alice'), dev: device('phone'), cid: `cid-${n}`, type: 'text', fields: Buffer.from(`"body":"message ${n}"`), bytes: null,
    exp: 0, hash: n, packetId: 0, push: Buffer.alloc(0), nowMs: 1_750_000_000_000, dup: false, ...over
  }
}

/** A conversation that no other test has. */
export const someConv = (): ConvKey => direct('alice', `peer-${++last}`)
