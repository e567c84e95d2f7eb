import { randomBytes } from 'node:crypto'
import { MongoClient, MongoServerError, MongoServerSelectionError } from 'mongodb'
import type { NodeId } from '../../ports/bus.js'
import type { SharedLog } from '../../ports/log.js'
import type { Logger } from '../../ports/logger.js'
import type { Stores } from '../../ports/stores.js'
import type { TransferStore } from '../../ports/transfer.js'
import type { SharedTopicStore } from '../../ports/topics.js'
import { Calls, guarded } from './calls.js'
import { MongoCursorStore } from './cursor-store.js'
import { collections, type Database, INDEXES, type MetaDoc, SCHEMA } from './database.js'
import { MongoDeviceStore } from './device-store.js'
import { MongoDirectory } from './directory.js'
import { MongoInboxStore } from './inbox-store.js'
import { MongoLogStore } from './log-store.js'
import { Nodes } from './nodes.js'
import { MongoTicketStore } from './ticket-store.js'
import { MongoTransfer } from './transfer.js'
import { MongoTopicStore } from './topic-store.js'

/** The oldest server that this is tested with. */
const OLDEST = 6
const CONNECT_MS = 10_000
const DEFAULT_DATABASE = 'parley'

export interface MongoOptions {
  log: Logger
  /** Other nodes on the database are heard of. */
  hasBus: boolean
  node: NodeId
  /** For tests: each write waits until it resolves, and fails as if the server had refused it when it rejects. */
  gate?: () => Promise<void> | void
}

/** What MongoDB keeps. */
export type MongoStores = Omit<Stores, 'topics' | 'log'> & { log: SharedLog, topics: SharedTopicStore }

/**
 * Connects, checks that the server can keep what is acknowledged, and makes collections and indexes that are not there.
 * @throws Error, a sentence for the operator without a secret in it
 */
export async function openMongo (url: string, { log, hasBus, node, gate }: MongoOptions): Promise<MongoStores> {
  const client = await connect(url)
  try {
    await check(client)
    const db = collections(client)
    await prepare(db)
    const { epoch, importing } = await begin(db)
    if (importing !== undefined) throw new Error('the MongoDB database holds a part of an import only: run `parley import` again, with the same files; or drop the database to begin with an empty one')
    return stores(db, epoch, await Nodes.join(node, db, hasBus, log), log, gate)
  } catch (e) {
    await client.close()
    throw told(e, client)
  }
}

/**
 * The same to read and write it as a whole. To be written, it must have no node; to be read, it must be there, and nothing is made.
 * @throws Error as {@link openMongo}
 */
export async function openMongoTransfer (url: string, { log, writes, gate }: Pick<MongoOptions, 'log' | 'gate'> & { writes: boolean }): Promise<TransferStore> {
  const client = await connect(url)
  try {
    await check(client)
    const db = collections(client)
    if (writes) await prepare(db)
    else if (await db.meta.findOne({ _id: 'store' }) === null) throw new Error(`there is no store in the database ${db.meta.dbName}: check mongo.url`)
    await (writes ? begin(db) : known(db))
    const nodes = writes ? await Nodes.join(randomBytes(8).toString('base64url') as NodeId, db, false, log, { importing: true }) : undefined
    return new MongoTransfer(db, new Calls(log, gate), async () => { await nodes?.leave() })
  } catch (e) {
    await client.close()
    throw told(e, client)
  }
}

async function connect (url: string): Promise<MongoClient> {
  let client: MongoClient
  try {
    client = new MongoClient(withDatabase(url), {
      appName: 'parley', retryWrites: true, retryReads: true, serverSelectionTimeoutMS: CONNECT_MS, connectTimeoutMS: CONNECT_MS, socketTimeoutMS: 30_000,
      maxPoolSize: 50, ignoreUndefined: true
    })
  } catch (e) { throw new Error(`mongo.url is no MongoDB address: ${(e as Error).message}`) }
  try {
    await client.connect()
  } catch (e) {
    await client.close()
    throw told(e, client)
  }
  return client
}

/** Without a name the driver would take `test`. */
function withDatabase (url: string): string {
  const [, before, path = '', query = ''] = /^(mongodb(?:\+srv)?:\/\/[^/?]+)(\/[^?]*)?(\?.*)?$/.exec(url) ?? []
  return before === undefined || path.length > 1 ? url : `${before}/${DEFAULT_DATABASE}${query}`
}

