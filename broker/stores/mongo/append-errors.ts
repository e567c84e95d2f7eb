import { MongoBulkWriteError, MongoServerError } from 'mongodb'

/** Which unique index of the log an insert ran into. */
export type Taken = 'seq' | 'cid'

/**
 * Which entries of an insert are not stored because their place or their cid was taken; all others, up to the first of
 * these in an ordered insert, are committed. Null: the error says something else, and what became of them is unknown.
 */
export function duplicatesOf (e: unknown): Map<number, Taken> | null {
  if (!(e instanceof MongoBulkWriteError) || e.result.getWriteConcernError() !== undefined) return null
  const errors = Array.isArray(e.writeErrors) ? e.writeErrors : [e.writeErrors]
  if (errors.length === 0) return null
  const out = new Map<number, Taken>()
  for (const { index, code, errmsg } of errors) {
    const taken = code === 11000 ? takenOf(errmsg) : null
    if (taken === null) return null
    out.set(index, taken)
  }
  return out
}

/** The same of an insert in a transaction. */
export const duplicateOf = (e: unknown): Taken | null => e instanceof MongoServerError && e.code === 11000 ? takenOf(e.errmsg) : null

/** The driver drops what the server says of the index in `keyPattern`; it stands in its words. An `_id` is our own, sent before. */
const takenOf = (errmsg: string | undefined): Taken | null =>
  errmsg === undefined ? null : errmsg.includes('index: by_seq ') ? 'seq' : errmsg.includes('index: by_cid ') || errmsg.includes('index: _id_ ') ? 'cid' : null
