import type { Db } from './database.js'
import { type Key, rangeOf } from './keys.js'

/** So many rows are read before others may run. */
const SLICE = 500
/** No key begins with this byte twice. */
const ALL = { start: '', end: '\u00ff\u00ff' }

/**
 * What stands under `prefix` (null: all), in order of the keys. Read in slices, each of a snapshot of its own: a range that stays
 * open while something is awaited makes the file grow (lmdb-js#194).
 */
export async function scan<T> (db: Db, prefix: string | null, read: (key: Key, value: Buffer) => T): Promise<T[]> {
  const out: T[] = []
  let { start, end } = prefix === null ? ALL : rangeOf(prefix)
  for (;;) {
    let n = 0
    for (const { key, value } of db.getRange({ start, end, limit: SLICE })) {
      out.push(read(key, value))
      start = `${key}\u0000`
      n++
    }
    if (n < SLICE) return out
    await new Promise(resolve => setImmediate(resolve))
  }
}
