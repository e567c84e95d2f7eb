import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import type { NodeId } from '../../broker/ports/bus.js'
import { ReplicaSet } from './replica-set.js'
import { until } from './server-process.js'
import { startRedis } from './valkey.js'

/** Folder of this run of jest, made by its global set-up. */
const run = (): string => {
  const dir = process.env['PARLEY_TEST_RUN']
  if (dir === undefined) throw new Error('the servers for tests are started by jest.config.js, globalSetup')
  return dir
}

/** One start per run, by the worker that asks first; `start` gives the address and the processes. */
async function once (name: string, start: (dir: string) => Promise<{ address: string, pids: number[] }>): Promise<string> {
  const [dir, done] = [join(run(), name), join(run(), `${name}.json`)]
  try { mkdirSync(dir) } catch {
    const { address, error } = await until(async () => JSON.parse(readFileSync(done, 'utf8')) as { address: string, error?: string }, 120_000)
    if (error !== undefined) throw new Error(error)
    return address
  }
  const tell = (what: object): void => {
    writeFileSync(`${done}.new`, JSON.stringify(what))
    renameSync(`${done}.new`, done)
  }
  try {
    const { address, pids } = await start(dir)
    tell({ address, pids })
    return address
  } catch (e) {
    tell({ error: (e as Error).message, pids: [] })
    throw e
  }
}

/** Address of a new database on the run's replica set, or on the one of PARLEY_TEST_MONGO_URL. */
export async function newDatabase (): Promise<{ url: string, drop (): Promise<void> }> {
  const given = process.env['PARLEY_TEST_MONGO_URL']
  const address = given ?? await once('mongo', async dir => {
    const set = await ReplicaSet.start(dir)
    return { address: set.url(''), pids: set.members.map(m => m.pid) }
  })
  const url = address.replace(/^(mongodb(?:\+srv)?:\/\/[^/?]+)\/?[^?]*/, `$1/parley-test-${randomBytes(6).toString('hex')}`)
  return {
    url,
    drop: async () => {
      const client = await MongoClient.connect(url)
      try { await client.db().dropDatabase() } finally { await client.close() }
    }
  }
}

/** Address of the run's Redis, or of the one of PARLEY_TEST_REDIS_URL, and a prefix that no other test has. */
export async function newRedis (): Promise<{ url: string, keyPrefix: string }> {
  const url = process.env['PARLEY_TEST_REDIS_URL'] ?? await once('redis', async dir => {
    const server = await startRedis(dir)
    return { address: `redis://127.0.0.1:${server.port}`, pids: [server.pid] }
  })
  return { url, keyPrefix: `test-${randomBytes(6).toString('hex')}:` }
}

/** What a node's configuration needs to be one of a cluster of its own. */
export async function newServers (): Promise<{ settings: { mongo: { url: string }, redis: { url: string, keyPrefix: string } }, drop (): Promise<void> }> {
  const [{ url, drop }, redis] = await Promise.all([newDatabase(), newRedis()])
  return { settings: { mongo: { url }, redis }, drop }
}

/** As a node that starts would be named. */
export const someNode = (): NodeId => randomBytes(8).toString('base64url') as NodeId
