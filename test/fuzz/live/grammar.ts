import { field, length, long, word } from '../../support/bytes.js'
import type { Dice } from './dice.js'
import { data, type Field, id, plain, properties, type RawPacket, rest, text } from './packet.js'
import { FILTERS, IDS, LONGS, METHODS, NUMBERS, PAYLOADS, PROPERTIES, type PropertyKind, TOPICS, USERS } from './words.js'

/** Of MQTT 3.1, 3.1.1 and 5.0, as CONNECT says it. */
export type Version = 3 | 4 | 5

/** Who speaks, in which version. */
export interface Speaker { user: string, device: string, version: Version }

const named = (d: Dice, pattern: string, me: string): string => pattern.replace('%', d.chance(50) ? me : d.pick(USERS))

function value (d: Dice, kind: PropertyKind): Buffer {
  const string = (): Buffer => field(d.pick(['', 'a', 'text/plain', 'application/json', 'me/rpc', 'me/rpc/x', 'fz/answer', 'cid', 'c9', 'ttl', '60']))
  switch (kind) {
    case 'flag': return Buffer.from([d.int(2)])
    case 'word': return word(d.pick(NUMBERS.slice(1)))
    case 'long': return long(d.pick(LONGS.slice(1)))
    case 'length': return length(d.between(1, 300))
    case 'text': return string()
    case 'data': return field(d.bytes(d.int(20)))
    case 'pair': return Buffer.concat([string(), string()])
  }
}

/** Not empty, and without wildcards [MQTT-3.3.2-14]. */
const RESPONSE_TOPIC = 0x08

/** One property, its identifier in front. */
export const property = (d: Dice, p: { code: number, kind: PropertyKind }): Buffer =>
  Buffer.concat([Buffer.from([p.code]), p.code === RESPONSE_TOPIC ? field(d.pick(['me/rpc', 'me/rpc/x', 'fz/answer'])) : value(d, p.kind)])

/** Properties that may stand in this type of packet (0: a will), each once but User Property; none before MQTT 5. */
/** `not`: codes to leave out. */
function props (d: Dice, s: Speaker, type: number, not: readonly number[] = []): Field[] {
  if (s.version !== 5) return []
  const allowed = PROPERTIES.filter(p => p.where.includes(type) && !not.includes(p.code))
  const chosen = allowed.filter(() => d.chance(Math.min(40, 150 / allowed.length)))
  if (d.chance(10) && !not.includes(0x26)) chosen.push(...PROPERTIES.filter(p => p.code === 0x26))
  return [properties(chosen.map(p => property(d, p)))]
}

/** A CONNECT that is accepted. `plainly`: with nothing that a test of what comes after it would have to mind. */
export function connect (d: Dice, s: Speaker, o: { clean: boolean, will?: boolean, plainly?: boolean } = { clean: d.chance(50), will: d.chance(30) }): RawPacket {
  const will = o.will === true
  const flags = 0x80 | (d.chance(10) ? 0x40 : 0) | (o.clean ? 2 : 0) | (will ? 4 | d.int(3) << 3 | d.int(2) << 5 : 0)
  const five = o.plainly === true ? [properties([Buffer.concat([Buffer.from([0x11]), long(o.clean ? 0 : 600)])])] : props(d, s, 1, [0x15, 0x16])
  return { head: 0x10, fields: [
    text(s.version === 3 ? 'MQIsdp' : 'MQTT'), plain(s.version), plain(flags), rest(word(o.plainly === true ? 0 : d.pick(NUMBERS))),
    ...(s.version === 5 ? five : []), text(s.device),
    ...(will ? [...props(d, s, 0), text(named(d, d.pick(['fz/will', 'fz/%', 'u/%/msg', 'other/%']), s.user)), data(d.pick(PAYLOADS))] : []),
    text(s.user), ...((flags & 0x40) !== 0 ? [data('x')] : [])
  ] }
}

export function publish (d: Dice, s: Speaker, o: { topic?: string, qos?: number, id?: number, payload?: string, plainly?: boolean } = {}): RawPacket {
  const qos = o.qos ?? d.int(3)
  const retain = o.plainly !== true && d.chance(15)
  return { head: 0x30 | qos << 1 | (retain ? 1 : 0) | (qos > 0 && d.chance(20) ? 8 : 0), fields: [
    text(o.topic ?? named(d, d.pick(TOPICS), s.user)), ...(qos > 0 ? [id(o.id ?? d.between(1, 60))] : []),
    ...props(d, s, 3, o.plainly === true ? PROPERTIES.map(p => p.code) : [0x0b, 0x23]), // a Subscription Identifier is the broker's to say [MQTT-3.3.4-6]
    rest(o.payload ?? d.pick(PAYLOADS))
  ] }
}

export function subscribe (d: Dice, s: Speaker, filters = Array.from({ length: d.between(1, 4) }, () => named(d, d.pick(FILTERS), s.user)), packetId = d.between(1, 60)): RawPacket {
  const options = (filter: string): number => d.int(3) | (s.version === 5 ? (filter.startsWith('$share/') ? 0 : d.int(2) << 2) | d.int(2) << 3 | d.int(3) << 4 : 0) // [MQTT-3.8.3-4]
  return { head: 0x82, fields: [id(packetId), ...props(d, s, 8), ...filters.flatMap(f => [text(f), plain(options(f))])] }
}

