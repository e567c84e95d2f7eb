import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MongoError } from 'mongodb'
import { openLmdb, openLmdbTransfer } from '../../broker/stores/lmdb/open.js'
import { openMongo, openMongoTransfer } from '../../broker/stores/mongo/open.js'
import { newDatabase, someNode } from '../servers/shared.js'
import { recordingLogger } from '../support/recording-logger.js'
import { transferContract } from './transfer.contract.js'

const log = recordingLogger()

transferContract('LMDB', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'parley-lmdb-'))
  let stalled = false
  const commitGate = (): void => { if (stalled) throw Object.assign(new Error('no space left on device'), { code: 28 }) }
  return {
    stores: async () => await openLmdb(dir, { log, commitGate }),
    transfer: async () => await openLmdbTransfer(dir, { log, commitGate, make: true }),
    stall: () => { stalled = true },
    remove: async () => { rmSync(dir, { recursive: true }) }
  }
})

transferContract('MongoDB', async () => {
  const { url, drop } = await newDatabase()
  let stalled = false
  const gate = (): void => { if (stalled) throw new MongoError('no primary, for a test') }
  return {
    stores: async () => await openMongo(url, { node: someNode(), log, hasBus: true, gate }),
    transfer: async () => await openMongoTransfer(url, { log, writes: true, gate }),
    stall: () => { stalled = true },
    remove: drop
  }
})
