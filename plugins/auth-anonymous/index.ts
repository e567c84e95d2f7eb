import { definePlugin, isUserId, Type, type UserId, type Verdict } from '../../broker/plugin.js'

/** Lets in who comes with neither user name nor password, as one user, for ordinary topics only (docs/config.md, auth.anonymous). */
export const authAnonymous = definePlugin({
  name: 'auth-anonymous',
  config: Type.Object({ user: Type.String({ minLength: 1 }) }),
  setup (_host, { user }) {
    if (!isUserId(user)) throw new Error('user is not a user id: 1 to 128 of A-Z a-z 0-9 . _ - @ = | : ~ !')
    const guest: Verdict = { kind: 'accepted', identity: { user: user as UserId, admin: false, expiresMs: 0, anonymous: true } }
    return {
      authenticate (c): Verdict {
        // An empty name or password says no more than none. Only connections: over HTTP there is no device.
        const names = (c.user ?? '') !== '' || (c.password?.length ?? 0) > 0
        return names || c.device === undefined ? { kind: 'not-mine' } : guest
      }
    }
  }
})

export default authAnonymous