async function check (client: MongoClient): Promise<void> {
  const admin = client.db('admin')
  const hello = await guarded(admin.command({ hello: 1 }), CONNECT_MS)
  if (hello['setName'] === undefined && hello['msg'] !== 'isdbgrid') {
    throw new Error('MongoDB runs alone, not as a replica set: what it acknowledges may be lost, and there are no transactions. Start mongod with --replSet rs0 and run rs.initiate() once; one member will do for a try')
  }
  const { version } = await guarded(admin.command({ buildInfo: 1 }), CONNECT_MS) as { version: string }
  if (Number(version.split('.')[0]) < OLDEST) throw new Error(`MongoDB ${version} is too old: Parley needs ${OLDEST}.0 or newer`)
}

async function prepare (db: Database): Promise<void> {
  const named = (await db.meta.db.listCollections({}, { nameOnly: true }).toArray()).map(c => c.name)
  for (const { collectionName: name } of [db.groups, db.users, db.nodes, db.meta]) {
    if (!named.includes(name)) await db.meta.db.createCollection(name).catch((e: unknown) => { if (!(e instanceof MongoServerError && e.code === 48)) throw e })
  }
  for (const [name, indexes] of Object.entries(INDEXES)) await db[name as keyof typeof INDEXES].createIndexes(indexes)
}

/** A database without an epoch is new, and gets one. */
async function begin (db: Database): Promise<MetaDoc> {
  await db.meta.updateOne({ _id: 'store' }, { $setOnInsert: { schema: SCHEMA, epoch: randomBytes(12).toString('base64url') } }, { upsert: true })
    .catch((e: unknown) => { if (!(e instanceof MongoServerError && e.code === 11000)) throw e })
  return await known(db)
}

async function known (db: Database): Promise<MetaDoc> {
  const meta = await db.meta.findOne({ _id: 'store' })
  if (meta === null) throw new Error('MongoDB did not keep what was written to it')
  if (meta.schema > SCHEMA) throw new Error(`the database was written by a newer version of Parley (schema ${meta.schema}; this one knows ${SCHEMA}): run that version`)
  return meta
}

function stores (db: Database, epoch: string, nodes: Nodes, log: Logger, gate: MongoOptions['gate']): MongoStores {
  const calls = new Calls(log, gate)
  const logStore = new MongoLogStore(db, calls)
  const topics = new MongoTopicStore(db, calls, nodes)
  let closing: Promise<void> | undefined
  return {
    log: logStore,
    inbox: new MongoInboxStore(db, calls),
    cursors: new MongoCursorStore(db, calls),
    devices: new MongoDeviceStore(db, calls),
    tickets: new MongoTicketStore(db, calls),
    directory: new MongoDirectory(db, calls),
    topics,
    epoch,
    health: () => calls.health,
    close: () => closing ??= (async () => {
      await topics.close() // it still writes what waits
      calls.closed = true
      await logStore.close()
      await nodes.leave()
      await db.client.close()
    })()
  }
}

/** The operator's sentence; no user name and no password stand in it. */
function told (e: unknown, client: MongoClient): Error {
  const hosts = client.options.srvHost ?? client.options.hosts.map(String).join(', ')
  if (e instanceof MongoServerError && (e.code === 18 || e.code === 8000)) return new Error(`MongoDB at ${hosts} refuses the user or the password of mongo.url: check both, and authSource`)
  if (e instanceof MongoServerError && e.code === 13) return new Error(`the user of mongo.url may not do what is needed on MongoDB at ${hosts}: give it the role readWrite on the database (${e.errmsg})`)
  if (e instanceof MongoServerSelectionError) return new Error(`MongoDB at ${hosts} cannot be reached: ${reason(e)}. Check mongo.url, and that the replica set has a primary`)
  return e instanceof Error ? e : new Error(String(e))
}

function reason (e: MongoServerSelectionError): string {
  const said = [...(e.reason as { servers?: Map<string, { error?: Error | null }> } | undefined)?.servers?.values() ?? []].flatMap(s => s.error?.message ?? [])
  return said[0] ?? e.message
}
