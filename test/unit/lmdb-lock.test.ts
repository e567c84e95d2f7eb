import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockFolder } from '../../broker/stores/lmdb/lock.js'

let dir: string
let file: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'parley-lock-'))
  file = join(dir, 'parley.lock')
})
afterEach(() => { rmSync(dir, { recursive: true }) })

const nobody = async (): Promise<boolean> => await Promise.resolve(false)
const somebody = async (): Promise<boolean> => await Promise.resolve(true)
const never = async (): Promise<boolean> => await Promise.reject(new Error('asked'))

/** What this process would write, with changes. */
async function left (over: object): Promise<string> {
  const unlock = await lockFolder(dir, never)
  const mine = JSON.parse(readFileSync(file, 'utf8')) as object
  unlock()
  return JSON.stringify({ ...mine, ...over })
}

test('is taken once, also in one process, and given back', async () => {
  const unlock = await lockFolder(dir, never)
  await expect(lockFolder(dir, never)).rejects.toThrow(`the data folder ${dir} is in use by process ${process.pid} `)
  unlock()
  unlock()
  expect(readdirSync(dir)).toEqual([])
  const again = await lockFolder(dir, never)
  again()
})

test('is not given back by who no longer has it', async () => {
  const unlock = await lockFolder(dir, never)
  writeFileSync(file, 'another')
  unlock()
  expect(readFileSync(file, 'utf8')).toBe('another')
})

// on this system /proc tells when a process began
test.each([
  ['before the machine started anew', { boot: 'another' }],
  ['by a process that is gone', { pid: 2 ** 22 + 1 }],
  ['by one whose number we have now', { began: '1' }]
])('left %s is taken over, without asking', async (_name, over) => {
  writeFileSync(file, await left(over))
  const unlock = await lockFolder(dir, never)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid })
  unlock()
  expect(readdirSync(dir)).toEqual([])
})

test.each([
  ['in another container', { pidNamespace: 'pid:[1]' }],
  ['on another machine', { boot: 'another', host: 'another' }]
])('of an owner %s counts as long as the store is in use', async (_name, over) => {
  const theirs = await left({ ...over, pid: 77 })
  writeFileSync(file, theirs)
  await expect(lockFolder(dir, somebody)).rejects.toThrow('in use by process 77 ')
  expect(readFileSync(file, 'utf8')).toBe(theirs)
  const unlock = await lockFolder(dir, nobody)
  unlock()
})

test.each(['', '{"pid":', 'null', '{}'])('that holds %j is being written, or was cut off while it was', async text => {
  writeFileSync(file, text)
  await expect(lockFolder(dir, never)).rejects.toThrow(`the data folder ${dir} is being taken by another process`)
  utimesSync(file, new Date(0), new Date(Date.now() - 10_000))
  const unlock = await lockFolder(dir, never)
  unlock()
})

test('of many at once one gets it, whatever lies there', async () => {
  for (const stale of [undefined, await left({ pid: 2 ** 22 + 1 }), await left({ pidNamespace: 'pid:[1]' })]) {
    if (stale !== undefined) writeFileSync(file, stale)
    const ends = await Promise.allSettled(Array.from({ length: 10 }, async () => await lockFolder(dir, nobody)))
    const taken = ends.filter(e => e.status === 'fulfilled')
    expect(taken).toHaveLength(1)
    taken[0]!.value()
    expect(readdirSync(dir)).toEqual([])
  }
})
