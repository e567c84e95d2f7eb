import { FairQueue, QueueFull } from '../../broker/domain/fair-queue.js'

/** Jobs that end when told to. */
function jobs (queue: FairQueue) {
  const started: string[] = []
  const ends = new Map<string, () => void>()
  const run = (key: string, name: string): Promise<string> => queue.run(key, async () => {
    started.push(name)
    await new Promise<void>(resolve => { ends.set(name, resolve) })
    return name
  })
  const end = async (name: string): Promise<void> => { ends.get(name)!(); await new Promise(resolve => setImmediate(resolve)) }
  return { started, run, end }
}

test('keys are served in turns: who brings many delays its own', async () => {
  const queue = new FairQueue({ atOnce: 1, perKey: 10, total: 10 })
  const { started, run, end } = jobs(queue)
  const all = [run('a', 'a1'), run('a', 'a2'), run('a', 'a3'), run('a', 'a4'), run('b', 'b1'), run('b', 'b2')]
  for (const name of ['a1', 'a2', 'b1', 'a3', 'b2', 'a4']) await end(name)
  expect(started).toEqual(['a1', 'a2', 'b1', 'a3', 'b2', 'a4'])
  expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'a4', 'b1', 'b2'])
  expect(queue.waiting).toBe(0)
})

test('never more at a time than told, and a job that fails gives its place away', async () => {
  const queue = new FairQueue({ atOnce: 2, perKey: 10, total: 10 })
  let running = 0
  let most = 0
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => queue.run(`${i % 3}`, async () => {
    most = Math.max(most, ++running)
    await new Promise(resolve => setImmediate(resolve))
    running--
    if (i % 2 === 0) throw new Error('no')
  })))
  expect([most, outcomes.filter(o => o.status === 'rejected').length]).toEqual([2, 4])
})

test('bounded, of one key and in all; who finds no room is told at once', async () => {
  const queue = new FairQueue({ atOnce: 1, perKey: 2, total: 3 })
  const { run, end, started } = jobs(queue)
  const first = run('a', 'a1')
  const waiting = [run('a', 'a2'), run('a', 'a3')]
  await expect(run('a', 'a4')).rejects.toThrow(QueueFull)
  waiting.push(run('b', 'b1'))
  await expect(run('c', 'c1')).rejects.toThrow(QueueFull)
  for (const name of ['a1', 'a2', 'b1', 'a3']) await end(name)
  await Promise.all([first, ...waiting])
  const again = run('c', 'c1')
  await end('c1')
  expect([await again, started.length]).toEqual(['c1', 5])
})
