import { newServers } from '../servers/shared.js'
import type { Client } from '../support/client.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let drop: () => Promise<void>
let nodes: Parley[]
beforeEach(async () => {
  const servers = await newServers()
  drop = servers.drop
  nodes = await Promise.all([1, 2, 3].map(async () => await startParley(servers.settings)))
})
afterEach(async () => {
  await closeAll()
  await drop()
})

const phone = async (p: Parley): Promise<Client> => await p.client({ user: 'bob', version: 5, properties: { sessionExpiryInterval: 1000 }, subscribe: ['me/#'] })
const seqs = (c: Client): number[] => c.on('me/msg').map(d => d.json.seq as number)

test('a device that connects elsewhere is told so where it was, and misses nothing', async () => {
  const [a, b] = nodes as [Parley, Parley]
  const alice = await a.client({ user: 'alice' })
  const first = await phone(a)
  await alice.say('u/bob/msg', { body: 1 })
  await first.got('me/msg', 1)
  const second = await phone(b)
  await first.untilClosed()
  expect(first.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8e })
  for (let i = 2; i <= 5; i++) await alice.say('u/bob/msg', { body: i })
  await second.got('me/msg', 4)
  expect(seqs(second)).toEqual([2, 3, 4, 5])
  second.destroy()
  await second.untilClosed()
  await alice.say('u/bob/msg', { body: 6 })
  const third = await phone(nodes[2]!)
  await third.got('me/msg', 1)
  expect(seqs(third)).toEqual([6])
})

test('of many connections of one device on all nodes at once one is left, and it hears what is said', async () => {
  const alice = await nodes[0]!.client({ user: 'alice' })
  const all: Client[] = []
  await Promise.all(Array.from({ length: 12 }, async (_, i) => {
    // some are closed before they are answered
    await nodes[i % 3]!.client({ user: 'bob', version: 5, properties: { sessionExpiryInterval: 1000 } }).then(c => { all.push(c) }, () => {})
  }))
  const last = await phone(nodes[1]!)
  await Promise.all(all.map(async c => { await c.untilClosed() }))
  await alice.say('u/bob/msg', { body: 'x' })
  await last.got('me/msg', 1)
  expect(last.closed).toBe(false)
  expect(nodes.map(p => p.lines.filter(l => l.level === 'error'))).toEqual([[], [], []])
})
