import { jest } from '@jest/globals'
import { CatchUp } from '../../broker/core/catch-up.js'
import { ConvState } from '../../broker/core/conv-state.js'
import type { Sender } from '../../broker/core/sender.js'
import type { ConvKey } from '../../broker/domain/ids.js'
import { range } from '../support/inbox.js'

const CONV = 'd/alice/bob' as ConvKey

describe('a device far behind, that acknowledges as fast as it is sent', () => {
  let given: number[]
  let catchUp: CatchUp
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] })
    given = []
    const sender = {
      closed: false, hasRoom: true, entryWindow: 24, ackMoves: true, grants: { holds: (branch: string) => branch === 'msg' },
      give: (conv: ConvState, view: { entry: { seq: number } }) => { given.push(view.entry.seq) },
      pump: () => { catchUp.pump() },
      world: {
        count: { caughtUp: 0 }, recent: { get: () => undefined },
        log: { page: async (_: ConvKey, q: { after: number, limit: number }) => range(q.after + 1, q.after + q.limit).map(seq => ({ conv: CONV, seq })) }
      }
    } as unknown as Sender
    catchUp = new CatchUp(sender)
    const conv = new ConvState(CONV, 0, 1)
    conv.head = 1000
    catchUp.enqueue(conv)
    catchUp.pump()
  })
  afterEach(() => { jest.useRealTimers() })
  /** All that goes on without time passing. */
  const turn = async (): Promise<void> => { for (let i = 0; i < 100; i++) await new Promise(resolve => setImmediate(resolve)) }

  test('gets its share, then others have theirs; in the end all, in order', async () => {
    await turn()
    const share = given.length
    expect(share).toBeGreaterThan(20)
    expect(share).toBeLessThanOrEqual(64)
    jest.advanceTimersByTime(4)
    await turn()
    expect(given).toHaveLength(share)
    for (let i = 0; i < 100 && given.length < 1000; i++) {
      const before = given.length
      jest.advanceTimersByTime(5)
      await turn()
      expect(given.length - before).toBeLessThanOrEqual(64)
    }
    expect(given).toEqual(range(1, 1000))
  })

  test('is left alone once its session is closed', async () => {
    await turn()
    expect(jest.getTimerCount()).toBe(1)
    catchUp.close()
    expect(jest.getTimerCount()).toBe(0)
  })
})
