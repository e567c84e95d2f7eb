import fc from 'fast-check'
import { crc32c } from '../../broker/mqtt/crc32c.js'
import { MAX_HEADER_BYTES, parseProxyHeader } from '../../broker/mqtt/proxy-header.js'
import { LOCAL, ssl, tcp4, tcp6, tlv, v2, withChecksum } from '../support/proxy-header.js'

const parse = (b: Buffer | string) => parseProxyHeader(Buffer.from(b as string))
const why = (b: Buffer | string): string => { const e = parse(b); return e instanceof Error ? e.message : `taken: ${JSON.stringify(e)}` }

test('CRC32c of the vectors of RFC 3720, appendix B.4', () => {
  expect([Buffer.alloc(32), Buffer.alloc(32, 255), Buffer.from([...Array(32).keys()]), Buffer.from('123456789')].map(b => crc32c(b).toString(16)))
    .toEqual(['8a9136aa', '62a8ab43', '46dd794e', 'e3069283'])
})

describe('v1', () => {
  test.each([
    ['PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n', '192.0.2.7'],
    ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', '255.255.255.255'],
    ['PROXY TCP6 2001:DB8:0::1 ::1 0 1\r\n', '2001:db8::1'],
    ['PROXY TCP6 ::ffff:192.0.2.7 ::1 1 1\r\n', '192.0.2.7'],
    ['PROXY UNKNOWN\r\n', undefined],
    ['PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n', undefined]
  ])('%j', (line, address) => { expect(parse(line + 'rest')).toEqual({ bytes: line.length, ...(address === undefined ? {} : { address }) }) })

  test.each([
    'PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n', 'PROXY TCP4 192.0.2.7 10.0.0.1 56324 443 1\r\n', 'PROXY TCP4 192.0.2.256 10.0.0.1 1 1\r\n', 'PROXY TCP4 192.0.2.07 10.0.0.1 1 1\r\n',
    'PROXY TCP4  192.0.2.7 10.0.0.1 1 1\r\n', 'PROXY TCP4 ::1 ::1 1 1\r\n', 'PROXY TCP6 192.0.2.7 10.0.0.1 1 1\r\n', 'PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n',
    'PROXY TCP4 192.0.2.7 10.0.0.1 65536 1\r\n', 'PROXY TCP4 192.0.2.7 10.0.0.1 01 1\r\n', 'PROXY TCP4 192.0.2.7 10.0.0.1 -1 1\r\n', 'PROXY TCP4 192.0.2.7 10.0.0.1 1 1 \r\n',
    'PROXY TCP5 192.0.2.7 10.0.0.1 1 1\r\n', 'PROXY \r\n', 'PROXY UNKNOWNS\r\n', 'proxy TCP4 192.0.2.7 10.0.0.1 1 1\r\n', 'PROXY\tTCP4', 'GET / HTTP/1.1\r\n', `PROXY UNKNOWN ${'x'.repeat(93)}`, `PROXY TCP4 ${' '.repeat(200)}`
  ])('%j is none', line => { expect(parse(line)).toBeInstanceOf(Error) })

  test('107 bytes are the most', () => {
    const line = (n: number): string => `PROXY UNKNOWN ${'x'.repeat(n - 16)}\r\n`
    expect(parse(line(107))).toEqual({ bytes: 107 })
    expect(why(line(108))).toBe('the line has no end')
  })
})

