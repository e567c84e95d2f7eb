import { length, packet, word } from '../../support/bytes.js'

/** A packet as its fields, so that a mutation can reach any of them and still leave the rest in order. */
export interface RawPacket { head: number, fields: Field[] }

/**
 * - `text`, `data`: with two bytes of length before them, and `lie` added to what these say.
 * - `id`: a packet id; `plain`: bytes as they are.
 * - `properties`: each a whole property; `lie` as above.
 */
export type Field =
  | { kind: 'text' | 'data', bytes: Buffer, lie?: number }
  | { kind: 'id' | 'plain', bytes: Buffer }
  | { kind: 'properties', items: Buffer[], lie?: number }

export const text = (s: string | Buffer): Field => ({ kind: 'text', bytes: Buffer.from(s as string) })
export const data = (s: string | Buffer): Field => ({ kind: 'data', bytes: Buffer.from(s as string) })
export const plain = (...bytes: number[]): Field => ({ kind: 'plain', bytes: Buffer.from(bytes) })
export const rest = (s: string | Buffer): Field => ({ kind: 'plain', bytes: Buffer.from(s as string) })
export const id = (n: number): Field => ({ kind: 'id', bytes: word(n) })
export const properties = (items: Buffer[]): Field => ({ kind: 'properties', items })

function field (f: Field): Buffer {
  switch (f.kind) {
    case 'text': case 'data': return Buffer.concat([word(f.bytes.length + (f.lie ?? 0)), f.bytes])
    case 'id': case 'plain': return f.bytes
    case 'properties': {
      const all = Buffer.concat(f.items)
      return Buffer.concat([length(all.length + (f.lie ?? 0)), all])
    }
  }
}

export const bytesOf = (p: RawPacket): Buffer => packet(p.head, Buffer.concat(p.fields.map(field)))

/** What a stream of packets ends with, as any reader of MQTT must see it. */
export interface Framing {
  /** PINGREQs in it, each owed an answer. */
  pings: number
  /** Bytes that the last packet still needs; 0: it is whole. */
  missing: number
}

/** Null: a length that is none. */
export function framing (b: Buffer): Framing | null {
  let pings = 0
  let at = 0
  while (at < b.length) {
    let size = 0
    let body = at + 1
    for (let shift = 1; ; shift *= 128) {
      if (body - at > 4) return null
      const byte = b[body]
      if (byte === undefined) return { pings, missing: 1 }
      body++
      size += (byte & 127) * shift
      if (byte < 128) break
    }
    if (body + size > b.length) return { pings, missing: body + size - b.length }
    if (b[at] === 0xc0 && size === 0) pings++
    at = body + size
  }
  return { pings, missing: 0 }
}
