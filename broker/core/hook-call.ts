import type { HOOK_NAMES, Hooks } from '../plugin.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { Logger } from '../ports/logger.js'

export type HookName = typeof HOOK_NAMES[number]

/** The hooks that one plugin returned from its setup. */
export interface PluginHooks {
  plugin: string
  /** Longest run of one call, ms. */
  timeoutMs: number
  hooks: Hooks
}

/**
 * `error`: it threw or rejected · `timeout`: over its time limit · `skipped`: not called, because too many of its calls
 * never finished · `invalid`: it answered what the hook has no meaning for.
 */
export type HookFailure = 'error' | 'timeout' | 'skipped' | 'invalid'

export interface HookOptions {
  clock: Clock
  logger: Logger
  /** For metrics: called at every failure, logged or not. Must not throw. */
  onFailure? (plugin: string, hook: HookName, failure: HookFailure): void
  /** Unfinished calls of one hook past which it is not called. Default 1,000. */
  maxUnfinished?: number
}

/** Thrown by {@link HookCall.limited} when the time is over. */
export class HookTimeout extends Error {}

const LOG_EVERY_MS = 60_000

const isThenable = (v: unknown): v is PromiseLike<unknown> =>
  (typeof v === 'object' || typeof v === 'function') && v !== null && typeof (v as { then?: unknown }).then === 'function'

/** What a hook returned, when it has to be waited for; undefined for everything else (nonsense is ignored). */
export function promised (v: unknown): Promise<unknown> | undefined {
  // Promise.resolve asks a foreign thenable in a later turn, and turns what it throws into a rejection.
  return isThenable(v) ? Promise.resolve(v) : undefined
}

/** One hook of one plugin: its time limit, its unfinished calls and its failures. */
export class HookCall<N extends HookName = HookName> {
  readonly plugin: string
  readonly hook: N
  /** The hook bound to its object, which may be an instance of a class. */
  readonly run: NonNullable<Hooks[N]>
  /** Calls whose promise has not settled, whether or not their time is over: what a hanging hook holds in memory. */
  unfinished = 0
  /** Those of them whose time is over. */
  overdue = 0
  readonly #timeoutMs: number
  readonly #opts: HookOptions
  readonly #logged = new Map<HookFailure, { atMs: number, more: number }>()

  constructor (from: PluginHooks, hook: N, opts: HookOptions) {
    this.plugin = from.plugin
    this.hook = hook
    this.run = (from.hooks[hook] as () => unknown).bind(from.hooks) as NonNullable<Hooks[N]>
    this.#timeoutMs = from.timeoutMs
    this.#opts = opts
  }

  get maxUnfinished (): number { return this.#opts.maxUnfinished ?? 1000 }

  /**
   * Settles as `answer` does, or rejects with {@link HookTimeout} when the time is over. A later rejection is observed, so
   * that it does not end the process.
   */
  limited (answer: Promise<unknown>): Promise<unknown> {
    this.unfinished++
    return new Promise((resolve, reject) => {
      let late = false
      const timer: Timer = this.#opts.clock.after(this.#timeoutMs, () => {
        late = true
        this.overdue++
        reject(new HookTimeout(`no answer within ${this.#timeoutMs} ms`))
      })
      const settled = (): void => {
        this.unfinished--
        if (late) this.overdue--
        else timer.cancel()
      }
      answer.then(v => { settled(); resolve(v) }, (e: unknown) => { settled(); reject(e as Error) })
    })
  }

  /** Counts a failure; logs the first of its kind at once, then one a minute with the number of those between. */
  failed (failure: HookFailure, err?: unknown): void {
    this.#opts.onFailure?.(this.plugin, this.hook, failure)
    const now = this.#opts.clock.now()
    const last = this.#logged.get(failure)
    if (last !== undefined && now - last.atMs < LOG_EVERY_MS) { last.more++; return }
    this.#logged.set(failure, { atMs: now, more: 0 })
    const fields = { plugin: this.plugin, hook: this.hook, failure, notLogged: last?.more ?? 0, err }
    this.#opts.logger.error(fields, `plugin ${this.plugin}: ${this.hook} ${SAYS[failure]}`)
  }

  /** {@link failed} for what a call threw or rejected with. */
  threw (e: unknown): void { this.failed(e instanceof HookTimeout ? 'timeout' : 'error', e) }
}

const SAYS: Record<HookFailure, string> = {
  error: 'failed',
  timeout: 'took longer than its time limit',
  skipped: 'is not called: too many of its calls have not finished',
  invalid: 'answered what it must not'
}
