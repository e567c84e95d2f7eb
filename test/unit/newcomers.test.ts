import { Newcomers } from '../../broker/mqtt/newcomers.js'

/** Five may wait. `closed` says who had to go. */
function room () {
  const closed: string[] = []
  const newcomers = new Newcomers(() => {}, 5)
  const enter = (name: string, address: string) => {
    const n = { close: () => { closed.push(name) } }
    newcomers.enter(n, address)
    return n
  }
  return { closed, newcomers, enter }
}

test('one address may have all places; when all are taken it gives way to others, its oldest one first', () => {
  const { closed, enter } = room()
  for (let i = 1; i <= 5; i++) enter(`a${i}`, '192.0.2.1')
  expect(closed).toEqual([])
  enter('a6', '192.0.2.1')
  expect(closed).toEqual(['a6'])
  enter('b1', '192.0.2.2')
  enter('c1', '192.0.2.3')
  expect(closed).toEqual(['a6', 'a1', 'a2'])
})

test('nobody is sent away for somebody whose address has as many', () => {
  const { closed, enter } = room()
  for (const [name, host] of [['a1', 1], ['a2', 1], ['b1', 2], ['b2', 2], ['c1', 3]] as const) enter(name, `192.0.2.${host}`)
  enter('a3', '192.0.2.1')
  expect(closed).toEqual(['a3'])
  enter('d1', '192.0.2.4')
  expect(closed).toEqual(['a3', 'a1'])
})

test('who leaves makes room; who leaves twice makes it once', () => {
  const { closed, newcomers, enter } = room()
  const all = [1, 2, 3, 4, 5].map(i => enter(`a${i}`, '192.0.2.1'))
  newcomers.leave(all[0]!)
  newcomers.leave(all[0]!)
  enter('a6', '192.0.2.1')
  enter('a7', '192.0.2.1')
  expect(closed).toEqual(['a7'])
})

test('whose address becomes known later is counted there', () => {
  const { closed, newcomers, enter } = room()
  const [first] = [1, 2, 3].map(i => enter(`balancer${i}`, '10.0.0.1'))
  newcomers.enter(first!, '192.0.2.1')
  enter('b', '192.0.2.1')
  enter('c', '192.0.2.1')
  enter('d', '192.0.2.9')
  expect(closed).toEqual(['balancer1'])
})

test('at the end all are closed', () => {
  const { closed, newcomers, enter } = room()
  enter('a', '192.0.2.1')
  enter('b', '192.0.2.2')
  newcomers.closeAll()
  expect(closed).toEqual(['a', 'b'])
})
