import { statfsSync } from 'node:fs'
import { ParleyError } from '../../domain/errors.js'

/** Numbers that lmdb puts into `code`: errno values, and its own below -30000. */
const ENOSPC = 28
const EDQUOT = 122
const MAP_FULL = -30792

/**
 * Whether a rejection is lmdb's word that a commit failed. The committer has handled it by then (it tries again and
 * {@link Health} says why).
 */
const isCommitFailure = (e: unknown): boolean =>
  typeof e === 'object' && e !== null && ('commitError' in e || failures.has(e))

/** The causes that were given to the committer already; lmdb rejects a second promise with each of them. */
const failures = new WeakSet<object>()
export const noteFailure = (e: unknown): void => { if (typeof e === 'object' && e !== null) failures.add(e) }

const STRAY = (e: unknown): void => {
  if (isCommitFailure(e)) return
  // Without our listener Node would have ended the process for this one: no other listener, no other fate.
  if (process.listenerCount('unhandledRejection') === 1) throw e
}
let users = 0

/** Keeps lmdb's stray rejections (lmdb-js#368) from ending the process; the answer takes it back. Counted: stores may be many. */
export function guardProcess (): () => void {
  if (users++ === 0) process.on('unhandledRejection', STRAY)
  let done = false
  return () => {
    if (done) return
    done = true
    if (--users === 0) process.off('unhandledRejection', STRAY)
  }
}

const codeOf = (e: unknown): unknown => typeof e === 'object' && e !== null && 'code' in e ? e.code : undefined
/** Without what lmdb adds about its buffers, which is of no use to an operator and differs with each try. */
const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e)).replace(/: Attempting to write.*/s, '')

/** One sentence for {@link Health} and the log. lmdb calls a write that was cut short by a full disk EIO. */
export function whyNotCommitted (dir: string, e: unknown): string {
  const code = codeOf(e)
  if (code === ENOSPC || code === EDQUOT || code === MAP_FULL || code === 'ENOSPC' || freeBytes(dir) < 1 << 20) {
    return `the disk that holds ${dir} is full: messages wait until there is room`
  }
  return `writing to ${dir} fails (${messageOf(e)}): messages wait until it works again`
}

function freeBytes (dir: string): number {
  try {
    const s = statfsSync(dir)
    return s.bavail * s.bsize
  } catch { return Infinity }
}

/** What a caller of the other stores is told. */
export const unavailable = (why: string, cause?: unknown): ParleyError =>
  new ParleyError('unavailable', why, { cause, retryAfterMs: 1000 })
