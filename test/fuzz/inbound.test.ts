import fc from 'fast-check'
import { HEAD_BYTES, Inbound, type Sink } from '../../broker/mqtt/inbound.js'

/** Writes down what a cutter finds. Reads only while `open`. */
class Recorder implements Sink {
  readonly found: string[] = []
  reading = true
  over = false
  constructor (private readonly limit: number, private readonly closesAfter = Infinity) {}
  packet (b: Buffer, start: number, body: number, end: number): void {
    expect(start < body && body <= end && end <= b.length).toBe(true)
    this.found.push(`packet ${b.toString('hex', start, end)}`)
    if (this.found.length % this.closesAfter === 0) this.reading = false
  }

  sized (header: number, bytes: number): 'take' | 'skip' | 'refuse' {
    if (bytes <= this.limit) return 'take'
    if (header >> 4 === 3) return 'skip'
    this.found.push(`refused ${header} ${bytes}`)
    this.over = true
    return 'refuse'
  }

  skipped (head: Buffer): void { this.found.push(`skipped ${head.length} ${head.toString('hex', 0, 40)}`) }
  malformed (why: string): void { this.found.push(`malformed ${why}`); this.over = true }
}

function run (chunks: readonly Buffer[], sink: Recorder): string[] {
  const inbound = new Inbound()
  for (const c of chunks) {
    if (sink.over) break
    inbound.data(c, sink)
    while (!sink.reading) { sink.reading = true; inbound.go(sink) }
  }
  return sink.found
}

function chunked (all: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map(c => c % (all.length + 1)).sort((a, b) => a - b), all.length]
  return at.slice(1).map((end, i) => all.subarray(at[i], end)).filter(c => c.length > 0)
}

function vbi (n: number): number[] {
  const out = []
  do { const b = n % 128; n = Math.floor(n / 128); out.push(n > 0 ? b | 128 : b) } while (n > 0)
  return out
}
const packet = (head: number, length: number): Buffer => Buffer.concat([Buffer.from([head, ...vbi(length)]), Buffer.alloc(length, head)])
const anyPacket = fc.tuple(fc.integer({ min: 16, max: 255 }), fc.oneof(fc.nat(5), fc.nat(300), fc.constantFrom(127, 128, 16_383, 16_384, 70_000, 140_000))).map(([h, n]) => packet(h, n))
const cuts = fc.array(fc.nat(), { maxLength: 12 })

test('the same packets come out whatever the chunks, and however often the sink stops reading', () => {
  fc.assert(fc.property(fc.array(anyPacket, { maxLength: 6 }), cuts, fc.integer({ min: 1, max: 4 }), (packets, c, closesAfter) => {
    const all = Buffer.concat(packets)
    const whole = run([all], new Recorder(1 << 20))
    expect(whole).toEqual(packets.map(p => `packet ${p.toString('hex')}`))
    expect(run(chunked(all, c), new Recorder(1 << 20, closesAfter))).toEqual(whole)
  }), { numRuns: 500 })
})

test('with packets too large among them too: skipped or refused', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(0x30, 0x32, 0x82), fc.constantFrom(3, 200, 66_000, 100_000)).map(([h, n]) => packet(h, n)), { maxLength: 5 }), cuts, (packets, c) => {
    const all = Buffer.concat(packets)
    const limit = 67_000
    const whole = run([all], new Recorder(limit))
    expect(run(chunked(all, c), new Recorder(limit))).toEqual(whole)
    for (const line of whole.filter(l => l.startsWith('skipped'))) expect(Number(line.split(' ')[1])).toBe(HEAD_BYTES)
  }), { numRuns: 500 })
})

test('byte by byte', () => {
  const packets = [packet(0x10, 20), packet(0xc0, 0), packet(0x32, 200), packet(0xc0, 0)]
  const all = Buffer.concat(packets)
  expect(run([...all].map(b => Buffer.from([b])), new Recorder(1 << 20))).toEqual(packets.map(p => `packet ${p.toString('hex')}`))
})

test('noise: the same whatever the chunks', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }).map(a => Buffer.from(a)), cuts, (all, c) => {
    expect(run(chunked(all, c), new Recorder(1000))).toEqual(run([all], new Recorder(1000)))
  }), { numRuns: 5000 })
})

test('a length of five bytes is none, wherever it is cut', () => {
  const all = Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])
  for (let i = 0; i <= all.length; i++) expect(run(chunked(all, [i]), new Recorder(1 << 30))).toEqual([expect.stringMatching('malformed')])
})
