import { Type, type TObject, type TProperties } from '@sinclair/typebox'
import { block, text, whole } from './field.js'

const common = {
  baseUrl: Type.Optional(text('The service\'s base URL, when it is not its own (tests, proxies).', { secret: 'url' })),
  ca: Type.Optional(text('Certificate authority to trust for it.', { path: true })),
}

// Open: each provider's adapter declares its credentials when it is built. Until then the block is refused as a whole (not-yet.ts).
const provider = <T extends TProperties>(name: string, more: T = {} as T) =>
  Type.Optional(block({ ...common, ...more }, name, { open: true }) as TObject<typeof common & T>)

/** Push notifications for whoever is not reading; one block per provider, absent means off. */
export const pushSchema = block({
  suspectAfterMs: whole('An entry un-acknowledged this long makes the device suspect: what it has not acknowledged is pushed.', { default: 20_000, minimum: 1, maximum: 86_400_000, unit: 'ms' }),
  fcm: provider('Firebase Cloud Messaging.'),
  apns: provider('Apple Push Notification service.'),
  webpush: provider('Web Push (VAPID).'),
  unifiedpush: provider('UnifiedPush.'),
  baidu: provider('Baidu cloud push.'),
  baiduSpp: provider('Baidu SPP.'),
  huawei: provider('Huawei Push Kit.'),
  honor: provider('Honor Push.'),
  xiaomi: provider('Xiaomi Mi Push.'),
  oppo: provider('OPPO Push.'),
  vivo: provider('vivo Push.'),
  getui: provider('Getui.'),
  jpush: provider('JPush (Aurora).'),
  webhook: provider('Your own backend, {url, secret}: POST {user, device, token, conv, seq, badge, kind, …}.', {
    url: text('Where to post.', { secret: 'url', pattern: '^https?://', shape: 'a URL that begins with https:// or http://' }),
    secret: text('Key of the HMAC-SHA256 of the body, sent as X-Parley-Signature.', { secret: true }),
  }),
}, 'Push notifications: one block per provider, absent means off. Every provider also takes `baseUrl` and `ca`.')
