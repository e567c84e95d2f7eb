import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../../ports/logger.js'
import type { Stores } from '../../ports/stores.js'
import type { TransferStore } from '../../ports/transfer.js'
import { BlockReader } from './blocks.js'
import { checkFile, completeFile } from './check.js'
import { Committer } from './committer.js'
import { LmdbCursorStore } from './cursor-store.js'
import { type Databases, FORMAT, openDatabases } from './database.js'
import { LmdbDeviceStore } from './device-store.js'
import { LmdbDirectory } from './directory.js'
import { guardProcess } from './failure.js'
import { Heads } from './heads.js'
import { LmdbInboxStore } from './inbox-store.js'
import { storeInUse } from './in-use.js'
import { lockFolder } from './lock.js'
import { LmdbLogStore } from './log-store.js'
import { Tails } from './tails.js'
import { LmdbTicketStore } from './ticket-store.js'
import { LmdbTopicStore } from './topic-store.js'
import { LmdbTransfer, type Parts } from './transfer.js'

const FILE = 'store.mdb'
const MAX_HEADS = 100_000
const BLOCK_CACHE_BYTES = 16 << 20

export interface LmdbOptions {
  log: Logger
  now?: () => number
  /** For tests: each commit waits until it resolves, and fails as if the disk had refused it when it rejects. */
  commitGate?: () => Promise<void> | void
}

/**
 * Opens the store in the folder `dir`, which is made when it is not there. One process at a time. Reads no more than a
 * few pages, however large the store.
 * @throws Error, a sentence for the operator: another process has the folder, the file is damaged, a newer version
 * wrote it; with Node's `code` when the folder cannot be made, read or written
 */
export async function openLmdb (dir: string, opts: LmdbOptions): Promise<Stores> {
  const { stores, parts } = await openFolder(dir, opts)
  const importing = parts.dbs.meta.getBinary('importing')
  if (importing === undefined) return stores
  await stores.close()
  throw new Error(`the store in ${dir} holds a part of an import only: run \`parley import\` again, with the same files; or, to begin with an empty store, move ${join(dir, FILE)} and its -lock file away`)
}

/**
 * The same to read and write it as a whole. `make` false: the store must be there.
 * @throws Error as {@link openLmdb}
 */
export async function openLmdbTransfer (dir: string, { make, ...opts }: LmdbOptions & { make: boolean }): Promise<TransferStore> {
  if (!make && !existsSync(join(dir, FILE))) throw new Error(`there is no store in ${dir}: check dataDir`)
  return new LmdbTransfer((await openFolder(dir, opts)).parts)
}

async function openFolder (dir: string, opts: LmdbOptions): Promise<{ stores: Stores, parts: Parts }> {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const file = join(dir, FILE)
  const unlock = await lockFolder(dir, async () => { await checkFile(file); return await storeInUse(file) })
  const unguard = guardProcess()
  const undo = (): void => { unguard(); unlock() }
  try {
    await checkFile(file)
    completeFile(file)
    return await assemble(openDatabases(file), dir, opts, undo)
  } catch (e) {
    undo()
    throw e
  }
}

async function assemble (dbs: Databases, dir: string, opts: LmdbOptions, undo: () => void): Promise<{ stores: Stores, parts: Parts }> {
  const committer = new Committer(dbs, dir, opts.log, opts.commitGate)
  const tails = new Tails()
  const reader = new BlockReader(dbs, tails, BLOCK_CACHE_BYTES)
  const heads = new Heads(MAX_HEADS, conv => reader.head(conv))
  let epoch: string
  try {
    epoch = await begin(dbs, dir, committer)
  } catch (e) {
    await committer.close()
    await dbs.root.close()
    throw e
  }
  const log = new LmdbLogStore(dbs, committer, heads, reader, tails, opts.now ?? Date.now)
  let closing: Promise<void> | undefined
  const stores: Stores = {
    log,
    inbox: new LmdbInboxStore(dbs, committer),
    cursors: new LmdbCursorStore(dbs, committer),
    devices: new LmdbDeviceStore(dbs, committer),
    tickets: new LmdbTicketStore(dbs, committer),
    directory: new LmdbDirectory(dbs, committer),
    topics: new LmdbTopicStore(dbs, committer),
    epoch,
    health: () => committer.health(),
    close: () => closing ??= (async () => {
      log.close()
      await committer.close()
      await dbs.root.close()
      undo()
    })()
  }
  return { stores, parts: { dbs, committer, log, tails, topics: stores.topics, close: stores.close } }
}

/** Gives the epoch; a store that has none is new, and gets one. */
async function begin (dbs: Databases, dir: string, committer: Committer): Promise<string> {
  const known = dbs.meta.getBinary('epoch')
  if (known !== undefined) return known.toString()
  const epoch = randomBytes(12).toString('base64url')
  await committer.write(tx => {
    tx.put(dbs.meta, 'format', Buffer.from(String(FORMAT)))
    tx.put(dbs.meta, 'epoch', Buffer.from(epoch))
  })
  syncFolder(dir)
  return epoch
}

/** Without it a power cut may take the new file itself away, whatever was synced into it. */
function syncFolder (dir: string): void {
  const fd = openSync(dir, 'r')
  try { fsyncSync(fd) } finally { closeSync(fd) }
}
