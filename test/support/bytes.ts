/** MQTT packets byte by byte, for what a library would not write. */

type Bytes = number | string | Buffer

/** Bytes one behind the other; a number is one byte. */
export const short = (...b: Bytes[]): Buffer => Buffer.concat(b.map(x => typeof x === 'number' ? Buffer.from([x]) : Buffer.from(x as string)))

/** Bytes with their length before them, as a Variable Byte Integer of at most three bytes: properties. */
export const sized = (b: Buffer): Buffer => {
  const length = b.length < 128 ? [b.length] : b.length < 16_384 ? [b.length & 127 | 128, b.length >> 7] : [b.length & 127 | 128, b.length >> 7 & 127 | 128, b.length >> 14]
  return Buffer.concat([Buffer.from(length), b])
}

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

/** Cuts what a broker sent into packets: the first byte of each, how many bytes its remaining length has, its body. */
export function cut (stream: Buffer): { head: number, lengthBytes: number, body: Buffer, size: number }[] {
  const packets = []
  for (let at = 0; at < stream.length;) {
    let length = 0
    let n = 0
    for (let byte = 128; byte > 127; n++) { byte = stream[at + 1 + n]!; length += (byte & 127) * 128 ** n }
    const body = at + 1 + n
    packets.push({ head: stream[at]!, lengthBytes: n, body: stream.subarray(body, body + length), size: 1 + n + length })
    at = body + length
  }
  return packets
}
