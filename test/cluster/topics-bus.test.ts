import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newDatabase } from '../servers/shared.js'
import { type ServerProcess, until } from '../servers/server-process.js'
import { startRedis } from '../servers/valkey.js'
import { OPEN_TOPICS, payloads } from '../support/ordinary.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'

let dir: string
let redis: ServerProcess
let drop: () => Promise<void>
let a: Parley
let b: Parley
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'parley-bus-'))
  redis = await startRedis(dir)
  const database = await newDatabase()
  drop = database.drop
  const settings = { mongo: { url: database.url }, redis: { url: `redis://127.0.0.1:${redis.port}` }, acl: OPEN_TOPICS }
  ;[a, b] = [await startParley(settings), await startParley(settings)]
})
afterEach(async () => {
  await closeAll()
  await drop()
  await redis.kill9()
  rmSync(dir, { recursive: true, force: true })
})

const said = async (msg: string, times = 1): Promise<void> => {
  await until(async () => { if (![a, b].every(p => p.lines.filter(l => l.message.startsWith(msg)).length >= times)) throw new Error(`no node says: ${msg}`) })
}
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => String(from + i))

test('while Redis is away what is acknowledged is stored, and persistent sessions elsewhere get it when it is back; so do retained messages', async () => {
  await said('Redis is reached')
  const bob = await b.client({ user: 'bob', version: 5, properties: { sessionExpiryInterval: 1000 }, subscribe: ['n/#'] })
  const carol = await b.client({ user: 'carol', clean: true, subscribe: ['n/#'] })
  const alice = await a.client({ user: 'alice' })
  for (const n of numbers(0, 5)) await alice.say('n/x', n)
  for (const c of [bob, carol]) await c.got('n', 5)
  await redis.kill9()
  await said('Redis cannot be reached')
  for (const n of numbers(5, 25)) await alice.say('n/x', n)
  await alice.say('lamp', 'on', { retain: true })
  await redis.start()
  await said('Redis is reached', 2)
  await bob.got('n', 25)
  for (const n of numbers(25, 30)) await alice.say('n/x', n)
  await carol.until(() => payloads(carol, 'n').at(-1) === '29')
  await bob.got('n', 30)
  await bob.settled()
  expect(payloads(bob, 'n')).toEqual(numbers(0, 30))
  // it ends with its connection, and is told so in docs/topics.md
  expect(payloads(carol, 'n').slice(0, 5)).toEqual(numbers(0, 5))
  const late = await b.client({ user: 'dave', clean: true, subscribe: ['lamp'] })
  await late.got('lamp', 1)
})
