import type { Credentials, Verdict } from '../../broker/domain/identity.js'
import type { DeviceId } from '../../broker/domain/ids.js'
import type { Hooks, Host } from '../../broker/plugin.js'
import authAnonymous from '../../plugins/auth-anonymous/index.js'
import authMtls from '../../plugins/auth-mtls/index.js'

const base: Credentials = { address: '192.0.2.1', listener: 'mqtts:8883', device: 'phone' as DeviceId }
const by = (userFrom: 'cn' | 'san' | 'proxy-cn') => (c: Partial<Credentials>): Verdict =>
  (authMtls.setup({} as Host, { userFrom }) as Hooks).authenticate!({ ...base, ...c }) as Verdict
const accepted = (user: string): Verdict => ({ kind: 'accepted', identity: { user: user as never, admin: false, expiresMs: 0 } })
const refused = (why: RegExp): unknown => ({ kind: 'refused', reason: 'forbidden', why: expect.stringMatching(why) })
const certificate = (commonName?: string, ...alternativeNames: string[]): Credentials['certificate'] => ({ commonName, alternativeNames })

describe('mtls', () => {
  test('the common name is the user; a user name has to be the same', () => {
    const ask = by('cn')
    expect(ask({ certificate: certificate('anna', 'bob') })).toEqual(accepted('anna'))
    expect(ask({ certificate: certificate('anna'), user: 'anna', password: Buffer.from('whatever') })).toEqual(accepted('anna'))
    expect(ask({ certificate: certificate('anna'), user: '' })).toEqual(accepted('anna'))
    expect(ask({ certificate: certificate('anna'), user: 'bob' })).toEqual(refused(/certificate of anna, but another user name/))
    expect(ask({ certificate: certificate('anna'), user: 'Anna' })).toEqual(refused(/another user name/))
  })

  test('without a certificate, or with that of the other source, others are asked', () => {
    expect(by('cn')({ user: 'anna', password: Buffer.from('x') })).toEqual({ kind: 'not-mine' })
    expect(by('san')({ proxyCommonName: 'anna' })).toEqual({ kind: 'not-mine' })
    expect(by('proxy-cn')({ certificate: certificate('anna') })).toEqual({ kind: 'not-mine' })
  })

  test('a certificate without a user is refused, and the log learns why', () => {
    expect(by('cn')({ certificate: certificate(undefined, 'anna') })).toEqual(refused(/no name \(cn\)/))
    expect(by('cn')({ certificate: certificate('Anna Smith') })).toEqual(refused(/holds " "/))
    expect(by('cn')({ certificate: certificate('x'.repeat(129)) })).toEqual(refused(/129 characters/))
    expect(by('san')({ certificate: certificate('anna') })).toEqual(refused(/no name \(san\)/))
  })

  test('of several alternative names the user name chooses; without one there must be no doubt', () => {
    const ask = by('san')
    expect(ask({ certificate: certificate('x', 'anna@example.org') })).toEqual(accepted('anna@example.org'))
    expect(ask({ certificate: certificate('x', 'https://example.org/anna', 'anna') })).toEqual(accepted('anna')) // the URL is no user id
    const two = certificate('x', 'anna', 'bob')
    expect(ask({ certificate: two, user: 'bob' })).toEqual(accepted('bob'))
    expect(ask({ certificate: two, user: 'x' })).toEqual(refused(/another user name/))
    expect(ask({ certificate: two })).toEqual(refused(/names 2 users/))
  })

  test('the name that a balancer passes on', () => {
    expect(by('proxy-cn')({ proxyCommonName: 'anna', certificate: certificate('balancer') })).toEqual(accepted('anna'))
    expect(by('proxy-cn')({ proxyCommonName: 'anna', user: 'bob' })).toEqual(refused(/another user name/))
    expect(by('proxy-cn')({ proxyCommonName: '' })).toEqual(refused(/0 characters/))
  })
})

describe('anonymous', () => {
  const ask = (c: Partial<Credentials>): unknown => (authAnonymous.setup({} as Host, { user: 'guest' }) as Hooks).authenticate!({ ...base, ...c })
  const guest = { kind: 'accepted', identity: { user: 'guest', admin: false, expiresMs: 0, anonymous: true } }

  test('only who shows neither user name nor password, and only connections', () => {
    expect([ask({}), ask({ user: '', password: Buffer.alloc(0) })]).toEqual([guest, guest])
    for (const c of [{ user: 'anna' }, { user: 'guest' }, { password: Buffer.from('x') }, { user: '', password: Buffer.from('x') }, { device: undefined }]) expect(ask(c)).toEqual({ kind: 'not-mine' })
  })

  test('the user has to be one', () => { expect(() => authAnonymous.setup({} as Host, { user: 'a b' })).toThrow(/not a user id/) })
})
