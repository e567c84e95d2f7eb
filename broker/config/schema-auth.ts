import { Type } from '@sinclair/typebox'
import { block, choice, flag, list, text, whole } from './field.js'

const jwt = block({
  secret: Type.Optional(text('The secret of HS256 tokens; its UTF-8 bytes are the key. Without it and without keys, one is generated in `dataDir`.', { secret: true })),
  publicKeyFile: Type.Optional(text('Public key (PEM, JWK or JWKS) that RS, PS, ES and EdDSA tokens are checked with.', { path: true })),
  jwksUrl: Type.Optional(text('Where the public keys are fetched from.', { secret: 'url', pattern: '^https?://', shape: 'a URL that begins with https:// or http://' })),
  issuer: Type.Optional(text('What `iss` has to be.')),
  audience: Type.Optional(text('What `aud` has to be, or to contain.')),
  userClaim: text('The claim that holds the user id.', { default: 'sub' }),
  deviceClaim: text('The claim that holds the only device that the token is good for.', { default: 'dev' }),
  requireExp: flag('Refuse tokens without `exp`.', { default: true }),
  clockToleranceMs: whole('How far the clocks of signer and broker may differ.', { default: 1000, minimum: 0, maximum: 600_000, unit: 'ms' }),
}, 'Tokens: a JWT as the MQTT password.')

const http = block({
  url: text('Asked at every sign-in: POST {user?, password, device, address, listener}; 200 {user, scope?, acl?, exp?} lets in, 401 and 403 refuse, all else counts as down.', { secret: 'url', pattern: '^https?://', shape: 'a URL that begins with https:// or http://' }),
  timeoutMs: whole('After this the backend counts as down.', { default: 3000, minimum: 1, maximum: 600_000, unit: 'ms' }),
  cacheMs: whole('How long a good answer is used again. 0: never.', { default: 60_000, minimum: 0, maximum: 86_400_000, unit: 'ms' }),
}, 'Your own backend checks the credentials.')

/** Who may sign in, and how. */
export const authSchema = block({
  dev: flag('The user name alone signs in. Refused unless every listener, `http` too, is on a loopback address.', { derived: '`true` when nothing else is in `auth`, else `false`' }),
  jwt,
  http: Type.Optional(http),
  static: Type.Optional(block({
    file: text('List of {user, hash, device?, scope?, acl?}; `parley hash` makes the hash.', { path: true }),
  }, 'Users in a file.')),
  mtls: Type.Optional(block({
    userFrom: choice(['cn', 'san', 'proxy-cn'], 'Where the user id stands: the certificate\'s common name, its alternative name, or SSL-CN of the PROXY v2 header.', { default: 'cn' }),
  }, 'Client certificates.')),
  anonymous: Type.Optional(text('Connections without credentials act as this user, on ordinary topics only. Off unless set.')),
  ticket: block({
    ttlSeconds: whole('How long a ticket is good. 0: it ends with the token that it was got with.', { default: 0, minimum: 0, maximum: 4_294_967_295, unit: 's' }),
  }, 'Short credentials for reconnects.'),
}, 'Who may sign in.')

/** One ACL rule for ordinary topics. */
const rule = block({
  allow: Type.Optional(list(choice(['publish', 'subscribe'], ''), 'What the rule allows.')),
  deny: Type.Optional(list(choice(['publish', 'subscribe'], ''), 'What the rule denies; a rule has `allow` or `deny`.')),
  topic: text('Topic filter; `%u` is the user, `%d` the device.'),
  users: Type.Optional(list(text('User id, or `*`.'), 'Whom it concerns; left out or `*`: everybody, the anonymous user too.')),
}, 'A rule.')

/** The rules for ordinary topics: the first that matches decides, no match denies. */
export const aclSchema = list(rule, 'Rules for ordinary topics: the first that matches wins; no match: denied. `$SYS` is for admins only.', { default: [] })
