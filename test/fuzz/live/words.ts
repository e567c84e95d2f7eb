/** The users of the attack; none of them is a bystander. */
export const USERS = Array.from({ length: 2000 }, (_, i) => `m${i}`)

export const METHODS = ['server.info', 'sync', 'inbox', 'history', 'device.set', 'auth.refresh', 'group.create', 'group.get', 'group.list', 'group.members', 'group.add', 'group.remove', 'group.join', 'group.leave', 'group.delete', 'no.such', '__proto__']

/** Topics that mean something, ours and ordinary ones; `%` stands for a user. */
export const TOPICS = [
  'u/%/msg', 'u/%/msg/c1', 'u/%/raw', 'u/%/raw/c2', 'u/%/sig', 'u/%/rcpt', 'g/fz/msg', 'g/fz/raw/c3', 'g/fz/sig', 'g/fz/rcpt', 'state', ...METHODS.map(m => `rpc/${m}`),
  'fz/%', 'fz/a', 'fz/a/b', 'fz/will', 'other/%', 'me/msg', 'u/%/ack', 'presence/%', 'p/x', '$SYS/x', '/', 'a//b'
]

export const FILTERS = [
  'me/#', 'me/+', 'me/msg', 'me/ack', 'me/batch', 'me/gap', 'me/rpc', 'u/%/#', 'u/%/msg', 'g/fz/#', 'fz/%', 'fz/+', 'fz/#', 'fz/a', 'fz/+/b', '+/a', '#', '+', '/', '+/+', 'other/%',
  '$share/s/fz/#', '$share/s/fz/+', '$share/t/fz/a', '$share/s/me/#', '$share//fz/#', '$share/s', '$SYS/#', 'presence/%', 'presence/+'
]

/** What no field should be, or what it may be and code may trip over. */
export const HOSTILE: readonly Buffer[] = [
  '', '\0', 'a\0b', '\u0001', '\u007f', '\ufeff', '\ufeffu/m1/msg', '\ufffd', '\uffff', '+', '#', 'a/#/b', 'a+', '#/a', '+a/b', '/', '//', '...', '$', '$SYS/#', '$share', '$share/', '$share/a', '$share/+/a', '$share/a/#/b',
  '__proto__', '__proto__/#', 'constructor', 'toString', 'hasOwnProperty', 'u/__proto__/msg', 'rpc/constructor', 'u/+/msg', 'me/#', 'u/m1/#', 'u/m1/msg/\u00e9', '7', '-1', 'null', '%s%n%x', '../../etc', 'x'.repeat(300),
  'x'.repeat(65_535), '/'.repeat(65_535), '\u00e9'.repeat(32_767), '{"__proto__":1}', `{"body":${'['.repeat(2000)}`
].map(s => Buffer.from(s)).concat(([[0xff], [0xc0, 0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0x75, 0x2f, 0xff, 0x2f, 0x6d], [0xf0, 0x9f, 0x98]] as const).map(b => Buffer.from(b)))

/** Payloads that are something to somebody. */
export const PAYLOADS = [
  '', 'hello', '{"body":1}', '{"body":"x","cid":"c1"}', '{"body":{"a":[1,2]},"cid":"c2","type":"poll","ref":1,"mentions":["m1"],"ttl":60}', '{"type":"edit","ref":1,"body":2}', '{"type":"recall","ref":1}', '{"type":"react","ref":1,"body":"x"}',
  '{"delivered":1}', '{"read":9007199254740991}', '{"typing":true}', '{"active":false}', '{"active":true}', '{"id":"1"}', '{"id":"2","conv":"u/m1","limit":3}', '{"id":"3","cursors":{"u/m1":0}}', '{"id":"4","group":"fz","members":["m1","m2","m3"]}',
  '{"id":"5","users":["m4"],"group":"fz"}', '{"id":"6","__proto__":{"x":1}}', '{"id":"7","token":"x"}', '{"id":"8","maxPacketBytes":100,"ack":"rcpt"}', `{"id":"9","conv":"${'['.repeat(500)}"}`, '{', '[]', '\u00e9', 'x'.repeat(5000)
]

/** How the value of a property is written. */
export type PropertyKind = 'flag' | 'word' | 'long' | 'length' | 'text' | 'data' | 'pair'

/** Every property of MQTT 5 [MQTT-2.2.2.2]: its identifier, its kind, and the packet types (0: a will) in which it may stand. */
export const PROPERTIES: readonly { code: number, kind: PropertyKind, where: readonly number[] }[] = ([
  [0x01, 'flag', [3, 0]], [0x02, 'long', [3, 0]], [0x03, 'text', [3, 0]], [0x08, 'text', [3, 0]], [0x09, 'data', [3, 0]], [0x0b, 'length', [3, 8]], [0x11, 'long', [1, 2, 14]], [0x12, 'text', [2]], [0x13, 'word', [2]],
  [0x15, 'text', [1, 2, 15]], [0x16, 'data', [1, 2, 15]], [0x17, 'flag', [1]], [0x18, 'long', [0]], [0x19, 'flag', [1]], [0x1a, 'text', [2]], [0x1c, 'text', [2, 14]], [0x1f, 'text', [2, 4, 5, 6, 7, 9, 11, 14, 15]],
  [0x21, 'word', [1, 2]], [0x22, 'word', [1, 2]], [0x23, 'word', [3]], [0x24, 'flag', [2]], [0x25, 'flag', [2]], [0x26, 'pair', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15]], [0x27, 'long', [1, 2]], [0x28, 'flag', [2]], [0x29, 'flag', [2]], [0x2a, 'flag', [2]]
] as const).map(([code, kind, where]) => ({ code, kind, where }))

export const NUMBERS = [0, 1, 2, 9, 60, 100, 255, 256, 65_534, 65_535]
export const LONGS = [...NUMBERS, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]
export const IDS = [0, 1, 2, 7, 8, 9, 100, 32_768, 65_535]
