/** Two bytes; what does not fit is cut off. */
export const word = (n: number): Buffer => Buffer.from([n >> 8 & 255, n & 255])
/** Four bytes. */
export const long = (n: number): Buffer => Buffer.from([n >>> 24, n >>> 16 & 255, n >>> 8 & 255, n & 255])

/** A Variable Byte Integer, of five bytes where four do not do. */
export function length (n: number): Buffer {
  const out: number[] = []
  for (n = Math.max(0, n); ; n = Math.floor(n / 128)) {
    if (n < 128) return Buffer.from([...out, n])
    out.push(n % 128 | 128)
  }
}

/** A string or data, with its two bytes of length. */
export function field (s: string | Buffer): Buffer {
  const b = Buffer.from(s as string)
  return Buffer.concat([word(b.length), b])
}

/** A packet of any head and body. */
export const packet = (head: number, body: Buffer): Buffer => Buffer.concat([Buffer.from([head]), length(body.length), body])
