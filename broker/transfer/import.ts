import type { Entry } from '../domain/entry.js'
import { type ConvKey, groupKey } from '../domain/ids.js'
import type { Kind, Records, TransferStore } from '../ports/transfer.js'
import { compareLogs } from './compare.js'
import { type Counts, countsOf, type Step } from './export.js'
import { linesOf, sumOf } from './lines.js'
import { type File, FILES, type Manifest, pathOf, readManifest } from './manifest.js'
import { decode } from './records.js'
import { hasTopics, putTopics } from './topics.js'

/** Groups before their members, so that a count stands beside a group; the log first, since it tells which groups have changed in the store. */
const KINDS = ['cursors', 'inbox', 'groups', 'members', 'users', 'blocks', 'devices', 'tickets', 'removals'] as const

/**
 * Puts what {@link exportTo} wrote into a store: all of it, and again without harm. Memory stays bounded. Nothing is
 * written before every file was found whole; a store into which a part was written opens for no node. When it resolves,
 * every conversation was compared with the files. An empty store takes the export's epoch: it holds the same log.
 * @throws Error, a sentence for the operator
 */
export async function importFrom (dir: string, store: TransferStore, step: Step): Promise<{ counts: Counts, notes: string[] }> {
  const manifest = await readManifest(dir)
  await checkFiles(dir, manifest, step)
  const { importing } = await store.state()
  if (importing !== undefined && importing !== manifest.name) throw new Error('the import of another export was cut off in this store: end that one first, or begin with an empty store')
  const goesOn = importing !== undefined
  await store.begin(manifest.name, !goesOn && await isEmpty(store) ? manifest.epoch : undefined)

  const of = (file: File): number => manifest.files[file].records
  await putLog(dir, store, done => { step('log', done, of('log')) })
  const changed = await compareLogs(records(dir, 'log'), store.read('log'), done => { step('comparing conversations', done, manifest.conversations) })
  for (const kind of KINDS) await putAll(dir, store, kind, changed, done => { step(kind, done, of(kind)) })
  const notes = await importTopics(dir, store, manifest, goesOn, done => { step('topics', done, of('topics')) })
  await store.end()
  return { counts: countsOf(manifest), notes }
}

async function checkFiles (dir: string, manifest: Manifest, step: Step): Promise<void> {
  let bytes = 0
  for (const file of FILES) {
    const path = pathOf(dir, file)
    const is = await sumOf(path, n => { step('checking the files, bytes', bytes += n) })
    const { records, sha256 } = manifest.files[file]
    if (is.records !== records) throw new Error(`${path} is damaged: it holds ${is.records} records, the manifest says ${records}. Run \`parley export\` again`)
    if (is.sha256 !== sha256) throw new Error(`${path} is damaged: its checksum is not the manifest's. Run \`parley export\` again`)
  }
}

async function isEmpty (store: TransferStore): Promise<boolean> {
  for (const kind of ['log', ...KINDS] as const) for await (const _batch of store.read(kind)) return false
  return store.topics === null || !await hasTopics(store.topics)
}

/** The records of a file. @throws Error that names the line */
async function * records<K extends Kind> (dir: string, kind: K): AsyncGenerator<Records[K][]> {
  const path = pathOf(dir, kind)
  let n = 0
  for await (const lines of linesOf(path)) yield lines.map(text => told(path, ++n, () => decode(kind, text)))
}

function told<T> (path: string, line: number, run: () => T): T {
  try { return run() } catch (e) { throw new Error(`${path}, line ${line}: ${(e as Error).message}`) }
}

/** Conversations stand in the order of their names, entries in the order of seq: what compares them with the store relies on it. */
async function putLog (dir: string, store: TransferStore, put: (done: number) => void): Promise<void> {
  let last: Pick<Entry, 'conv' | 'seq'> | undefined
  let done = 0
  for await (const batch of records(dir, 'log')) {
    for (const e of batch) {
      const follows = last === undefined || e.conv > last.conv ? e.seq === 1 : e.conv === last.conv && e.seq === last.seq + 1
      if (!follows) throw new Error(`${pathOf(dir, 'log')}: conversation ${e.conv}, seq ${e.seq} does not follow what stands before it`)
      last = e
    }
    await store.put('log', batch)
    put(done += batch.length)
  }
}

/** Groups that went on in the store have the members that they have there. */
async function putAll<K extends (typeof KINDS)[number]> (dir: string, store: TransferStore, kind: K, changed: ReadonlySet<ConvKey>, put: (done: number) => void): Promise<void> {
  const wanted = (r: Records[K]): boolean => !(kind === 'groups' || kind === 'members') || !changed.has(groupKey((r as Records['groups' | 'members']).group))
  let done = 0
  for await (const batch of records(dir, kind)) {
    await store.put(kind, batch.filter(wanted))
    put(done += batch.length)
  }
}

/** Queues and sessions change with every message: they go into a store that has none, or a part of these. */
async function importTopics (dir: string, { topics }: TransferStore, manifest: Manifest, goesOn: boolean, put: (done: number) => void): Promise<string[]> {
  const { records: n } = manifest.files.topics
  if (n === 0) return []
  if (topics === null) return [`left out: ${n} records of ordinary topics, which this store does not keep`]
  if (!goesOn && await hasTopics(topics)) return [`left as they are: ordinary topics, of which the store holds some already (${n} records in the files)`]
  const path = pathOf(dir, 'topics')
  let done = 0
  for await (const lines of linesOf(path)) {
    try { await putTopics(topics, lines) } catch (e) { throw new Error(`${path}, lines ${done + 1} to ${done + lines.length}: ${(e as Error).message}`) }
    put(done += lines.length)
  }
  return []
}
