import { type Malformed, Walk } from './walk.js'

type PropertyKind = 'flag' | 'word' | 'long' | 'length' | 'text' | 'data' | 'pair'
/** The properties of a will stand in a CONNECT and are not those of a CONNECT. */
const WILL = 0
const PROTOCOL_ERROR = 0x82

/** What a client may send [MQTT-2.2.2.2]: of each property its kind, and the types of packet in which it may stand. */
const PROPERTIES = new Map<number, { kind: PropertyKind, where: readonly number[] }>(([
  [0x01, 'flag', [WILL]], // Payload Format Indicator
  [0x02, 'long', [WILL]], // Message Expiry Interval
  [0x03, 'text', [WILL]], // Content Type
  [0x08, 'text', [WILL]], // Response Topic
  [0x09, 'data', [WILL]], // Correlation Data
  [0x0b, 'length', [8]], // Subscription Identifier
  [0x11, 'long', [1, 14]], // Session Expiry Interval
  [0x15, 'text', [1, 15]], // Authentication Method
  [0x16, 'data', [1, 15]], // Authentication Data
  [0x17, 'flag', [1]], // Request Problem Information
  [0x18, 'long', [WILL]], // Will Delay Interval
  [0x19, 'flag', [1]], // Request Response Information
  [0x1f, 'text', [4, 5, 6, 7, 14, 15]], // Reason String
  [0x21, 'word', [1]], // Receive Maximum
  [0x22, 'word', [1]], // Topic Alias Maximum
  [0x26, 'pair', [WILL, 1, 4, 5, 6, 7, 8, 10, 14, 15]], // User Property
  [0x27, 'long', [1]] // Maximum Packet Size
] as const).map(([code, kind, where]) => [code, { kind, where }]))
const USER_PROPERTY = 0x26

/** Walks over what other packets than PUBLISH hold. */
class Fields extends Walk {
  packetId (): void { if (this.word() === 0) this.fail('no packet id', PROTOCOL_ERROR) } // [MQTT-2.2.1-3]

  properties (type: number): void {
    const n = this.length()
    if (n > this.left) this.fail('properties longer than their packet')
    if (n === 0 || this.wrong !== undefined) return
    const inside = new Fields(this.b, this.at, this.at + n)
    const seen = new Set<number>()
    while (inside.left > 0) inside.property(type, seen)
    if (inside.wrong !== undefined) this.fail(inside.wrong)
    else this.skip(n)
  }

  private property (type: number, seen: Set<number>): void {
    const code = this.byte()
    const known = PROPERTIES.get(code)
    if (known?.where.includes(type) !== true) { this.fail(`property ${code} does not belong here`); return } // [MQTT-2.2.2-2]
    if (seen.has(code) && code !== USER_PROPERTY) { this.fail(`property ${code} is given twice`, PROTOCOL_ERROR); return }
    seen.add(code)
    switch (known.kind) {
      case 'flag': if (this.byte() > 1) this.fail(`property ${code} is neither 0 nor 1`, PROTOCOL_ERROR); return
      case 'word': this.skip(2); return
      case 'long': this.skip(4); return
      case 'length': if (this.length() === 0) this.fail(`property ${code} is 0`, PROTOCOL_ERROR); return // [MQTT-3.8.2.1.2]
      case 'text': this.text(); return
      case 'data': this.data(); return
      case 'pair': this.text(); this.text()
    }
  }
}

function connect (w: Fields): void {
  w.text()
  const five = w.byte() === 5
  const flags = w.byte()
  w.skip(2)
  if (five) w.properties(1)
  w.text()
  if ((flags & 4) !== 0) {
    if (five) w.properties(WILL)
    w.text()
    w.data()
  }
  if ((flags & 0x80) !== 0) w.text()
  if ((flags & 0x40) !== 0) w.data()
}

/** SUBSCRIBE and UNSUBSCRIBE. */
function filters (w: Fields, type: 8 | 10, five: boolean): void {
  w.packetId()
  if (five) w.properties(type)
  if (w.left === 0) w.fail('no filter', PROTOCOL_ERROR) // [MQTT-3.8.3-2] [MQTT-3.10.3-2]
  while (w.left > 0) {
    w.text()
    if (type === 8 && (w.byte() & 0x30) === 0x30 && five) w.fail('Retain Handling 3', PROTOCOL_ERROR) // MQTT 5, 3.8.3.1
  }
}

/** A reason and properties, both of which may be left out from the end on. */
function reason (w: Fields, type: number, five: boolean): void {
  if (!five || w.left === 0) return
  w.skip(1)
  if (w.left > 0) w.properties(type)
}

/**
 * Why `bytes`, which should hold exactly one packet, are none that a client may send; undefined: they are. PUBLISH is
 * not looked at: publish-packet.ts reads it. mqtt-packet reads past the end of properties, takes those of other packets
 * and some that are repeated, what is left over at the end, and makes others of strings that are no UTF-8. What it does
 * check (flags, reason codes, options) is left to it.
 */
export function malformation (bytes: Buffer, version: number): Malformed | undefined {
  const type = bytes[0]! >> 4
  const w = new Fields(bytes, 1, bytes.length)
  const five = version === 5
  if (w.length() !== w.left) w.fail('it is not as long as it says')
  switch (type) {
    case 1: connect(w); break
    case 3: return w.wrong
    case 4: case 5: case 6: case 7: w.packetId(); reason(w, type, five); break
    case 8: case 10: filters(w, type, five); break
    case 12: break
    case 14: reason(w, type, five); break
    case 15: if (five) reason(w, type, five); else w.fail('no packet of this version'); break
    default: w.fail('no packet of a client', PROTOCOL_ERROR)
  }
  if (w.left > 0) w.fail('something follows its end')
  return w.wrong
}
