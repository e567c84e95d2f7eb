import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import { program } from './binaries.js'
import { freePort, ServerProcess, until } from './server-process.js'

/** A MongoDB replica set of its own. Elections take about two seconds, not ten. */
export class ReplicaSet {
  private constructor (readonly members: readonly ServerProcess[]) {}

  /** `dir` is there and empty. */
  static async start (dir: string, { members = 3 } = {}): Promise<ReplicaSet> {
    const mongod = program('mongod')
    const all = await Promise.all(Array.from({ length: members }, async (_, i) => {
      const port = await freePort()
      const data = join(dir, `mongod-${i}`)
      mkdirSync(data)
      return new ServerProcess(`mongod-${i}`, dir, port, mongod, [
        '--replSet', 'rs0', '--dbpath', data, '--port', String(port), '--bind_ip', '127.0.0.1', '--nounixsocket',
        '--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '128', '--quiet', '--setParameter', 'diagnosticDataCollectionEnabled=false'
      ])
    }))
    const set = new ReplicaSet(all)
    await Promise.all(all.map(async m => { await m.start() }))
    const first = await MongoClient.connect(`mongodb://127.0.0.1:${all[0]!.port}/?directConnection=true`)
    try {
      await first.db('admin').command({
        replSetInitiate: {
          _id: 'rs0', members: all.map((m, i) => ({ _id: i, host: `127.0.0.1:${m.port}`, priority: i === 0 ? 2 : 1 })),
          settings: { electionTimeoutMillis: 2000, heartbeatIntervalMillis: 500 }
        }
      })
      await until(async () => { if (!(await first.db('admin').command({ hello: 1 }))['isWritablePrimary']) throw new Error('the replica set has no primary') })
    } finally { await first.close() }
    return set
  }

  url (database: string): string { return `mongodb://${this.members.map(m => `127.0.0.1:${m.port}`).join(',')}/${database}?replicaSet=rs0` }

  /** The member that is the primary now; asks until there is one. */
  async primary (): Promise<ServerProcess> {
    return await until(async () => {
      for (const m of this.members) {
        const client = new MongoClient(`mongodb://127.0.0.1:${m.port}/?directConnection=true`, { serverSelectionTimeoutMS: 300, connectTimeoutMS: 300, socketTimeoutMS: 1000 })
        try { if ((await client.db('admin').command({ hello: 1 }))['isWritablePrimary'] === true) return m } catch { /* it is down */ } finally { await client.close() }
      }
      throw new Error('the replica set has no primary')
    })
  }

  async stop (): Promise<void> { await Promise.all(this.members.map(async m => { await m.kill9() })) }
}
