import type { Connections } from '../../core/connections.js'
import type { Tickets } from '../../core/tickets.js'
import { ParleyError } from '../../domain/errors.js'
import { sessionId } from '../../domain/ids.js'
import { defineOperation, type Operation, Type } from '../../plugin.js'

/** `auth.ticket`: a short credential for the next connects of this device. Each call gives a new one; the device's newest four are good. */
export function authTicket (deps: { connections: Connections, tickets: Tickets }): Operation {
  return defineOperation({
    name: 'auth.ticket', summary: 'A short credential for this device, in place of its token at reconnect.',
    params: Type.Object({}),
    result: Type.Object({
      ticket: Type.String({ description: 'At most 44 characters; the password of the next CONNECT. Never an admin\'s.' }),
      expires: Type.Integer({ description: 'ms since the epoch; 0: never' })
    }),
    who: 'user',
    async handle (call) {
      const identity = call.device === '' ? undefined : deps.connections.get(sessionId(call.user, call.device))?.identity
      if (call.device === '' || identity === undefined || identity === null) throw new ParleyError('bad-request', 'auth.ticket is asked by a connected device')
      if (identity.byTicket === true) throw new ParleyError('forbidden', 'a ticket is not good for another one: auth.refresh with a token first')
      if (identity.anonymous === true) throw new ParleyError('forbidden', 'who came without credentials gets none')
      const { ticket, expiresMs } = await deps.tickets.issue(identity, call.device)
      return { ticket, expires: expiresMs }
    }
  }) as unknown as Operation
}
