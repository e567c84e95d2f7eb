import type { Client } from '../support/client.js'
import { fill, range } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

interface Found { entries: { seq: number, size?: number, body?: string }[], to: number, more: boolean }
/** The largest PUBLISH that a client was sent, with its fixed header. */
const largest = (c: Client): number => Math.max(...c.heard.map(p => p.cmd !== 'publish' ? 0 : (p.length ?? 0) + (p.length! < 128 ? 2 : p.length! < 16_384 ? 3 : 4)))

/** Reads a conversation to its end; every page brings it further. */
async function read (c: Client, conv: string): Promise<Found['entries']> {
  const all: Found['entries'] = []
  for (let after = 0, more = true; more;) {
    const page = (await c.rpc('history', { conv, after })).result as unknown as Found
    expect(page.to).toBeGreaterThan(after)
    all.push(...page.entries)
    ;({ to: after, more } = page)
  }
  return all
}

test('no answer is larger than the client\'s Maximum Packet Size, or what the device asked for', async () => {
  const p = await startParley()
  const alice = await p.client({ user: 'alice' })
  await fill(alice, 'u/bob/msg', 40, i => 'x'.repeat(i % 10 === 0 ? 5000 : 10 * i))
  const bob = await p.client({ user: 'bob', version: 5, properties: { maximumPacketSize: 2000 }, subscribe: ['me/rpc'] })
  const found = await read(bob, 'u/alice')
  expect(found.map(e => e.seq)).toEqual(range(1, 40))
  expect(found.filter(e => e.size !== undefined).map(e => e.seq)).toEqual([10, 20, 30, 40])
  expect(largest(bob)).toBeLessThanOrEqual(2000)

  const carol = await p.client({ user: 'bob', device: 'tablet', subscribe: ['me/rpc'] })
  await carol.rpc('device.set', { maxPacketBytes: 3000 })
  expect((await read(carol, 'u/alice')).map(e => e.seq)).toEqual(range(1, 40))
  for (const [method, params] of [['sync', { cursors: {} }], ['inbox', {}]] as const) expect((await carol.rpc(method, params)).result).toHaveProperty('conversations')
  expect(largest(carol)).toBeLessThanOrEqual(3000)
})

test('one entry at least: as large as messages may be, however it is written', async () => {
  const p = await startParley({ limits: { messageBytes: 1 << 20 } })
  const alice = await p.client({ user: 'alice', subscribe: ['me/rpc'] })
  await alice.say('u/bob/msg', '"'.repeat(1 << 20)) // a text, in which every character is escaped
  await alice.say('u/bob/raw', Buffer.alloc(1 << 20, 7))
  const [text, bytes] = await read(alice, 'u/bob') as unknown as [{ body: string }, { bytes: string }]
  expect(text.body === '"'.repeat(1 << 20)).toBe(true)
  expect(Buffer.from(bytes.bytes, 'base64').equals(Buffer.alloc(1 << 20, 7))).toBe(true)
})
