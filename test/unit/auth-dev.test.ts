import type { Verdict } from '../../broker/domain/identity.js'
import type { Hooks, Host } from '../../broker/plugin.js'
import { authDev } from '../../plugins/auth-dev/index.js'

const hooks = authDev.setup({} as Host, {}) as Hooks
const ask = async (user?: string, password?: string): Promise<Verdict> =>
  await hooks.authenticate!({ user, password: password === undefined ? undefined : Buffer.from(password), address: '127.0.0.1', listener: 'mqtt:1883' })
const refused = (why: RegExp): unknown => ({ kind: 'refused', reason: 'credential', why: expect.stringMatching(why) })

test('the user name alone signs in, whatever the password is, and never as admin', async () => {
  const accepted = { kind: 'accepted', identity: { user: 'auth0|anna', admin: false, expiresMs: 0 } }
  expect(await ask('auth0|anna')).toEqual(accepted)
  expect(await ask('auth0|anna', 'anything')).toEqual(accepted)
})

test('no user name, or one outside the grammar, is refused and says which character', async () => {
  expect(await ask()).toEqual(refused(/no user name/))
  expect(await ask('')).toEqual(refused(/no user name/))
  expect(await ask('anna/#')).toEqual(refused(/holds "\/"/))
  expect(await ask('änna')).toEqual(refused(/holds "ä"/))
  expect(await ask('a👍')).toEqual(refused(/holds "👍"/))
  expect(await ask('x'.repeat(129))).toEqual(refused(/129 characters; at most 128/))
})
