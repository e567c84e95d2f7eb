import { isDeviceId, isGroupId, isUserId, type ConvKey, type DeviceId, type GroupId, type UserId } from '../domain/ids.js'

const MAX_U48 = 2 ** 48 - 1

/** Whether `s` is a conversation as {@link ConvKey} says. */
export function isConvKey (s: string): s is ConvKey {
  if (s.startsWith('g/')) return isGroupId(s.slice(2))
  const [kind, a = '', b = '', more] = s.split('/')
  return kind === 'd' && more === undefined && isUserId(a) && isUserId(b) && a <= b
}

/** The fields of a record of a file, each checked as it is taken. */
export class Fields {
  private readonly of: Record<string, unknown>
  /** @throws Error, what is wrong */
  constructor (value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('is no JSON object')
    this.of = value as Record<string, unknown>
  }

  /** @throws Error, what is wrong */
  static ofLine (line: string): Fields {
    let value: unknown
    try { value = JSON.parse(line) } catch { throw new Error('is no JSON') }
    return new Fields(value)
  }

  /** A field's own value: names come from whoever wrote the file. */
  get (name: string): unknown { return Object.hasOwn(this.of, name) ? this.of[name] : undefined }
  /** All that is there, for records that are kept as they are. */
  get all (): Readonly<Record<string, unknown>> { return this.of }

  private as<T> (name: string, what: string, is: (v: unknown) => boolean): T {
    const value = this.get(name)
    if (!is(value)) throw new Error(`${name} is no ${what}`)
    return value as T
  }

  private text<T extends string> (name: string, what: string, is: (s: string) => boolean): T { return this.as(name, what, v => typeof v === 'string' && is(v)) }

  user (name = 'user'): UserId { return this.text(name, 'user id', isUserId) }
  group (name = 'group'): GroupId { return this.text(name, 'group id', isGroupId) }
  device (name = 'device'): DeviceId { return this.text(name, 'device id', isDeviceId) }
  conv (): ConvKey { return this.text('conv', 'conversation', isConvKey) }
  string (name: string): string { return this.text(name, 'text', () => true) }
  flag (name: string): boolean { return this.as(name, 'true or false', v => typeof v === 'boolean') }
  list (name: string): unknown[] { return this.as(name, 'list', Array.isArray) }
  oneOf<T extends string> (name: string, of: readonly T[]): T { return this.text(name, of.join(', '), s => (of as readonly string[]).includes(s)) }

  whole (name: string, most = MAX_U48, least = 0): number {
    return this.as(name, `whole number from ${least} to ${most}`, v => Number.isSafeInteger(v) && (v as number) >= least && (v as number) <= most)
  }

  counts (name: string): [number, number] {
    return this.as(name, 'pair of counts', v => Array.isArray(v) && v.length === 2 && v.every(n => Number.isInteger(n) && n >= 0 && n < 2 ** 32))
  }

  /** Bytes, as {@link bytesAs} writes them; undefined: none. */
  bytes (name: string): Buffer | undefined {
    if (this.get(name) !== undefined) return Buffer.from(this.string(name))
    return this.get(`${name}64`) === undefined ? undefined : Buffer.from(this.string(`${name}64`), 'base64')
  }
}
