import { length, word } from '../../support/bytes.js'
import type { Dice } from './dice.js'
import { property } from './grammar.js'
import { bytesOf, type Field, type RawPacket } from './packet.js'
import { HOSTILE, IDS, PROPERTIES } from './words.js'

type Change<T> = (d: Dice, t: T) => T

const hostile = (d: Dice): Buffer => d.pick(d.chance(97) ? HOSTILE.filter(h => h.length < 1000) : HOSTILE)
const lie = (d: Dice): number => d.pick([-1, 1, 2, 40, -3, 127, 300, 65_000])
const someBytes = (d: Dice): Buffer => d.bytes(d.int(12))

function spoilt (d: Dice, f: Field): Field {
  switch (f.kind) {
    case 'text': case 'data': return d.chance(70) ? { ...f, bytes: hostile(d) } : { ...f, lie: lie(d) }
    case 'id': return { ...f, bytes: word(d.pick(IDS)) }
    case 'plain': return { ...f, bytes: d.chance(50) ? flipped(d, f.bytes) : someBytes(d) }
    case 'properties': return spoiltProperties(d, f)
  }
}

function spoiltProperties (d: Dice, f: Field & { kind: 'properties' }): Field {
  const items = [...f.items]
  const at = d.int(items.length + 1)
  switch (d.int(6)) {
    case 0: return { ...f, items: [...items, ...items] }
    case 1: items.splice(at, 0, property(d, d.pick(PROPERTIES))); return { ...f, items } // in a packet that knows no such one, or a second time
    case 2: { const p = property(d, d.pick(PROPERTIES)); items.splice(at, 0, p, p); return { ...f, items } }
    case 3: return { ...f, lie: lie(d) }
    case 4: items.splice(at, 1, Buffer.concat([Buffer.from([d.pick([1, 3, 8, 9, 0x26, 0x12, 0x1f])]), word(d.pick([1, 3])), hostile(d)])); return { ...f, items }
    default: items.splice(at, 1, Buffer.from([d.pick([0, 4, 0x2b, 0x7f, 0x80, 0xa1, 0xff]), d.int(256)])); return { ...f, items }
  }
}

function oneSpoilt (d: Dice, p: RawPacket): RawPacket {
  const at = d.int(p.fields.length)
  return { ...p, fields: p.fields.map((f, i) => i === at ? spoilt(d, f) : f) }
}

/** Changes to what a packet says, in a form that reaches the code behind the parser. */
const INSIDE: readonly Change<RawPacket>[] = [
  oneSpoilt, oneSpoilt, oneSpoilt,
  (d, p) => { const at = d.int(p.fields.length); return { ...p, fields: p.fields.filter((_, i) => i !== at) } },
  (d, p) => { const at = d.int(p.fields.length); return { ...p, fields: p.fields.flatMap((f, i) => i === at ? [f, f] : [f]) } },
  (d, p) => ({ ...p, head: p.head ^ 1 << d.int(4) }), // flags that are reserved, QoS, DUP, retain
  (d, p) => ({ ...p, head: p.head | 6 }), // QoS 3
  (d, p) => ({ ...p, head: p.head & 15 | d.int(16) << 4 })
]

function flipped (d: Dice, b: Buffer): Buffer {
  const out = Buffer.from(b)
  for (let n = d.between(1, 3); n > 0 && out.length > 0; n--) out[d.int(out.length)]! ^= 1 << d.int(8)
  return out
}

function lengthLie (d: Dice, b: Buffer): Buffer {
  let body = 1
  while (b[body]! > 127) body++
  const real = b.length - body - 1
  const said = d.pick([real - 1, real + 1, real + 2, real + 100, Math.floor(real / 2), 0, 127, 128, 16_384, 70_000, 400_000, 17_000_000, 268_435_455])
  return Buffer.concat([b.subarray(0, 1), d.chance(3) ? Buffer.from([0xff, 0xff, 0xff, 0xff, 1]) : length(said), b.subarray(body + 1)])
}

/** Changes to the bytes of a stream. */
const OUTSIDE: readonly Change<Buffer>[] = [
  flipped, flipped,
  (d, b) => { const out = Buffer.from(b); out[d.int(out.length)] = d.pick([0, 1, 127, 128, 255, d.int(256)]); return out },
  (d, b) => b.subarray(0, d.int(b.length)),
  (d, b) => { const at = d.int(b.length); return Buffer.concat([b.subarray(0, at), b.subarray(at + d.between(1, 4))]) },
  (d, b) => { const at = d.int(b.length); const piece = b.subarray(at, at + d.between(1, 20)); return Buffer.concat([b.subarray(0, at), ...Array.from({ length: d.between(2, 6) }, () => piece), b.subarray(at)]) },
  (d, b) => { const at = d.int(b.length); return Buffer.concat([b.subarray(0, at), someBytes(d), b.subarray(at)]) },
  (d, b) => { const at = d.int(b.length); return Buffer.concat([b.subarray(0, at), b.subarray(d.int(b.length))]) },
  lengthLie, lengthLie
]

/** The packet with something changed in it. */
export const changedInside = (d: Dice, p: RawPacket): RawPacket => p.fields.length === 0 ? INSIDE.at(-1 - d.int(3))!(d, p) : d.pick(INSIDE)(d, p)

/** The bytes with something changed in them. */
export const changedOutside = (d: Dice, b: Buffer): Buffer => b.length === 0 ? someBytes(d) : d.pick(OUTSIDE)(d, b)

/** A stream of packets, spoilt inside, outside, both, or only in its order: the less is changed, the deeper it goes. */
export function hostileBytes (d: Dice, packets: RawPacket[]): Buffer {
  const at = d.int(packets.length)
  const how = d.pick(['inside', 'inside', 'inside', 'inside', 'outside', 'outside', 'both', 'order'] as const)
  let all = packets.map((p, i) => bytesOf(i === at && (how === 'inside' || how === 'both') ? changedInside(d, p) : p))
  if (how === 'order') all = all.flatMap(b => d.chance(50) ? [b, b] : [b]).sort(() => d.int(3) - 1)
  if (how === 'outside' || how === 'both') all = all.map((b, i) => i === at ? changedOutside(d, b) : b)
  return Buffer.concat(all)
}
