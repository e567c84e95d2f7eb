import { Extras } from '../../broker/core/extras.js'
import { Grants } from '../../broker/core/grants.js'
import { Outgoing } from '../../broker/core/outgoing.js'
import { type ConvKey, directKey, type UserId } from '../../broker/domain/ids.js'
import { inboxFilter } from '../../broker/domain/topics.js'

const BOB = 'bob' as UserId

/** The extras of a session that holds `me/#` at this QoS; `sent`: what went out. */
function made (qos: 0 | 1, window = 32) {
  const sent: unknown[] = []
  const link = {
    receiveMaximum: window, maxPacketBytes: 0, unsentBytes: 0, sizeOf: () => 0,
    deliver: (out: Outgoing, at: number) => { sent.push([at, JSON.parse(out.bytes.toString())]) }
  }
  const grants = new Grants()
  grants.set([[inboxFilter('me/#', BOB)!, qos]])
  const flights = new Set<number>()
  const extras = new Extras({ user: BOB, closed: false, grants, link, window, flights, fits: () => true, flyOther: () => { flights.add(flights.size); return 1 } })
  return { extras, link, flights, sent }
}

const event = (n: number): Outgoing => Outgoing.json('evt', { n })

test('at QoS 0 what waits for a receiver that reads nothing is bounded as for a full window', () => {
  const { extras, link, sent } = made(0)
  link.unsentBytes = 1 << 20
  for (let i = 0; i < 1000; i++) extras.event(event(i))
  expect(sent).toEqual([])
  link.unsentBytes = 0
  extras.drain()
  expect(sent).toEqual([[0, { type: 'resync' }]])
})

test('marks of more conversations than are remembered become one resync', () => {
  const { extras, flights, sent } = made(1, 2)
  flights.add(7).add(8)
  for (let i = 0; i < 500; i++) extras.receipt({ conv: directKey(BOB, `u${i}` as UserId), user: `u${i}` as UserId, read: 1 })
  flights.clear()
  extras.drain()
  expect(sent[0]).toEqual([1, { type: 'resync' }])
  expect(sent).toHaveLength(2)
})

test('a request whose answer would find no place is not taken: eight while the window is full', () => {
  const { extras, flights } = made(1, 2)
  expect(extras.takesAnswers(100)).toBe(true)
  flights.add(7).add(8)
  expect([extras.takesAnswers(7), extras.takesAnswers(8)]).toEqual([true, false])
  expect(made(0).extras.takesAnswers(100)).toBe(true) // waits for a place instead, see rpc
})

test('answers go before events, and events before marks', () => {
  const { extras, flights, sent } = made(1, 4)
  for (const i of [1, 2, 3, 4]) flights.add(i)
  extras.receipt({ conv: 'g/team' as ConvKey, user: 'carol' as UserId, delivered: 3 })
  extras.receipt({ conv: 'g/team' as ConvKey, user: 'carol' as UserId, read: 2 })
  extras.event(event(1))
  extras.answer(Outgoing.json('rpc', { id: 'a' }), () => {})
  flights.clear()
  extras.drain()
  expect(sent).toEqual([[1, { id: 'a' }], [1, { n: 1 }], [1, { conv: 'g/team', delivered: 3, read: 2, user: 'carol' }]])
})
