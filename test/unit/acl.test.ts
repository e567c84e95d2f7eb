import { AclBook, type AclRule, TopicAcl } from '../../broker/domain/acl.js'
import type { DeviceId, UserId } from '../../broker/domain/ids.js'

function acl (rules: AclRule[], who: { user?: string, device?: string, admin?: boolean, acl?: AclRule[] } = {}): TopicAcl {
  return new TopicAcl(new AclBook(rules), { user: (who.user ?? 'alice') as UserId, device: (who.device ?? 'phone') as DeviceId, admin: who.admin ?? false, acl: who.acl })
}
const all: AclRule = { allow: ['publish', 'subscribe'], topic: '#' }

test('without a rule nothing is allowed', () => {
  const a = acl([])
  expect([a.mayPublish('a'), a.maySubscribe('a'), a.mayReceive('a'), a.allows('a')]).toEqual([false, false, false, false])
})

test('the first rule that matches decides, of those for the action and the user', () => {
  const a = acl([{ deny: ['publish'], topic: 'news/private/#' }, { allow: ['subscribe'], topic: 'news/#' }, { allow: ['publish'], topic: 'news/+/x', users: ['bob'] }, { allow: ['publish'], topic: 'news/#', users: ['*'] }])
  expect([a.mayPublish('news/private/a'), a.mayPublish('news/private'), a.mayPublish('news/a')]).toEqual([false, false, true])
  expect([a.maySubscribe('news/#'), a.maySubscribe('news/private/+'), a.maySubscribe('#'), a.maySubscribe('+/a')]).toEqual([true, true, false, false])
})

test('a subscription is granted only if one rule covers the whole filter; what an earlier one denies is not delivered', () => {
  const a = acl([{ deny: ['subscribe'], topic: 'a/secret' }, { allow: ['subscribe'], topic: 'a/+' }, { allow: ['subscribe'], topic: 'b/#' }])
  expect([a.maySubscribe('a/+'), a.maySubscribe('a/secret'), a.maySubscribe('a/#'), a.maySubscribe('+/x')]).toEqual([true, false, false, false])
  expect([a.mayReceive('a/x'), a.mayReceive('a/secret'), a.mayReceive('c')]).toEqual([true, false, false])
  expect([a.allows('a/+'), a.allows('b/#')]).toEqual([false, false]) // each message is judged
  expect(acl([{ allow: ['subscribe'], topic: 'b/#' }, { deny: ['subscribe'], topic: '#' }]).allows('b/c')).toBe(true)
})

test('%u and %d are the user and the device; a device id with a wildcard or a slash matches no such rule', () => {
  const rules: AclRule[] = [{ allow: ['publish', 'subscribe'], topic: 'devices/%u/%d/#' }]
  expect(acl(rules).mayPublish('devices/alice/phone/t')).toBe(true)
  expect(acl(rules).mayPublish('devices/bob/phone/t')).toBe(false)
  for (const device of ['#', '+', 'a/b', 'x#']) expect(acl(rules, { device }).mayPublish(`devices/alice/${device}/t`)).toBe(false)
  expect(acl(rules, { device: '%u' }).mayPublish('devices/alice/%u/t')).toBe(true)
  expect(acl(rules, { device: '%u' }).mayPublish('devices/alice/alice/t')).toBe(false)
})

test('a token’s rules come before the file’s', () => {
  const a = acl([all], { acl: [{ deny: ['publish'], topic: 'x' }] })
  expect([a.mayPublish('x'), a.mayPublish('y')]).toEqual([false, true])
  expect(acl([{ deny: ['publish'], topic: '#' }], { acl: [{ allow: ['publish'], topic: 'x' }] }).mayPublish('x')).toBe(true)
})

test('$ is the broker’s: nobody publishes there, $SYS is for admins, and # does not reach it', () => {
  for (const admin of [false, true]) {
    const a = acl([all, { allow: ['publish', 'subscribe'], topic: '$SYS/#' }, { allow: ['publish', 'subscribe'], topic: '$x/#' }], { admin })
    expect([a.mayPublish('$SYS/a'), a.mayPublish('$x/a')]).toEqual([false, false])
    expect([a.maySubscribe('$SYS/#'), a.mayReceive('$SYS/a'), a.maySubscribe('$x/a'), a.maySubscribe('$SYSTEM/#')]).toEqual([admin, admin, false, false])
  }
})

test('a shared subscription is judged as the filter in it', () => {
  const a = acl([{ allow: ['subscribe'], topic: 'a/#' }])
  expect([a.maySubscribe('$share/g/a/b'), a.maySubscribe('$share/g/b'), a.allows('$share/g/a/b')]).toEqual([true, false, true])
})

test('rules that are replaced hold from then on', () => {
  const book = new AclBook([all])
  const a = new TopicAcl(book, { user: 'alice' as UserId, device: 'd' as DeviceId, admin: false })
  expect(a.mayPublish('x')).toBe(true)
  book.replace([])
  expect(a.mayPublish('x')).toBe(false)
})
