import { startParley, type Parley } from '../support/parley.js'

const ALL = { acl: [{ allow: ['publish', 'subscribe'], topic: '#' }] }

let p: Parley
beforeAll(async () => { p = await startParley(ALL) })
afterAll(async () => { await p.close() })

test.each([0, 1, 2] as const)('a message at QoS %i reaches its subscriber', async qos => {
  const sub = await p.client({ user: 'sub', device: `s${qos}`, clean: true, subscribe: [] })
  expect(await sub.subscribe(`room/${qos}/#`, 2)).toBe(2)
  const pub = await p.client({ user: 'pub', device: `p${qos}`, clean: true })
  const id = pub.publish(`room/${qos}/a`, 'hello', { qos })
  if (qos === 2) {
    await pub.answer('pubrec', id)
    pub.send({ cmd: 'pubrel', messageId: id })
    await pub.answer('pubcomp', id)
  }
  const [got] = await sub.got(`room/${qos}`, 1)
  expect(got).toMatchObject({ topic: `room/${qos}/a`, qos })
  expect(got!.packet).toMatchObject({ payload: Buffer.from('hello'), retain: false, dup: false })
  await pub.end()
  await sub.end()
})