const unsubscribe = (d: Dice, s: Speaker): RawPacket =>
  ({ head: 0xa2, fields: [id(d.between(1, 60)), ...props(d, s, 10), ...Array.from({ length: d.between(1, 4) }, () => text(named(d, d.pick(FILTERS), s.user)))] })

/** PUBACK, PUBREC, PUBREL, PUBCOMP: any id, and in MQTT 5 a reason and properties, or neither. */
function acknowledgement (d: Dice, s: Speaker, type: 4 | 5 | 6 | 7, packetId = d.pick(IDS.slice(1))): RawPacket {
  const fields: Field[] = [id(packetId)]
  if (s.version === 5 && d.chance(50)) fields.push(plain(d.pick(type === 4 || type === 5 ? [0, 0x10, 0x80, 0x87, 0x97] : [0, 0x92])), ...(d.chance(50) ? props(d, s, type) : []))
  return { head: type << 4 | (type === 6 ? 2 : 0), fields }
}

const bare = (head: number): RawPacket => ({ head, fields: [] })

function disconnect (d: Dice, s: Speaker): RawPacket {
  return s.version !== 5 || d.chance(30) ? bare(0xe0) : { head: 0xe0, fields: [plain(d.pick([0, 4, 0x80, 0x82])), ...props(d, s, 14)] }
}

/** Nothing but RPC requests: each declared operation, with params of any kind. */
function request (d: Dice, s: Speaker): RawPacket {
  const member = (): string => `${JSON.stringify(d.pick(['conv', 'group', 'users', 'user', 'limit', 'cursors', 'since', 'cursor', 'before', 'after', 'members', 'role', 'title', 'push', 'token', '__proto__', 'x']))}:${d.pick(['null', '1', '-1', '1e400', '"u/m1"', '"g/fz"', '"fz"', '"m2"', '["m1","m2"]', '{"u/m1":1}', '[[[[[[1]]]]]]', '{"__proto__":{}}', 'true', '"\\u0000"', '9007199254740993'])}`
  return publish(d, s, { topic: `rpc/${d.pick(METHODS)}`, payload: `{"id":"${d.int(99)}"${Array.from({ length: d.int(4) }, () => `,${member()}`).join('')}}` })
}

/** Every type of packet, each as the standard has it, those that only a server sends too. `ends`: it ends the connection, good as it is. */
export const KINDS: readonly { name: string, ends: boolean, weight: number, make: (d: Dice, s: Speaker) => RawPacket }[] = [
  { name: 'publish', ends: false, weight: 26, make: (d, s) => publish(d, s) },
  { name: 'request', ends: false, weight: 8, make: request },
  { name: 'subscribe', ends: false, weight: 16, make: (d, s) => subscribe(d, s) },
  { name: 'unsubscribe', ends: false, weight: 7, make: unsubscribe },
  { name: 'puback', ends: false, weight: 7, make: (d, s) => acknowledgement(d, s, 4) },
  { name: 'pubrel', ends: false, weight: 7, make: (d, s) => acknowledgement(d, s, 6) },
  { name: 'pingreq', ends: false, weight: 3, make: () => bare(0xc0) },
  { name: 'pubrec', ends: false, weight: 6, make: (d, s) => acknowledgement(d, s, 5) },
  { name: 'pubcomp', ends: false, weight: 6, make: (d, s) => acknowledgement(d, s, 7) },
  { name: 'connect', ends: true, weight: 5, make: (d, s) => connect(d, s) },
  { name: 'disconnect', ends: true, weight: 3, make: disconnect },
  { name: 'auth', ends: true, weight: 2, make: (d, s) => ({ head: 0xf0, fields: [plain(d.pick([0, 0x18, 0x19])), ...props(d, s, 15)] }) },
  { name: 'connack', ends: true, weight: 1, make: (d, s) => ({ head: 0x20, fields: [plain(d.int(2), 0), ...props(d, s, 2)] }) },
  { name: 'suback', ends: true, weight: 1, make: (d, s) => ({ head: 0x90, fields: [id(d.pick(IDS)), ...props(d, s, 9), plain(d.int(3))] }) },
  { name: 'unsuback', ends: true, weight: 1, make: (d, s) => ({ head: 0xb0, fields: [id(d.pick(IDS)), ...props(d, s, 11), ...(s.version === 5 ? [plain(0)] : [])] }) },
  { name: 'pingresp', ends: true, weight: 1, make: () => bare(0xd0) }
]

/** One packet of any kind, or, when asked, of those that leave the connection open. */
export function anyPacket (d: Dice, s: Speaker, mayEnd = true): RawPacket {
  const kinds = mayEnd ? KINDS : KINDS.filter(k => !k.ends)
  let at = d.int(kinds.reduce((sum, k) => sum + k.weight, 0))
  return kinds.find(k => (at -= k.weight) < 0)!.make(d, s)
}
