import type { Client } from '../support/client.js'
import { range, seqs } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)

const recs = (c: Client, id: number): number => c.heard.filter(h => h.cmd === 'pubrec' && h.messageId === id).length
const send = (c: Client, id: number, dup = false): number => c.publish('u/bob/msg', { body: id }, { qos: 2, id, dup })

test.each([4, 5] as const)('PUBLISH, PUBREC, PUBREL, PUBCOMP: the entry is committed with the PUBREC (MQTT %i)', async version => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const alice = await p.client({ user: 'alice', version, subscribe: ['me/#'] })
  send(alice, 500)
  await alice.answer('pubrec', 500)
  expect(alice.heard.findIndex(h => h.cmd === 'pubrec')).toBeGreaterThan(alice.heard.findIndex(h => h.cmd === 'publish'))
  await bob.got('me/msg', 1)
  send(alice, 500, true) // again before PUBREL, on the same connection
  await alice.until(() => recs(alice, 500) === 2)
  alice.send({ cmd: 'pubrel', messageId: 500 })
  await alice.answer('pubcomp', 500)
  alice.send({ cmd: 'pubrel', messageId: 500 })
  await alice.until(() => alice.heard.filter(h => h.cmd === 'pubcomp').length === 2)
  send(alice, 500) // the id is free again: a new message
  await bob.got('me/msg', 2)
  await bob.settled()
  expect(bob.on('me/msg').map(d => [d.json.seq, d.json.body, d.qos])).toEqual([[1, 500, 1], [2, 500, 1]])
})

test('twice in one write it is stored once', async () => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  const alice = await p.client({ user: 'alice' })
  alice.socket.cork()
  send(alice, 500)
  send(alice, 500, true)
  alice.socket.uncork()
  await alice.answer('pubrec', 500)
  await bob.got('me/msg', 1)
  await alice.settled()
  await bob.settled()
  expect(seqs(bob)).toEqual([1])
})

test('resent on a new connection without a cid: me/ack with the first one\'s seq, then PUBREC', async () => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  let alice = await p.client({ user: 'alice', subscribe: ['me/#'] })
  send(alice, 500)
  await bob.got('me/msg', 1)
  alice.destroy()
  alice = await p.client({ user: 'alice' })
  send(alice, 500, true)
  await alice.answer('pubrec', 500)
  const answers = alice.heard.filter(h => h.cmd === 'publish' || h.cmd === 'pubrec').map(h => h.cmd)
  expect(answers).toEqual(['publish', 'pubrec'])
  expect(alice.on('me/ack')[0]!.json).toMatchObject({ conv: 'u/bob', seq: 1 })
  alice.send({ cmd: 'pubrel', messageId: 500 })
  await alice.answer('pubcomp', 500)
  await bob.settled()
  expect(seqs(bob)).toEqual([1])
})

test('a PUBREL on a new connection, whose PUBREC came on the old one, is answered', async () => {
  const p = await startParley()
  let alice = await p.client({ user: 'alice' })
  send(alice, 500)
  await alice.answer('pubrec', 500)
  alice.destroy()
  alice = await p.client({ user: 'alice' })
  alice.send({ cmd: 'pubrel', messageId: 500 })
  await alice.answer('pubcomp', 500)
})

test('an id left half-way by an older connection does not swallow a new message', async () => {
  const p = await startParley()
  const bob = await p.client({ user: 'bob', subscribe: ['me/#'] })
  for (const clean of [false, true, false]) {
    const alice = await p.client({ user: 'alice', clean })
    send(alice, 7)
    await alice.answer('pubrec', 7)
    alice.destroy()
  }
  await bob.got('me/msg', 3)
  expect(seqs(bob)).toEqual(range(1, 3))
})
