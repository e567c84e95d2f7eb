import type { Logger } from '../../ports/logger.js'
import type { Health } from '../../ports/log.js'
import type { Databases, Db } from './database.js'
import { noteFailure, unavailable, whyNotCommitted } from './failure.js'
import { checkKey, type Key } from './keys.js'

interface Op { db: Db, key: Key, value: Buffer | null }

/** What one commit writes. Reads through it see what stands before in the same commit. */
export class Tx {
  readonly ops: Op[] = []
  readonly #overlay = new Map<Db, Map<Key, Buffer | null>>()
  readonly #before: Tx | undefined

  /** `before` is seen by reads, and left as it is. */
  constructor (before?: Tx) { this.#before = before }

  get (db: Db, key: Key): Buffer | undefined {
    for (let tx: Tx | undefined = this; tx !== undefined; tx = tx.#before) {
      const over = tx.#overlay.get(db)?.get(key)
      if (over !== undefined) return over ?? undefined
    }
    return db.getBinary(key)
  }

  /** The keys of a range, in no promised order. */
  keys (db: Db, range: { start: Key, end: Key }): Key[] {
    const keys = new Set<Key>(db.getKeys(range))
    const layers: Tx[] = []
    for (let tx: Tx | undefined = this; tx !== undefined; tx = tx.#before) layers.unshift(tx)
    for (const tx of layers) {
      for (const [key, value] of tx.#overlay.get(db) ?? []) {
        if (key < range.start || key >= range.end) continue
        if (value === null) keys.delete(key); else keys.add(key)
      }
    }
    return [...keys]
  }

  put (db: Db, key: Key, value: Buffer): void { this.#write(db, key, value) }
  remove (db: Db, key: Key): void { this.#write(db, key, null) }

  /** A put that nobody reads before the commit: it stays out of the overlay. */
  append (db: Db, key: Key, value: Buffer): void {
    checkKey(key)
    this.ops.push({ db, key, value })
  }

  /** Takes over what `other`, which was begun on this one, writes. */
  absorb (other: Tx): void {
    for (const { db, key, value } of other.ops) this.#write(db, key, value)
  }

  #write (db: Db, key: Key, value: Buffer | null): void {
    // Here, not while lmdb takes the puts: what it took before the exception would stay (lmdb-js#115).
    checkKey(key)
    this.ops.push({ db, key, value })
    let over = this.#overlay.get(db)
    if (over === undefined) this.#overlay.set(db, over = new Map())
    over.set(key, value)
  }
}

/** The log's part in a commit. What it has put into one is tried until it is committed. */
export interface Appender {
  readonly waiting: boolean
  /** Puts what is waiting into `tx`. Never throws. */
  plan (tx: Tx): void
  /** What was planned is durable. */
  committed (): void
  /** The store closes; whether what was planned is stored, nobody knows: a disk that fails may fail behind the write. */
  abandoned (why: Error): void
}

interface Write { run: (tx: Tx) => void, waits: boolean, resolve: () => void, reject: (e: Error) => void }

const RETRY_MS = { first: 100, longest: 1000 }
const PROBE = Buffer.from('?')
/** How long writes are put into one commit before others may run, ms; the rest goes into the next. */
const MAX_PLAN_MS = 5
/** A disk that takes longer than this for one commit is worth a word to whoever asks how we are. */
const SLOW_COMMIT_MS = 10_000

/**
 * Group commit: one commit is in flight; the next takes all that came meanwhile. After a failure it goes on trying,
 * with the log's part and the writes that wait unchanged, and tells the callers of other writes.
 */
export class Committer {
  readonly #dbs: Databases
  readonly #dir: string
  readonly #log: Logger
  readonly #gate: (() => Promise<void> | void) | undefined
  #appender: Appender | undefined
  #writes: Write[] = []
  #running: Promise<void> | undefined
  #closing = false
  #why: string | undefined
  #startedMs = 0

  constructor (dbs: Databases, dir: string, log: Logger, gate?: () => Promise<void> | void) {
    this.#dbs = dbs
    this.#dir = dir
    this.#log = log
    this.#gate = gate
  }

  serve (appender: Appender): void { this.#appender = appender }

  /**
   * `run` is called while the next commit is put together; durable when it resolves. Rejects with `unavailable`: at the
   * first commit that fails or, with `waits`, only when the store is closed before one succeeds. Writes that wait keep
   * their order; `run` is called again for each try.
   */
  write (run: (tx: Tx) => void, { waits = false } = {}): Promise<void> {
    if (this.#closing) return Promise.reject(unavailable('the store is closed'))
    return new Promise((resolve, reject) => {
      this.#writes.push({ run, waits, resolve, reject })
      this.wake()
    })
  }

  /** Something is waiting. The commit begins at the end of this turn of the event loop. */
  wake (): void {
    if (this.#running === undefined) this.#running = new Promise<void>(resolve => setImmediate(resolve)).then(() => this.#loop())
  }

  health (): Health {
    if (this.#why !== undefined) return { ok: false, why: this.#why }
    const ms = this.#startedMs === 0 ? 0 : performance.now() - this.#startedMs
    if (ms < SLOW_COMMIT_MS) return { ok: true }
    return { ok: false, why: `the disk that holds ${this.#dir} has not ended a write for ${Math.round(ms / 1000)} s: messages wait` }
  }

  /** Takes no more, commits what is waiting, and ends; what cannot be committed is given up. */
  async close (): Promise<void> {
    this.#closing = true
    await this.#running
  }

  get #waiting (): boolean { return this.#writes.length > 0 || (this.#appender?.waiting ?? false) }

  async #loop (): Promise<void> {
    try {
      while (this.#waiting) {
        const appends = new Tx()
        this.#appender?.plan(appends)
        if (await this.#until(appends)) this.#appender?.committed()
      }
    } finally {
      this.#running = undefined
    }
  }

  /** Tries until the appends are committed; false: gave up, since the store closes. */
  async #until (appends: Tx): Promise<boolean> {
    for (let wait = RETRY_MS.first; ; wait = Math.min(2 * wait, RETRY_MS.longest)) {
      const tx = new Tx(appends)
      const writes = this.#runWrites(tx)
      // While nobody writes, a put of no meaning finds out whether it works again.
      if (this.#why !== undefined && appends.ops.length + tx.ops.length === 0) tx.put(this.#dbs.meta, 'probe', PROBE)
      try {
        await this.#commit(tx.ops.length === 0 ? appends.ops : [...appends.ops, ...tx.ops])
        for (const w of writes) w.resolve()
        this.#recovered()
        return true
      } catch (e) {
        this.#failed(e)
        const again: Write[] = []
        for (const w of writes) if (w.waits && !this.#closing) again.push(w); else w.reject(unavailable(this.#why!, e))
        this.#writes = [...again, ...this.#writes]
        if (this.#closing) {
          this.#appender?.abandoned(unavailable(this.#why!, e))
          return false
        }
        await new Promise(resolve => setTimeout(resolve, wait))
      }
    }
  }

  #runWrites (tx: Tx): Write[] {
    const startedMs = performance.now()
    const planned: Write[] = []
    let n = 0
    while (n < this.#writes.length && (n === 0 || performance.now() - startedMs < MAX_PLAN_MS)) {
      const w = this.#writes[n++]!
      const own = new Tx(tx)
      try {
        w.run(own)
        tx.absorb(own)
        planned.push(w)
      } catch (e) {
        w.reject(e as Error)
      }
    }
    this.#writes = this.#writes.slice(n)
    return planned
  }

  async #commit (ops: readonly Op[]): Promise<void> {
    if (ops.length === 0) return
    this.#startedMs = performance.now()
    try {
      if (this.#gate !== undefined) await this.#gate()
      await this.#dbs.root.batch(() => {
        for (const { db, key, value } of ops) {
          if (value === null) void db.remove(key)
          else void db.put(key, value)
        }
      })
    } catch (e) {
      throw await causeOf(e)
    } finally {
      this.#startedMs = 0
    }
  }

  #failed (e: unknown): void {
    const first = this.#why === undefined
    this.#why = whyNotCommitted(this.#dir, e)
    if (first) this.#log.error({ err: e }, this.#why)
  }

  #recovered (): void {
    if (this.#why === undefined) return
    this.#why = undefined
    this.#log.info({}, `writing to ${this.#dir} works again`)
  }
}

/** What stands behind lmdb's "Commit failed"; its promise must be caught, or it ends the process (lmdb-js#368). */
async function causeOf (e: unknown): Promise<unknown> {
  if (typeof e !== 'object' || e === null || !('commitError' in e)) return e
  const cause = (e.commitError as Promise<unknown>).then(() => e, (c: unknown) => { noteFailure(c); return c })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<unknown>(resolve => { timer = setTimeout(() => resolve(e), 1000) })
  return Promise.race([cause, late]).finally(() => clearTimeout(timer))
}
