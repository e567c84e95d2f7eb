import { timed } from '../../broker/core/topics/orders.js'

test('orders grow whatever the clock does, differ between lanes, and neighbours have different packet ids', () => {
  let now = 1_750_000_000_000
  const lanes = [timed(() => now, 3), timed(() => now, 4)] as const
  const all: number[] = []
  let last = 0
  for (let i = 0; i < 5000; i++) {
    if (i % 100 === 0) now += i % 300 === 0 ? -50 : 20
    const [one, other] = lanes.map(l => l.next(last)) as [number, number]
    expect(one).not.toBe(other)
    expect(Number.isSafeInteger(one) && one > last).toBe(true)
    all.push(last = one)
  }
  const ids = all.map(o => lanes[0].packetId(o))
  expect(ids.every(i => i >= 32_768 && i <= 65_535)).toBe(true)
  for (let i = 0; i + 64 < ids.length; i++) expect(new Set(ids.slice(i, i + 64)).size).toBe(64)
})
