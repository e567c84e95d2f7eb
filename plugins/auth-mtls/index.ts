import { type Credentials, definePlugin, isUserId, offendingCharacter, Type, type Verdict } from '../../broker/plugin.js'

const options = Type.Object({
  userFrom: Type.Union([Type.Literal('cn'), Type.Literal('san'), Type.Literal('proxy-cn')], { default: 'cn' })
}, { additionalProperties: false })

const refused = (why: string): Verdict => ({ kind: 'refused', reason: 'forbidden', why })

/** The names under which a certificate may sign in; undefined: no certificate was shown. */
function namesIn ({ certificate, proxyCommonName }: Credentials, from: 'cn' | 'san' | 'proxy-cn'): readonly string[] | undefined {
  if (from === 'proxy-cn') return proxyCommonName === undefined ? undefined : [proxyCommonName]
  if (certificate === undefined) return undefined
  if (from === 'san') return certificate.alternativeNames
  return certificate.commonName === undefined ? [] : [certificate.commonName]
}

function whyNone (names: readonly string[], from: string): string {
  const [first] = names
  if (first === undefined) return `the certificate has no name (${from})`
  const char = offendingCharacter(first)
  return char === undefined ? `the name in the certificate (${from}) has ${first.length} characters; 1 to 128 are allowed` : `the name in the certificate (${from}) holds ${JSON.stringify(char)}, which no user id may`
}

/**
 * Signs in by the client certificate that the listener, or the balancer before it, has checked (docs/config.md,
 * auth.mtls). A user name that is given as well has to be one of its names; among several alternative names it chooses.
 */
export const authMtls = definePlugin({
  name: 'auth-mtls',
  config: options,
  setup: (_host, { userFrom }) => ({
    authenticate (c): Verdict {
      const names = namesIn(c, userFrom)
      if (names === undefined) return { kind: 'not-mine' }
      const users = names.filter(isUserId)
      if (users.length === 0) return refused(whyNone(names, userFrom))
      const given = c.user ?? ''
      const user = given === '' ? users[0]! : users.find(u => u === given)
      if (user === undefined) return refused(`a certificate of ${users.slice(0, 5).join(', ')}, but another user name`)
      if (given === '' && users.length > 1) return refused(`the certificate names ${users.length} users, and no user name says which`)
      return { kind: 'accepted', identity: { user, admin: false, expiresMs: 0 } }
    }
  })
})

export default authMtls
