import { ParleyError, thrownOnPurpose } from '../domain/errors.js'
import { readAcl } from '../domain/claims.js'
import type { Credentials, Identity, Verdict } from '../domain/identity.js'
import { isUserId } from '../domain/ids.js'
import { HOOK_NAMES, type Hooks, type Publishing } from '../plugin.js'
import { HookCall, type HookName, type HookOptions, HookTimeout, type PluginHooks, promised } from './hook-call.js'

export type { HookFailure, HookName, HookOptions, PluginHooks } from './hook-call.js'

type DidName = 'didPublish' | 'didConnect' | 'didDisconnect'
type EventOf<N extends DidName> = Parameters<NonNullable<Hooks[N]>>[0]

const WAIT_MS = 1000

const tooSlow = (cause?: unknown): ParleyError =>
  new ParleyError('unavailable', 'a plugin of the broker took too long', { cause, retryAfterMs: WAIT_MS })

/** What the sender is told about a hook that threw; a failure is logged, a refusal is not one. */
function toRefusal (call: HookCall, e: unknown): ParleyError {
  const refusal = thrownOnPurpose(e)
  if (refusal !== undefined) return refusal
  call.threw(e)
  return e instanceof HookTimeout ? tooSlow(e) : new ParleyError('internal', 'a plugin of the broker failed; its log says which', { cause: e })
}

/** Whether an answer may be acted on. A user id outside the grammar would reach topics and keys. */
function isVerdict (v: unknown): v is Verdict {
  const a = (v ?? {}) as { kind?: unknown, reason?: unknown, identity?: { [F in keyof Identity]?: unknown } }
  if (a.kind === 'not-mine' || a.kind === 'down') return true
  if (a.kind === 'refused') return a.reason === 'credential' || a.reason === 'forbidden'
  const id = a.identity
  return a.kind === 'accepted' && typeof id === 'object' && id !== null && typeof id.user === 'string' && isUserId(id.user) &&
    typeof id.admin === 'boolean' && typeof id.expiresMs === 'number' && Number.isFinite(id.expiresMs) &&
    (id.acl === undefined || typeof readAcl(id.acl) !== 'string') && (id.issuedMs === undefined || typeof id.issuedMs === 'number')
}

/** Runs the hooks of all plugins, in the order of the config; what a plugin does wrong stays with it. */
export class HookRunner {
  readonly #calls: { [N in HookName]: HookCall<N>[] }

  constructor (plugins: readonly PluginHooks[], opts: HookOptions) {
    const of = <N extends HookName>(name: N): HookCall<N>[] =>
      plugins.filter(p => typeof p.hooks[name] === 'function').map(p => new HookCall(p, name, opts))
    this.#calls = Object.fromEntries(HOOK_NAMES.map(name => [name, of(name)])) as unknown as { [N in HookName]: HookCall<N>[] }
  }

  /** Whether any plugin has this hook; without one, no event need be made. */
  has (name: HookName): boolean { return this.#calls[name].length > 0 }

  /**
   * Before the commit. Undefined when no hook had to be waited for: then nothing more is to be done.
   * @throws ParleyError what a hook refused with; internal: a hook failed; unavailable: a hook took too long
   */
  willPublish (message: Publishing): Promise<void> | undefined {
    return this.#willFrom(0, message)
  }

  #willFrom (first: number, message: Publishing): Promise<void> | undefined {
    const calls = this.#calls.willPublish
    for (let i = first; i < calls.length; i++) {
      const call = calls[i]!
      // Calls that never end would pile up with every resend; those that are merely slow don't count.
      if (call.overdue >= call.maxUnfinished) {
        call.failed('skipped')
        throw tooSlow()
      }
      let answer: Promise<unknown> | undefined
      try { answer = promised(call.run(message)) } catch (e) { throw toRefusal(call, e) }
      if (answer !== undefined) return this.#wait(call, answer).then(() => this.#willFrom(i + 1, message))
    }
    return undefined
  }

  async #wait (call: HookCall, answer: Promise<unknown>): Promise<void> {
    try { await call.limited(answer) } catch (e) { throw toRefusal(call, e) }
  }

  /** After the commit. Never throws, and waits for nothing. */
  didPublish (event: EventOf<'didPublish'>): void { this.#did('didPublish', event) }
  /** A device is connected. Never throws, and waits for nothing. */
  didConnect (event: EventOf<'didConnect'>): void { this.#did('didConnect', event) }
  /** A connection ended. Never throws, and waits for nothing. */
  didDisconnect (event: EventOf<'didDisconnect'>): void { this.#did('didDisconnect', event) }

  #did<N extends DidName> (name: N, event: EventOf<N>): void {
    for (const call of this.#calls[name] as unknown as HookCall<DidName>[]) {
      // Nobody waits for these calls, so nothing else would bound what a hanging hook holds.
      if (call.unfinished >= call.maxUnfinished) { call.failed('skipped'); continue }
      try {
        const answer = promised((call.run as (event: EventOf<N>) => unknown)(event))
        if (answer !== undefined) call.limited(answer).catch((e: unknown) => call.threw(e))
      } catch (e) { call.threw(e) }
    }
  }

  /** Every plugin reads its files again. Never rejects: what fails is logged, and what it read before stays. */
  async reload (): Promise<void> {
    await Promise.all(this.#calls.reload.map(async call => {
      try { await call.limited((async () => { await call.run() })()) } catch (e) { call.threw(e) }
    }))
  }

  /** Asks the providers in order until one does not answer `not-mine`. Never rejects: a provider that fails counts as down. */
  async authenticate (credentials: Credentials): Promise<Verdict> {
    for (const call of this.#calls.authenticate) {
      const verdict = await this.#ask(call, credentials)
      if (verdict.kind !== 'not-mine') return verdict
    }
    return { kind: 'refused', reason: 'credential', why: 'no provider took the credentials' }
  }

  async #ask (call: HookCall<'authenticate'>, credentials: Credentials): Promise<Verdict> {
    const down = (why: string): Verdict => ({ kind: 'down', why: `${call.plugin}: ${why}` })
    if (call.overdue >= call.maxUnfinished) {
      call.failed('skipped')
      return down('too many calls have not finished')
    }
    let answer: unknown
    try {
      answer = call.run(credentials)
      const later = promised(answer)
      if (later !== undefined) answer = await call.limited(later)
    } catch (e) {
      call.threw(e)
      return down(e instanceof Error ? e.message : 'threw no Error')
    }
    if (isVerdict(answer)) return answer
    call.failed('invalid')
    return down('answered no verdict')
  }
}
