import type { Report } from './check.js'
import { childOf, keysOf, type Field } from './field.js'
import { isBlock } from './read-value.js'
import { defaultListeners, rootField } from './schema.js'

type Block = Record<string, unknown>

/** Fills in the defaults that depend on other keys; says whether sign-in by user name alone came about that way. */
export function deriveDefaults (given: Block): boolean {
  given.listeners ??= defaultListeners()
  for (const listener of given.listeners as (Block | undefined)[]) if (listener?.clientCa !== undefined) listener.clientCert ??= 'required'
  const auth = isBlock(given.auth) ? given.auth : {}
  given.auth = auth
  if (auth.dev !== undefined) return false
  // `ticket` is no way to sign in.
  auth.dev = !keysOf(childOf(rootField, 'auth') as Field).some((key) => key !== 'ticket' && Object.hasOwn(auth, key))
  return auth.dev === true
}

/** Refuses keys that a listener's protocol does not have: who puts a certificate on a plain listener believes it to be encrypted. */
export function refuseForeignKeys (given: Block, report: Report): void {
  const fields = childOf(rootField, 'listeners')?.items?.properties ?? {}
  const listeners = (given.listeners ?? []) as (Block | undefined)[]
  for (const [i, listener] of listeners.entries()) {
    const protocol = listener?.protocol
    if (listener === undefined || typeof protocol !== 'string') continue
    for (const key of Object.keys(listener)) {
      const only = fields[key]?.only
      if (only !== undefined && !only.includes(protocol)) report(`listeners[${i}].${key}`, `only ${only.join(' and ')} have this, the protocol here is ${protocol}`)
    }
  }
}
