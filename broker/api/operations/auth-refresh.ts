import { Type } from '@sinclair/typebox'
import type { Connections } from '../../core/connections.js'
import { ParleyError } from '../../domain/errors.js'
import { sessionId } from '../../domain/ids.js'
import { defineOperation, type Operation } from '../../plugin.js'

/** `auth.refresh`: a new token for a connection that stays. It must be of the same user, and good for this device. */
export function authRefresh (deps: { connections: Connections }): Operation {
  return defineOperation({
    name: 'auth.refresh', summary: 'A new token, before the old one ends.',
    params: Type.Object({ token: Type.String({ minLength: 1, maxLength: 65_536 }) }, { additionalProperties: false }),
    result: Type.Object({ expires: Type.Integer({ description: 'ms since the epoch; 0: never' }) }), who: 'user',
    async handle (call, { token }) {
      const connection = call.device === '' ? undefined : deps.connections.get(sessionId(call.user, call.device))
      if (connection === undefined) throw new ParleyError('bad-request', 'auth.refresh is asked by a connected device')
      const verdict = await connection.authenticate(token)
      if (verdict.kind === 'down') throw new ParleyError('unavailable', 'signing in is not possible now', { retryAfterMs: 5000 })
      if (verdict.kind !== 'accepted' || verdict.identity.user !== call.user) throw new ParleyError('unauthenticated', 'the token is not good for this user and device')
      connection.refresh(verdict.identity)
      return { expires: verdict.identity.expiresMs }
    }
  }) as unknown as Operation
}