describe('v2', () => {
  const v6 = '20010db8000000000000000000000001'
  test.each([
    ['TCP4', tcp4('192.0.2.7'), { address: '192.0.2.7' }],
    ['UDP4', v2(0x12, Buffer.concat([Buffer.from([192, 0, 2, 7]), Buffer.alloc(8)])), { address: '192.0.2.7' }],
    ['TCP6', tcp6(v6), { address: '2001:db8::1' }],
    ['TCP6 of an IPv4 address', tcp6('00000000000000000000ffffc0000207'), { address: '192.0.2.7' }],
    ['UNIX', v2(0x31, Buffer.alloc(216, 'x')), {}],
    ['UNIX with a name', v2(0x31, Buffer.concat([Buffer.alloc(216), ssl('alice')])), { commonName: 'alice' }],
    ['LOCAL', LOCAL, {}],
    ['LOCAL of a family that is unknown, with a name', v2(0xff, ssl('alice'), 0), {}],
    ['UNSPEC', v2(0x00, Buffer.from('whatever')), {}],
    ['a checksum', withChecksum(tcp4('192.0.2.7')), { address: '192.0.2.7' }],
    ['a checksum among others', withChecksum(tcp6(v6, tlv(0x02, 'host.example'), ssl('älice'), tlv(0x04, Buffer.alloc(9)))), { address: '2001:db8::1', commonName: 'älice' }],
    ['TLVs of others (AWS, Azure), twice', tcp4('192.0.2.7', tlv(0xea, 'vpce-1'), tlv(0xea, 'vpce-2'), tlv(0xee, Buffer.alloc(5))), { address: '192.0.2.7' }],
    ['the most bytes', tcp4('192.0.2.7', tlv(0x28, Buffer.alloc(MAX_HEADER_BYTES - 31))), { address: '192.0.2.7' }]
  ])('%s', (_name, header, says) => { expect(parse(Buffer.concat([header, Buffer.from('rest')]))).toEqual({ bytes: header.length, ...says }) })

  test('a name counts only when the balancer has verified the certificate', () => {
    for (const o of [{ verify: 1 }, { verify: 0x01000000 }, { client: 0x01 }, { client: 0 }]) expect(parse(tcp4('192.0.2.7', ssl('alice', o)))).toEqual({ bytes: expect.any(Number), address: '192.0.2.7' })
    for (const client of [0x02, 0x04, 0x07]) expect(parse(tcp4('192.0.2.7', ssl('alice', { client })))).toMatchObject({ commonName: 'alice' })
  })

  const changed = (b: Buffer, at: number, to: number): Buffer => { const c = Buffer.from(b); c[at] = to; return c }
  test.each([
    ['another version', changed(tcp4('192.0.2.7'), 12, 0x11), 'the version or the command is unknown'],
    ['another command', changed(tcp4('192.0.2.7'), 12, 0x22), 'the version or the command is unknown'],
    ['another family', changed(tcp4('192.0.2.7'), 13, 0x41), 'the address family is unknown'],
    ['a family without transport', changed(tcp4('192.0.2.7'), 13, 0x10), 'the address family is unknown'],
    ['addresses cut off', v2(0x21, Buffer.alloc(35)), 'the addresses are cut off'],
    ['a length of 65,535', changed(changed(tcp4('192.0.2.7'), 14, 255), 15, 255), 'the header is too long'],
    ['a LOCAL of 65,535', changed(changed(LOCAL, 14, 255), 15, 255), 'the header is too long'],
    ['one byte too many', tcp4('192.0.2.7', tlv(0x28, Buffer.alloc(MAX_HEADER_BYTES - 30))), 'the header is too long'],
    ['a TLV without length', tcp4('192.0.2.7', Buffer.from([0x04, 0])), 'a TLV is cut off'],
    ['a TLV longer than the header', tcp4('192.0.2.7', Buffer.from([0x04, 0, 2, 0])), 'a TLV is cut off'],
    ['a wrong checksum', changed(withChecksum(tcp4('192.0.2.7')), 16, 193), 'the checksum does not match'],
    ['a checksum of three bytes', tcp4('192.0.2.7', tlv(0x03, Buffer.alloc(3))), 'the checksum does not match'],
    ['two checksums', withChecksum(withChecksum(tcp4('192.0.2.7'))), 'a TLV is given twice'],
    ['TLS information twice', tcp4('192.0.2.7', ssl('alice'), ssl('bob')), 'a TLV is given twice'],
    ['two names', tcp4('192.0.2.7', tlv(0x20, Buffer.concat([Buffer.from([7, 0, 0, 0, 0]), tlv(0x22, 'alice'), tlv(0x22, 'bob')]))), 'a TLV is given twice'],
    ['TLS information of four bytes', tcp4('192.0.2.7', tlv(0x20, Buffer.alloc(4))), 'the TLS information is cut off'],
    ['a name longer than its TLV', tcp4('192.0.2.7', tlv(0x20, Buffer.from([7, 0, 0, 0, 0, 0x22, 0, 9, 0x61]))), 'a TLV is cut off'],
    ['a name that is no UTF-8', tcp4('192.0.2.7', ssl(Buffer.from([0xff]))), 'the common name is no UTF-8']
  ])('%s is refused', (_name, header, message) => { expect(why(header)).toBe(message) })
})

const GOOD = [Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n'), Buffer.from('PROXY UNKNOWN\r\n'), LOCAL, withChecksum(tcp4('192.0.2.7', ssl('alice'))), tcp6('20010db8000000000000000000000001', tlv(0x04, 'x'))]

test('cut at any byte it is cut off, and with anything behind it the same', () => {
  for (const header of GOOD) for (let n = 0; n < header.length; n++) expect([n, parse(header.subarray(0, n))]).toEqual([n, null])
  fc.assert(fc.property(fc.constantFrom(...GOOD), fc.uint8Array(), (header, rest) => { expect(parse(Buffer.concat([header, rest]))).toEqual(parse(header)) }))
})

test('whatever comes: a header of its size, none, or not enough, and more bytes change no answer but the last', () => {
  const spoilt = fc.tuple(fc.constantFrom(...GOOD), fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 })).map(([header, changes]) => {
    const b = Buffer.from(header)
    for (const [at, byte] of changes) b[at % b.length] = byte
    return b
  })
  const noise = fc.tuple(fc.constantFrom(Buffer.alloc(0), LOCAL.subarray(0, 12), Buffer.from('PROXY '), Buffer.from('PROXY TCP4 ')), fc.uint8Array({ maxLength: 300 })).map(([head, b]) => Buffer.concat([head, b]))
  fc.assert(fc.property(fc.oneof(spoilt, noise), all => {
    let settled: unknown = null
    for (let n = 0; n <= all.length; n++) {
      const now = parse(all.subarray(0, n))
      if (now !== null && !(now instanceof Error)) expect(now.bytes).toBeLessThanOrEqual(n)
      if (settled !== null) expect(now).toEqual(settled)
      settled = now
    }
  }), { numRuns: 3000 })
})
