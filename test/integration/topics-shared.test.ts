import type { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { closeAll, startParley } from '../support/parley.js'

afterEach(closeAll)
const ALL = { acl: [{ allow: ['publish', 'subscribe'], topic: '#' }] }
const texts = (c: Client): number[] => c.on('jobs').map(d => Number(d.packet.payload))

test.each([4, 5] as const)('of all who share a subscription each message goes to one, in turn; who subscribes alone gets all (version byte %i)', async version => {
  const p = await startParley(ALL)
  const of = async (user: string, filter: string): Promise<Client> => {
    const c = await p.client({ user, clean: true, version })
    expect(await c.subscribe(filter, 1)).toBe(1)
    return c
  }
  const shared = [await of('a', '$share/workers/jobs/#'), await of('b', '$share/workers/jobs/#'), await of('c', '$share/workers/jobs/#')]
  const [other, alone] = [await of('d', '$share/others/jobs/#'), await of('e', 'jobs/#')]
  const pub = await p.client({ user: 'pub', clean: true })
  for (const i of range(1, 30)) await pub.say('jobs/x', `${i}`)
  await alone.got('jobs', 30)
  await other.got('jobs', 30)
  for (const c of shared) await c.got('jobs', 10)
  expect(shared.flatMap(texts).sort((a, b) => a - b)).toEqual(range(1, 30))
  await shared[0]!.unsubscribe('$share/workers/jobs/#')
  shared[1]!.destroy()
  await shared[1]!.untilClosed()
  await alone.settled()
  for (const i of range(31, 40)) await pub.say('jobs/x', `${i}`)
  await shared[2]!.got('jobs', 20)
  expect(texts(shared[2]!).slice(10)).toEqual(range(31, 40))
})

test('a shared subscription gets nothing retained, and its identifier', async () => {
  const p = await startParley(ALL)
  const pub = await p.client({ user: 'pub', clean: true })
  await pub.say('jobs/x', '1', { retain: true })
  const c = await p.client({ user: 'c', clean: true, version: 5 })
  c.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: '$share/g/jobs/#', qos: 1 }], properties: { subscriptionIdentifier: 5 } })
  await c.answer('suback', 9)
  await pub.say('jobs/x', '2')
  expect((await c.got('jobs', 1)).map(d => [String(d.packet.payload), d.packet.properties?.subscriptionIdentifier])).toEqual([['2', 5]])
})

test('while all members of a persistent group are away, messages wait for one of them each', async () => {
  const p = await startParley(ALL)
  const me = [0, 1].map(i => ({ user: 'w', device: `d${i}` }))
  for (const m of me) await (await p.client({ ...m, subscribe: ['$share/g/jobs'] })).end()
  const pub = await p.client({ user: 'pub', clean: true })
  for (const i of range(1, 10)) await pub.say('jobs', `${i}`)
  await p.restart()
  const clients = await Promise.all(me.map(async m => await p.client(m)))
  await Promise.all(clients.map(async c => { await c.got('jobs', 5) }))
  expect(clients.flatMap(texts).sort((a, b) => a - b)).toEqual(range(1, 10))
})

test('a member that does not read is passed over', async () => {
  const p = await startParley(ALL)
  const frozen = await p.client({ user: 'frozen', clean: true, acks: false, version: 5, properties: { receiveMaximum: 2 }, subscribe: ['$share/g/jobs'] })
  const awake = await p.client({ user: 'awake', clean: true, subscribe: ['$share/g/jobs'] })
  const pub = await p.client({ user: 'pub', clean: true })
  for (const i of range(1, 50)) await pub.say('jobs', `${i}`)
  await awake.got('jobs', 48)
  expect(frozen.on('jobs')).toHaveLength(2)
})

test('No Local on a shared subscription is an error; names that are none are refused', async () => {
  const p = await startParley(ALL)
  const c = await p.client({ user: 'c', clean: true, version: 5 })
  for (const bad of ['$share//a', '$share/g', '$share/g/', '$share/+/a']) expect(await c.subscribe(bad)).toBeGreaterThanOrEqual(0x80)
  c.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: '$share/g/a', qos: 1, nl: true }] })
  await c.untilClosed()
  expect(c.heard.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
})
