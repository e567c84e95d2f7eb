import type { Config } from './config/schema.js'
import type { Plugin } from './plugin.js'
import type { PluginChoice } from './plugins.js'
import authAnonymous from '../plugins/auth-anonymous/index.js'
import authDev from '../plugins/auth-dev/index.js'
import authHttp from '../plugins/auth-http/index.js'
import authJwt from '../plugins/auth-jwt/index.js'
import authMtls from '../plugins/auth-mtls/index.js'
import authStatic from '../plugins/auth-static/index.js'

type Auth = Config['auth']
type Way = Exclude<keyof Auth, 'dev' | 'ticket'>

/** Without the names that are not set, which no plugin's schema knows. */
const given = (options: object): object => Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined))

const choice = (plugin: unknown, config?: object): PluginChoice => ({ use: plugin as Plugin, ...config === undefined ? {} : { config } })

/** What each key of `auth` stands for; undefined: it is not set. */
const WAYS: { [W in Way]: (auth: Auth, secret: string | undefined) => PluginChoice | undefined } = {
  jwt: ({ jwt }, secret) => secret === undefined && jwt.publicKeyFile === undefined && jwt.jwksUrl === undefined ? undefined : choice(authJwt, given({ ...jwt, secret })),
  http: ({ http }) => http && choice(authHttp, http),
  static: auth => auth.static && choice(authStatic, auth.static),
  mtls: ({ mtls }) => mtls && choice(authMtls, mtls),
  anonymous: ({ anonymous }) => anonymous === undefined ? undefined : choice(authAnonymous, { user: anonymous })
}

/**
 * The ways to sign in, in the order in which the operator wrote them. Behind these stand the tokens of the generated
 * secret, when nobody asked for them, and in the end `auth.dev`, which takes everybody.
 * @param secret of HS256 tokens, configured or generated; undefined: none
 */
export function authChoices (auth: Auth, secret: string | undefined): PluginChoice[] {
  const ways = Object.keys(auth).flatMap(key => Object.hasOwn(WAYS, key) ? WAYS[key as Way](auth, secret) ?? [] : [])
  return auth.dev ? [...ways, choice(authDev)] : ways
}
