import { open, type Database, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb'
import { keyEncoder, type Key } from './keys.js'

export type Db = Database<Buffer, Key>

/** The named databases of the store, by what they hold. */
export interface Databases {
  root: RootDatabase<Buffer, Key>
  /** `format`, `epoch`, `opened`. */
  meta: Db
  /**
   * (conversation, 0, first seq) → a block of entries; (conversation, 1, hash of sender and cid) → seqs. Together,
   * because in a short conversation both stand on one page then: a fifth less CPU per message.
   */
  log: Db
  /** (user, conversation) → row. */
  inbox: Db
  /** (user, device, conversation) → cursor. */
  cursors: Db
  /** (user, device) → record. */
  devices: Db
  users: Db
  /** (user, blocked user). */
  blocks: Db
  groups: Db
  /** (group, user) → role and since. */
  members: Db
  memberCounts: Db
}

const NAMES = ['meta', 'log', 'inbox', 'cursors', 'devices', 'users', 'blocks', 'groups', 'members', 'memberCounts'] as const

/** Plain bytes; lmdb's own value encoding costs more than all the rest. (Its types know keyEncoder for the root only.) */
const ENCODING: RootDatabaseOptionsWithPath = { encoding: 'binary', keyEncoder }

/** Opens the environment in `file`. Never touch the root database but for batches: clearing it crashes (lmdb-js#317). */
export function openDatabases (file: string): Databases {
  const root: RootDatabase<Buffer, Key> = open<Buffer, Key>({
    ...ENCODING,
    path: file,
    maxDbs: NAMES.length + 5,
    maxReaders: 1024, // the default, 126, makes reads fail when many tools look at the store at once (lmdb-js#14)
    // What a reader sees is on the disk: with overlapping sync a commit is visible before it is flushed.
    overlappingSync: false,
    // Writes are batched by the committer. With lmdb's own batching each failed commit leaves a rejected promise
    // that nobody can get hold of (lmdb-js#368).
    eventTurnBatching: false
  })
  const dbs: Partial<Databases> = { root }
  for (const name of NAMES) dbs[name] = root.openDB<Buffer, Key>(name, ENCODING)
  return dbs as Databases
}
