import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../../ports/logger.js'
import type { Stores } from '../../ports/stores.js'
import { BlockReader } from './blocks.js'
import { Committer } from './committer.js'
import { LmdbCursorStore } from './cursor-store.js'
import { type Databases, openDatabases } from './database.js'
import { LmdbDeviceStore } from './device-store.js'
import { LmdbDirectory } from './directory.js'
import { guardProcess } from './failure.js'
import { Heads } from './heads.js'
import { LmdbInboxStore } from './inbox-store.js'
import { LmdbLogStore } from './log-store.js'

export { isCommitFailure } from './failure.js'

/** Of what is on the disk. A store of a higher number is refused: an older broker would read it wrong. */
const FORMAT = 1
const MAX_HEADS = 100_000
const BLOCK_CACHE_BYTES = 16 << 20

export interface LmdbOptions {
  log: Logger
  now?: () => number
  /** For tests: each commit waits until it resolves. */
  commitGate?: () => Promise<void> | void
}

/** Opens the store in the folder `dir`, which is made when it is not there. One process at a time. */
export async function openLmdb (dir: string, opts: LmdbOptions): Promise<Stores> {
  mkdirSync(dir, { recursive: true })
  const unguard = guardProcess()
  const dbs = openDatabases(join(dir, 'store.mdb'))
  const committer = new Committer(dbs, dir, opts.log, opts.commitGate)
  const reader = new BlockReader(dbs, BLOCK_CACHE_BYTES)
  const heads = new Heads(MAX_HEADS, conv => reader.head(conv))
  const epoch = await begin(dbs, committer)
  const log = new LmdbLogStore(dbs, committer, heads, reader)
  let closing: Promise<void> | undefined
  return {
    log,
    inbox: new LmdbInboxStore(dbs, committer),
    cursors: new LmdbCursorStore(dbs, committer),
    devices: new LmdbDeviceStore(dbs, committer),
    directory: new LmdbDirectory(dbs, committer),
    epoch,
    health: () => committer.health(),
    close: () => closing ??= (async () => {
      log.close()
      await committer.close()
      await dbs.root.close()
      unguard()
    })()
  }
}

/** Checks the format and gives the epoch. */
async function begin (dbs: Databases, committer: Committer): Promise<string> {
  const format = dbs.meta.getBinary('format')
  if (format !== undefined && Number(format.toString()) > FORMAT) {
    throw new Error(`the store has format ${format.toString()}, this broker knows ${FORMAT}: start the newer version that wrote it`)
  }
  const epoch = dbs.meta.getBinary('epoch')?.toString() ?? randomBytes(12).toString('base64url')
  await committer.write(tx => {
    tx.put(dbs.meta, 'format', Buffer.from(String(FORMAT)))
    tx.put(dbs.meta, 'epoch', Buffer.from(epoch))
  })
  return epoch
}
