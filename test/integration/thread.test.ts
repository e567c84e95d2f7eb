import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

test('a message goes from a phone to a phone, and is there after a restart', async () => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  await alice.say('u/bob/msg', { cid: 'c1', body: 'hello' })
  expect((await alice.got('me/ack', 1))[0]!.json).toEqual({ cid: 'c1', seq: 1, ts: expect.any(Number) as number })
  expect((await bob.got('me/msg', 1))[0]!.json).toEqual({ conv: 'u/alice', seq: 1, ts: expect.any(Number) as number, body: 'hello' })
  await p.restart()
  const again = await p.client({ user: 'alice', device: 'phone', subscribe: ['me/#'] })
  expect((await again.rpc('history', { conv: 'u/bob' })).result).toMatchObject({ from: 1, to: 1, head: 1, more: false })
})
