import { MongoError, MongoServerError } from 'mongodb'
import { ParleyError } from '../../domain/errors.js'
import type { Health } from '../../ports/log.js'
import type { Logger } from '../../ports/logger.js'

/**
 * Each call is raced against a timer of our own: the driver's calls have outlived its time limits (socketTimeoutMS,
 * timeoutMS), once for minutes (docs/cluster.md).
 */
const GUARD_MS = 6000
/** Two upserts of one document may cross: the second finds what the first made. */
const UPSERT_TRIES = 5
/** What the server says of a request that it will never take: a mistake of ours. */
const PERMANENT = new Set([2, 9, 14, 17, 20, 26, 40, 52, 56, 57, 10334])

export const unavailable = (why: string, cause?: unknown): ParleyError => new ParleyError('unavailable', why, { cause, retryAfterMs: 1000 })

export const isDuplicate = (e: unknown): boolean => e instanceof MongoServerError && e.code === 11000

/** @throws Error when the call is not over in time; what becomes of it is then unknown */
export async function guarded<T> (call: Promise<T>, ms = GUARD_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => { reject(unavailable(`MongoDB did not answer within ${ms / 1000} s`)) }, ms)
  })
  try { return await Promise.race([call, late]) } finally {
    clearTimeout(timer)
    call.catch(() => {}) // when it was late nobody listens any more
  }
}

/** Calls to MongoDB: bounded in time, with our errors. */
export class Calls {
  closed = false
  private failing: string | null = null
  /** `gate`: for tests; each write waits for it, and fails as the server would when it rejects. */
  constructor (private readonly logger: Logger, readonly gate: () => Promise<void> | void = () => {}) {}

  get health (): Health { return this.failing === null ? { ok: true } : { ok: false, why: this.failing } }

  failed (err: unknown): void {
    if (this.failing === null) this.logger.warn({ err }, 'MongoDB cannot commit; messages wait until it can')
    this.failing = `MongoDB cannot commit (${err instanceof Error ? err.message : String(err)}): messages wait until it can`
  }

  worked (): void {
    if (this.failing === null) return
    this.failing = null
    this.logger.info({}, 'MongoDB commits again')
  }

  /** @throws ParleyError unavailable */
  async read<T> (call: () => Promise<T>): Promise<T> {
    if (this.closed) throw unavailable('the store is closed')
    try { return await guarded(call()) } catch (e) { throw asOurs(e) }
  }

  /** `again`: an upsert, which another one may have crossed. @throws ParleyError unavailable: it may have happened all the same */
  async write<T> (call: () => Promise<T>, { again = false } = {}): Promise<T> {
    for (let tries = 1; ; tries++) {
      if (this.closed) throw unavailable('the store is closed')
      try {
        await this.gate()
        const result = await guarded(call())
        this.worked()
        return result
      } catch (e) {
        if (again && isDuplicate(e) && tries < UPSERT_TRIES) continue
        const ours = asOurs(e)
        if (ours instanceof ParleyError && ours.code === 'unavailable' && !this.closed) this.failed(e)
        throw ours
      }
    }
  }
}

function asOurs (e: unknown): unknown {
  if (e instanceof ParleyError) return e
  if (!(e instanceof MongoError) || (e instanceof MongoServerError && PERMANENT.has(e.code as number))) return e
  return unavailable('MongoDB cannot do this now', e)
}
