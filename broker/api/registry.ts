import { nearest } from '../config/nearest.js'
import { asParleyError, ParleyError } from '../domain/errors.js'
import type { Call, Operation } from '../plugin.js'
import type { Logger } from '../ports/logger.js'
import { jsonBytes } from './json.js'
import { paramsCheck } from './params.js'

/** What a topic `rpc/{method}` can hold. */
const NAME = /^[a-z]+(\.[a-z]+)?$/

interface Registered { op: Operation, check: (params: unknown) => Record<string, unknown> }

/** All operations of this broker, its own and the plugins'. RPC over MQTT and HTTP both call them here. */
export class Operations {
  readonly #byName = new Map<string, Registered>()

  constructor (private readonly logger: Logger) {}

  /** Throws an Error, for whoever starts the broker, when the name is taken or cannot stand in a topic. */
  register (op: Operation): void {
    if (!NAME.test(op.name)) throw new Error(`operation ${op.name}: a name is lower-case letters, with one dot at most`)
    if (this.#byName.has(op.name)) throw new Error(`operation ${op.name} is there twice: two plugins offer it`)
    this.#byName.set(op.name, { op, check: paramsCheck(op.params) })
  }

  /** In the order of their names. */
  list (): Operation[] {
    return [...this.#byName.values()].map(r => r.op).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /**
   * Runs an operation. `params` is what JSON.parse gave, without the request's `id`; undefined counts as `{}`.
   * Resolves with the result as JSON, never more than `call.maxBytes`. Not idempotent by itself: each operation says.
   * @throws ParleyError only: not-found (no such operation), forbidden, bad-request, too-large, and what the operation throws;
   *   anything else it throws is logged and becomes `internal`
   */
  async call (name: string, call: Call, params: unknown): Promise<Buffer> {
    try {
      const { op, check } = this.#named(name)
      if (op.who === 'admin' && !call.admin) throw new ParleyError('forbidden', `${name} is for admins`)
      const bytes = jsonBytes(await op.handle(call, check(params)))
      if (bytes.length <= call.maxBytes) return bytes
      throw new ParleyError('too-large', `the answer has ${bytes.length} bytes, more than the ${call.maxBytes} that you take: ask for less at once`)
    } catch (e) {
      const error = asParleyError(e)
      if (error.code === 'internal') this.logger.error({ operation: name, user: call.user, err: error.cause ?? error }, 'an operation failed')
      throw error
    }
  }

  #named (name: string): Registered {
    const found = this.#byName.get(name)
    if (found !== undefined) return found
    const near = nearest(name, this.#byName.keys())
    throw new ParleyError('not-found', `there is no ${JSON.stringify(name.slice(0, 64))}${near === undefined ? '' : `: did you mean ${near}?`}`)
  }
}
