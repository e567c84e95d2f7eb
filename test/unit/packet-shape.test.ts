import { decode } from '../../broker/mqtt/frames.js'
import { field, packet } from '../support/bytes.js'

/** As many filters as one packet holds, each of them different; how long it takes to read them, ms. */
function readingMs (prefix: string): number {
  const filters: Buffer[] = []
  for (let size = 0; size < 330_000; size += filters.at(-1)!.length) filters.push(Buffer.concat([field(prefix + filters.length.toString(36)), Buffer.from([1])]))
  const bytes = packet(0x82, Buffer.concat([Buffer.from([0, 9, 0]), ...filters]))
  const began = performance.now()
  expect(decode(bytes, 5)).toMatchObject({ cmd: 'subscribe', subscriptions: { length: filters.length } })
  return performance.now() - began
}

test('characters that stand for what is no UTF-8 are read as fast as any others', () => {
  const least = (prefix: string): number => Math.min(...Array.from({ length: 5 }, () => readingMs(prefix))) // what else the machine does only adds
  expect(least('\ufffd')).toBeLessThan(least('abc') * 10) // when each was looked for in all bytes: 60 times
})
