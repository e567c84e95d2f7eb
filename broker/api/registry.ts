import { Kind } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { nearest } from '../config/nearest.js'
import { withinLimit } from '../core/within-limit.js'
import { asParleyError, ParleyError } from '../domain/errors.js'
import type { Call, Operation, TSchema } from '../plugin.js'
import type { Clock } from '../ports/clock.js'
import type { Logger } from '../ports/logger.js'
import { jsonBytes } from './json.js'
import { paramsCheck } from './params.js'

/** What a topic `rpc/{method}` can hold. */
const NAME = /^[a-z]+(\.[a-z]+)?$/

/**
 * Longest run of one call. A connection has few requests worked on at once, so those that never end would leave it
 * without answers for good. What stores promise takes far less, but for a full disk.
 */
const LIMIT_MS = 30_000

interface Registered { op: Operation, check: (params: unknown) => Record<string, unknown>, result: TypeCheck<TSchema> }

/** What no type holds a plugin in JavaScript to. A missing `who` would let everybody in. @throws Error */
function checkDeclaration (op: Operation): void {
  const wrong = (what: string): never => { throw new Error(`operation ${op.name}: ${what}`) }
  if (typeof op.name !== 'string' || !NAME.test(op.name)) wrong('a name is lower-case letters, with one dot at most')
  if (op.who !== 'user' && op.who !== 'admin') wrong('who is neither user nor admin')
  if (typeof op.handle !== 'function') wrong('handle is no function')
  if (op.params?.[Kind] !== 'Object') wrong('params is no Type.Object({…})')
  if (op.result?.[Kind] === undefined) wrong('result is no schema, such as Type.Object({…})')
}

/** All operations of this broker, its own and the plugins'. RPC over MQTT and HTTP both call them here. */
export class Operations {
  readonly #byName = new Map<string, Registered>()

  constructor (private readonly deps: { logger: Logger, clock: Clock }) {}

  /** @throws Error, for whoever starts the broker, when the name is taken or the declaration is none */
  register (op: Operation): void {
    checkDeclaration(op)
    if (this.#byName.has(op.name)) throw new Error(`operation ${op.name} is there twice: the broker or another plugin offers it`)
    this.#byName.set(op.name, { op, check: paramsCheck(op.params), result: TypeCompiler.Compile(op.result) })
  }

  /** In the order of their names. */
  list (): Operation[] {
    return [...this.#byName.values()].map(r => r.op).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /**
   * Runs an operation. `params` is what JSON.parse gave, without the request's `id`; undefined counts as `{}`.
   * Resolves with the result as JSON, never more than `call.maxBytes`. Not idempotent by itself: each operation says.
   * @throws ParleyError only: not-found (no such operation), forbidden, bad-request, too-large, unavailable (took too long),
   *   and what the operation throws; anything else it throws, or a result that is not as declared, is logged and becomes `internal`
   */
  async call (name: string, call: Call, params: unknown): Promise<Buffer> {
    try {
      const { op, check, result } = this.#named(name)
      if (op.who === 'admin' && !call.admin) throw new ParleyError('forbidden', `${name} is for admins`)
      const checked = check(params)
      const answer: unknown = await withinLimit(() => op.handle(call, checked), { clock: this.deps.clock, limitMs: LIMIT_MS, late: () => this.#late(name, call) })
      if (!result.Check(answer)) {
        const misfit = result.Errors(answer).First()
        throw new Error(`its result is not as declared: ${misfit?.path ?? ''} ${misfit?.message ?? ''}`)
      }
      const bytes = jsonBytes(answer)
      if (bytes.length <= call.maxBytes) return bytes
      throw new ParleyError('too-large', `the answer has ${bytes.length} bytes, more than the ${call.maxBytes} that you take: ask for less at once`)
    } catch (e) {
      const error = asParleyError(e)
      if (error.code === 'internal') this.deps.logger.error({ operation: name, user: call.user, err: error.cause ?? error }, 'an operation failed')
      throw error
    }
  }

  #late (operation: string, { user }: Call): ParleyError {
    this.deps.logger.error({ operation, user }, 'an operation took too long')
    return new ParleyError('unavailable', `not done within ${LIMIT_MS / 1000} s; it may be done yet`, { retryAfterMs: 1000 })
  }

  #named (name: string): Registered {
    const found = this.#byName.get(name)
    if (found !== undefined) return found
    const near = nearest(name, this.#byName.keys())
    throw new ParleyError('not-found', `there is no ${JSON.stringify(name.slice(0, 64))}${near === undefined ? '' : `: did you mean ${near}?`}`)
  }
}
