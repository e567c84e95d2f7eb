import { open, type Database, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb'
import { keyEncoder, type Key } from './keys.js'

export type Db = Database<Buffer, Key>

/** The named databases of the store, by what they hold. */
export interface Databases {
  root: RootDatabase<Buffer, Key>
  /** `format`, `epoch`, and `probe`, which means nothing (see the committer). */
  meta: Db
  /** Number → what one commit wrote of conversations of which little is waiting: it goes to `log` later, in larger blocks. */
  journal: Db
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
  /** Hash of a ticket → what it stands for. */
  tickets: Db
  /** (user, device, hash of a ticket) → when it was made and when it ends. */
  deviceTickets: Db
  /** (user, device) → when it was removed. */
  removals: Db
  users: Db
  /** (user, blocked user). */
  blocks: Db
  groups: Db
  /** (group, user) → role and since. */
  members: Db
  memberCounts: Db
  /** Session id → when it ends, and how long it outlives its connection. These and what follows are of ordinary topics. */
  topicSessions: Db
  /** (session, filter) → subscription. */
  topicSubscriptions: Db
  /** (session, order) → number of the body, and how this receiver gets it. */
  topicQueues: Db
  /** Number → message. */
  topicBodies: Db
  /** Number of a body → how many queues hold it, when it is more than one. */
  topicBodyUses: Db
  /** (session, packet id): QoS 2 messages of the client of which PUBREL has not come. */
  receivedIds: Db
  /** Topic → message. */
  retained: Db
  /** Session → will. */
  wills: Db
}

const NAMES = ['journal', 'log', 'inbox', 'cursors', 'devices', 'tickets', 'deviceTickets', 'removals', 'users', 'blocks', 'groups', 'members', 'memberCounts',
  'topicSessions', 'topicSubscriptions', 'topicQueues', 'topicBodies', 'topicBodyUses', 'receivedIds', 'retained', 'wills'] as const

/** Plain bytes; lmdb's own value encoding costs more than all the rest. (Its types know keyEncoder for the root only.) */
const ENCODING: RootDatabaseOptionsWithPath = { encoding: 'binary', keyEncoder }

/** Of what is on the disk. A store of a higher number is refused: an older broker would read it wrong. */
export const FORMAT = 1

/**
 * Opens the environment in `file`. Never touch the root database but for batches: clearing it crashes (lmdb-js#317).
 * @throws Error, a sentence for the operator, when a newer version wrote it; it is not touched then
 */
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
  const named = (name: string): Db => root.openDB<Buffer, Key>(name, ENCODING)
  try {
    const dbs: Partial<Databases> = { root, meta: named('meta') }
    checkFormat(file, dbs.meta!)
    for (const name of NAMES) dbs[name] = named(name)
    return dbs as Databases
  } catch (e) {
    void root.close()
    throw e
  }
}

function checkFormat (file: string, meta: Db): void {
  const format = meta.getBinary('format')?.toString()
  if (format === undefined || Number(format) <= FORMAT) return
  throw new Error(`the store ${file} has format ${format}, this version of parley knows ${FORMAT}: start the newer version that wrote it`)
}
