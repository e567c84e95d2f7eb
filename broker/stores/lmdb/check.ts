import { spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readSync, truncateSync } from 'node:fs'
import { createRequire } from 'node:module'

/** LMDB looks into the file through memory: where it was cut short, that ends the process without a word (SIGBUS). */
const MAGIC = 0xBEEFC0DE
/** In each of the first two pages, of the LMDB that lmdb 3.5 brings along: see struct MDB_meta in its mdb.c. */
const META_AT = 24
const PAGE_SIZE_AT = META_AT + 24
const LAST_PAGE_AT = META_AT + 120
const TXN_AT = META_AT + 128

const CUT = 'it was cut short'

/**
 * Looks whether LMDB can open the file without harm. A file that is not there, or empty, is well.
 * @throws Error, a sentence for the operator, when it is damaged; with Node's `code` when it cannot be read and written
 */
export async function checkFile (file: string): Promise<void> {
  const { wrong, missingUpTo } = inspect(file)
  // LMDB never writes pages that a transaction both took and gave back: a file may end before the last page and be
  // well (3 of 3,000 commits in a test). Whether anything points past its end, a process finds out that may die of it.
  if (wrong === '' && (missingUpTo === 0 || await readsThrough(file))) return
  throw new Error(`the store ${file} is damaged (${wrong === '' ? CUT : wrong}). ` +
    'Put a backup in its place; or, to begin with an empty store, move it and its -lock file away')
}

/**
 * Gives a file that {@link checkFile} found well, though it ends early, its full length: the next start need not read it
 * through, and if LMDB ever looks there it finds an empty page, not the end of the process. By the owner of the lock only.
 */
export function completeFile (file: string): void {
  const { missingUpTo } = inspect(file)
  if (missingUpTo > 0) truncateSync(file, missingUpTo)
}

/** `missingUpTo`: the size that it should have and does not; 0: it is long enough. */
function inspect (file: string): { wrong: string, missingUpTo: number } {
  const well = { wrong: '', missingUpTo: 0 }
  let fd: number
  try {
    fd = openSync(file, 'r+')
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return well
    throw e
  }
  try {
    const { size } = fstatSync(fd)
    if (size === 0) return well
    const first = metaAt(fd, 0)
    if (first === undefined) return { ...well, wrong: 'it is no store of this kind' }
    const second = metaAt(fd, first.pageSize)
    if (second === undefined) return { ...well, wrong: 'its second page is broken' }
    const { lastPage } = first.txn > second.txn ? first : second
    const full = (lastPage + 1) * first.pageSize
    if (size >= full) return well
    // what is left of a page that was cut through reads as zeros: of the page of names, as an empty store
    return size % first.pageSize === 0 ? { ...well, missingUpTo: full } : { ...well, wrong: CUT }
  } finally {
    closeSync(fd)
  }
}

function metaAt (fd: number, offset: number): { pageSize: number, lastPage: number, txn: number } | undefined {
  const b = Buffer.alloc(TXN_AT + 8)
  if (readSync(fd, b, 0, b.length, offset) < b.length || b.readUInt32LE(META_AT) !== MAGIC) return undefined
  const pageSize = b.readUInt32LE(PAGE_SIZE_AT)
  if (pageSize < 512 || pageSize > 65536) return undefined
  return { pageSize, lastPage: Number(b.readBigUInt64LE(LAST_PAGE_AT)), txn: Number(b.readBigUInt64LE(TXN_AT)) }
}

/** Reads every page that holds data. The names come first: opening a database ends the reading of another (and the process). */
const READ_ALL = `
const [lmdb, path] = process.argv.slice(1)
const root = require(lmdb).open({ path, readOnly: true, maxDbs: 64, encoding: 'binary' })
for (const name of [...root.getKeys()]) {
  for (const { value } of root.openDB(name, { encoding: 'binary', keyEncoding: 'binary' }).getRange()) Buffer.from(value)
}
`

function readsThrough (file: string): Promise<boolean> {
  const lmdb = createRequire(import.meta.url).resolve('lmdb')
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['-e', READ_ALL, lmdb, file], { stdio: 'ignore', env: { ...process.env, NODE_OPTIONS: '' } })
    child.on('error', reject)
    child.on('exit', code => resolve(code === 0))
  })
}
