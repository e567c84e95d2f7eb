import { definePlugin, isUserId, offendingCharacter, type Verdict } from '../../broker/plugin.js'

const refused = (why: string): Verdict => ({ kind: 'refused', reason: 'credential', why })

/**
 * For trying things out: the user name alone signs in, whatever the password is. The configuration lets it through on
 * loopback addresses only.
 */
export const authDev = definePlugin({
  name: 'auth-dev',
  setup: () => ({
    authenticate ({ user }): Verdict {
      if (user === undefined || user === '') return refused('no user name')
      if (isUserId(user)) return { kind: 'accepted', identity: { user, admin: false, expiresMs: 0 } }
      const char = offendingCharacter(user)
      return refused(char === undefined ? `a user name of ${user.length} characters; at most 128` : `the user name holds ${JSON.stringify(char)}, which no user id may`)
    }
  })
})

export default authDev
