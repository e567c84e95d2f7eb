import { jest } from '@jest/globals'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Committer } from '../../broker/stores/lmdb/committer.js'
import { type Databases, openDatabases } from '../../broker/stores/lmdb/database.js'
import { recordingLogger } from '../support/recording-logger.js'

let dir: string
let dbs: Databases
let gate: () => Promise<void> | void
let committer: Committer
let log: ReturnType<typeof recordingLogger>
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'parley-committer-'))
  dbs = openDatabases(join(dir, 'store.mdb'))
  gate = () => {}
  log = recordingLogger()
  committer = new Committer(dbs, dir, log, () => gate())
})
afterEach(async () => {
  gate = () => {}
  await committer.close()
  await dbs.root.close()
  rmSync(dir, { recursive: true })
})

const put = async (key: string, value: string): Promise<void> => { await committer.write(tx => { tx.put(dbs.users, key, Buffer.from(value)) }) }
const get = (key: string): string | undefined => dbs.users.getBinary(key)?.toString()
const busy = (ms: number): void => { for (const until = performance.now() + ms; performance.now() < until;);}

test('a write sees what stands before it in the same commit, and takes effect in the order of the calls', async () => {
  const seen: (string | undefined)[] = []
  const see = async (): Promise<void> => { await committer.write(tx => { seen.push(tx.get(dbs.users, 'k')?.toString()) }) }
  const remove = committer.write.bind(committer, tx => { tx.remove(dbs.users, 'k') })
  await Promise.all([see(), put('k', '1'), see(), put('k', '2'), see(), remove(), see(), put('k', '3')])
  expect(seen).toEqual([undefined, '1', '2', undefined])
  expect(get('k')).toBe('3')
})

test('a write that throws takes nothing along: neither its own puts nor those of others', async () => {
  const fails = committer.write(tx => {
    tx.put(dbs.users, 'half', Buffer.from('x'))
    throw new Error('no')
  })
  const tooLong = committer.write(tx => { tx.put(dbs.users, 'half', Buffer.from('x')); tx.put(dbs.users, 'k'.repeat(1979), Buffer.from('x')) })
  const results = await Promise.allSettled([put('a', '1'), fails, tooLong, put('b', '2')])
  expect(results.map(r => r.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
  expect([get('a'), get('half'), get('b')]).toEqual(['1', undefined, '2'])
  expect(committer.health()).toEqual({ ok: true })
})

test('much that is waiting goes into several commits, so that others may run in between', async () => {
  let commits = 0
  gate = () => { commits++ }
  let turns = 0
  const writes = Promise.all(Array.from({ length: 30 }, async (_, i) => { await committer.write(tx => { busy(2); tx.put(dbs.users, `w${i}`, Buffer.from('x')) }) }))
  let done = false
  void writes.then(() => { done = true })
  while (!done) { turns++; await new Promise(resolve => setImmediate(resolve)) }
  expect(commits).toBeGreaterThanOrEqual(10)
  expect(turns).toBeGreaterThanOrEqual(commits)
  expect(dbs.users.getKeysCount({ start: 'w' })).toBe(30)
})

test('a refused commit is told to its writers with a reason, and logged once; then it works again', async () => {
  gate = () => { throw Object.assign(new Error('no space'), { code: 28 }) }
  const why = `the disk that holds ${dir} is full: messages wait until there is room`
  await expect(put('a', '1')).rejects.toMatchObject({ code: 'unavailable', message: why, retryAfterMs: 1000 })
  expect(committer.health()).toEqual({ ok: false, why })
  await expect(put('a', '2')).rejects.toMatchObject({ code: 'unavailable' })
  expect(get('a')).toBeUndefined()
  gate = () => {}
  while (!committer.health().ok) await new Promise(resolve => setImmediate(resolve)) // finds out by itself, with nobody writing
  expect(log.lines.map(l => [l.level, l.message])).toEqual([['error', why], ['info', `writing to ${dir} works again`]])
  await put('a', '3')
  expect(get('a')).toBe('3')
})

test('a disk that does not answer shows in the health after ten seconds', async () => {
  let answer = (): void => {}
  let asked = (): void => {}
  const waits = new Promise<void>(resolve => { asked = resolve })
  gate = async () => { asked(); await new Promise<void>(resolve => { answer = resolve }) }
  const written = put('a', '1')
  await waits
  expect(committer.health()).toEqual({ ok: true })
  const real = performance.now()
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => real + 11_000)
  try {
    expect(committer.health()).toEqual({ ok: false, why: expect.stringMatching(/has not ended a write for 1[01] s: messages wait$/) })
  } finally {
    clock.mockRestore()
  }
  answer()
  await written
  expect(committer.health()).toEqual({ ok: true })
})

test('close() commits what is waiting, and takes no more', async () => {
  const writes = Promise.all([put('a', '1'), put('b', '2')])
  await committer.close()
  await writes
  expect([get('a'), get('b')]).toEqual(['1', '2'])
  await expect(put('c', '3')).rejects.toMatchObject({ code: 'unavailable' })
})

test('close() gives up what the disk refuses', async () => {
  gate = () => { throw Object.assign(new Error('no space'), { code: 28 }) }
  const written = put('a', '1').catch((e: { code: string }) => e.code)
  await committer.close()
  expect(await written).toBe('unavailable')
  expect(get('a')).toBeUndefined()
})
