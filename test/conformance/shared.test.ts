import type { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { ordinaryNode, payloads, sayOnce } from '../support/ordinary.js'

/** Shared subscriptions: each message for one of those who share. */
const node = ordinaryNode()

/** Members of a new share on a topic, QoS 1 unless said otherwise. */
async function members (topic: string, n: number, o: { acks?: boolean, qos?: 0 | 1 | 2 } = {}): Promise<{ users: string[], all: Client[] }> {
  const users = range(1, n).map(() => node.user())
  const all: Client[] = []
  for (const user of users) {
    const c = await node.client({ user, version: 5, acks: o.acks ?? true })
    expect(await c.subscribe(`$share/group/${topic}`, o.qos ?? 1)).toBe(o.qos ?? 1)
    all.push(c)
  }
  return { users, all }
}

test('each message goes to one member, at the QoS that was granted to it [MQTT5-4.8.2-3]', async () => {
  const topic = node.topic()
  const low = (await members(topic, 2, { qos: 0 })).all
  const high = (await members(topic, 2, { qos: 2 })).all
  const everybody = await node.client({ version: 5 })
  await everybody.subscribe(topic, 2)
  const publisher = await node.client()
  for (const n of range(1, 40)) await sayOnce(publisher, topic, `${n}`)
  const all = [...low, ...high]
  await everybody.got(topic, 40)
  for (const c of all) await c.settled()
  expect(all.flatMap(c => payloads(c, topic)).map(Number).sort((a, b) => a - b)).toEqual(range(1, 40))
  for (const c of low) expect(new Set(c.on(topic).map(d => d.qos))).toEqual(new Set([0]))
  for (const c of high) expect(new Set(c.on(topic).map(d => d.qos))).toEqual(new Set([2]))
})

test('what was begun with a member that left is completed when it comes back, and given to nobody else [MQTT5-4.8.2-4]', async () => {
  const topic = node.topic()
  const { users, all } = await members(topic, 2, { acks: false, qos: 2 })
  const publisher = await node.client()
  for (const n of range(1, 4)) await sayOnce(publisher, topic, `${n}`)
  const given = (): number => all.reduce((sum, c) => sum + c.on(topic).length, 0)
  for (const c of all) await c.settled()
  expect(given()).toBe(4)
  const left = all.findIndex(c => c.on(topic).length > 0)
  const [gone, other] = [all[left]!, all[1 - left]!]
  const begun = gone.on(topic).map(d => [d.packet.payload.toString(), d.id])
  gone.destroy()
  await other.settled()
  expect(given()).toBe(4)
  const back = await node.client({ user: users[left], version: 5 })
  await back.got(topic, begun.length)
  expect(back.on(topic).map(d => [d.packet.payload.toString(), d.id])).toEqual(begun)
})

test('when the session ends before, what was sent to it goes to nobody else [MQTT5-4.8.2-5]', async () => {
  const topic = node.topic()
  const { all } = await members(topic, 1, { acks: false, qos: 2 })
  const publisher = await node.client()
  await sayOnce(publisher, topic, 'begun')
  await all[0]!.got(topic, 1)
  const [other] = (await members(topic, 1)).all
  all[0]!.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
  await all[0]!.untilClosed()
  await publisher.say(topic, 'next')
  await other!.got(topic, 1)
  await other!.settled()
  expect(payloads(other!, topic)).toEqual(['next'])
})

test('what a member refuses by PUBACK or PUBREC goes to nobody else [MQTT5-4.8.2-6]', async () => {
  const topic = node.topic()
  const { all } = await members(topic, 2, { acks: false, qos: 2 })
  const publisher = await node.client()
  for (const n of range(1, 4)) await publisher.say(topic, `${n}`)
  for (const n of range(5, 8)) await sayOnce(publisher, topic, `${n}`)
  for (const c of all) {
    await c.settled()
    for (const d of c.on(topic)) c.send(d.qos === 1 ? { cmd: 'puback', messageId: d.id, reasonCode: 0x80 } : { cmd: 'pubrec', messageId: d.id, reasonCode: 0x83 })
  }
  for (const c of all) await c.settled()
  for (const c of all) await c.settled()
  expect(all.flatMap(c => payloads(c, topic)).map(Number).sort((a, b) => a - b)).toEqual(range(1, 8))
})

test('a shared filter without a share name or a filter is refused; any other share name is granted [MQTT5-4.8.2-1 4.8.2-2]', async () => {
  const topic = node.topic()
  const c = await node.client({ version: 5 })
  for (const filter of ['$share', '$share/', '$share/x', '$share/x/', `$share//${topic}`, '$share//']) expect(await c.subscribe(filter, 1)).toBeGreaterThanOrEqual(0x80)
  for (const filter of [`$share/a/${topic}`, `$share/$/${topic}/#`, `$share/a b/+/${topic}`, '$share/a//', `$share/\u00e9/${topic}`]) expect([filter, await c.subscribe(filter, 1)]).toEqual([filter, 1])
})
