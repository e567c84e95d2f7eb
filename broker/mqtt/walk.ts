import { isUtf8 } from 'node:buffer'

/** Why a packet is not MQTT, and the reason code that says so [MQTT-4.13.1-1]. */
export class Malformed {
  constructor (readonly why: string, readonly code = 0x81) {}
}

/** The Variable Byte Integer at `at`, and where it ends; null: it is none [MQTT-1.5.5]. */
export function variableInteger (b: Buffer, at: number, end: number): { value: number, end: number } | null {
  let value = 0
  for (let shift = 1, n = 0; n < 4 && at < end; shift *= 128, n++) {
    const byte = b[at++]!
    value += (byte & 127) * shift
    if (byte < 128) return { value, end: at }
  }
  return null
}

/** The UTF-8 string between `at` and `end`, or what is wrong with it [MQTT-1.5.4-1] [MQTT-1.5.4-2]. */
export function utf8 (b: Buffer, at: number, end: number): string | Malformed {
  const s = b.toString('utf8', at, end)
  // what is no UTF-8 becomes U+FFFD
  if (s.includes('\ufffd') && !isUtf8(b.subarray(at, end))) return new Malformed('a string that is no UTF-8')
  return s.includes('\0') ? new Malformed('a NUL in a string') : s
}

/** Walks over the bytes of a packet. After the first thing that is wrong it stands at the end, and stays there: what it gives then is 0 or empty. */
export class Walk {
  wrong: Malformed | undefined = undefined
  constructor (protected readonly b: Buffer, private position: number, private readonly end: number) {}

  get at (): number { return this.position }

  get left (): number { return this.end - this.position }

  fail (why: string | Malformed, code?: number): void {
    this.wrong ??= typeof why === 'string' ? new Malformed(why, code) : why
    this.position = this.end
  }

  skip (n: number): void {
    if (n > this.left) this.fail('it ends too early')
    else this.position += n
  }

  byte (): number {
    this.skip(1)
    return this.wrong === undefined ? this.b[this.position - 1]! : 0
  }

  word (): number { return this.byte() << 8 | this.byte() }

  length (): number {
    const v = variableInteger(this.b, this.position, this.end)
    if (v === null) { this.fail('a length that is cut off, or has more than four bytes'); return 0 }
    this.position = v.end
    return v.value
  }

  long (): number { return (this.word() * 65_536) + this.word() }

  /** Shares memory with the packet. */
  data (): Buffer {
    const n = this.field()
    return this.b.subarray(this.position - n, this.position)
  }

  text (): string {
    const n = this.field()
    const s = utf8(this.b, this.position - n, this.position)
    if (typeof s === 'string') return s
    this.fail(s)
    return ''
  }

  /** Goes behind a field with its length in front; how many bytes it has. */
  private field (): number {
    const n = this.word()
    this.skip(n)
    return this.wrong === undefined ? n : 0
  }
}
