import type { Config } from '../config/schema.js'
import type { Logger } from '../ports/logger.js'
import type { TransferStore } from '../ports/transfer.js'
import type { Counts } from '../transfer/export.js'
import { UsageError, type Command } from './command.js'
import { loadFor } from './configured.js'
import { Progress } from './progress.js'
import { explainStartFailure } from './start-failure.js'

const common = { synopsis: 'DIR [--config FILE]', positionals: ['DIR'], options: {}, configured: true } as const
/** What goes wrong is thrown. */
const silent: Logger = { debug () {}, info () {}, warn () {}, error () {} }

/** `parley export`: all data of the configured store as files. */
export const exportCommand: Command = {
  ...common,
  name: 'export',
  summary: 'write all data into an empty folder, as lines of JSON (docs/transfer.md)',
  run: async input => await transfer(input, false, async (dir, store, progress) => {
    const { exportTo } = await import('../transfer/export.js')
    return `exported ${told(await exportTo(dir, store, progress.step))}, into ${dir}\n`
  })
}

/** `parley import`: the same files into the configured store, which may be of the other kind. */
export const importCommand: Command = {
  ...common,
  name: 'import',
  summary: 'put what export wrote into the configured store; again, it changes nothing',
  run: async input => await transfer(input, true, async (dir, store, progress) => {
    const { importFrom } = await import('../transfer/import.js')
    const { counts, notes } = await importFrom(dir, store, progress.step)
    return [...notes.map(note => `${note}\n`), `imported ${told(counts)}; every conversation was compared with the files\n`].join('')
  })
}

async function transfer (input: Parameters<Command['run']>[0], writes: boolean, run: (dir: string, store: TransferStore, progress: Progress) => Promise<string>): Promise<number> {
  const [dir = ''] = input.positionals
  if (dir === '') throw new UsageError('DIR: names no folder')
  const { config } = loadFor(input)
  const progress = new Progress(text => { process.stderr.write(text) })
  try {
    const store = await open(config, writes)
    let last: string
    try { last = await run(dir, store, progress) } finally { await store.close() }
    process.stderr.write(last)
    return 0
  } catch (e) {
    throw new Error(explained(e, config, dir), { cause: e })
  } finally { progress.end() }
}

async function open (config: Config, writes: boolean): Promise<TransferStore> {
  // Here and not above: the other commands start without the stores' code.
  if (config.mongo !== undefined) {
    const { openMongoTransfer } = await import('../stores/mongo/open.js')
    return await openMongoTransfer(config.mongo.url!, { log: silent, writes })
  }
  const { openLmdbTransfer } = await import('../stores/lmdb/open.js')
  return await openLmdbTransfer(config.dataDir, { log: silent, make: writes })
}

function explained (error: unknown, config: Config, dir: string): string {
  const { code, path, message } = error as NodeJS.ErrnoException
  switch (code) {
    case 'ENOSPC': case 'EDQUOT': case 'EFBIG': return `the disk is full (${message}); nothing is whole yet: make room and run it again`
    case 'ENOENT': case 'ENOTDIR': case 'EEXIST': return `${path ?? dir}: there is no such file or folder (${code})`
    case 'EACCES': case 'EPERM': case 'EROFS': return path === undefined || !path.startsWith(dir) ? explainStartFailure(error, config) : `${path} may not be read or written by this user (${code})`
    case 'unavailable': return `${message}; nothing is whole yet: run it again when it can`
    default: return message
  }
}

const WORDS: Partial<Record<keyof Counts, string>> = { log: 'entries', inbox: 'inbox rows', topics: 'records of ordinary topics' }
const told = (counts: Counts): string => Object.entries(counts).map(([what, n]) => `${n} ${WORDS[what as keyof Counts] ?? what}`).join(', ')
