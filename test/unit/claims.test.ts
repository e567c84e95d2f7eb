import fc from 'fast-check'
import { isAdmin, looksLikeJwt, readAcl, readTimeMs, readUser } from '../../broker/domain/claims.js'

describe('rules for ordinary topics', () => {
  test.each([
    [[]],
    [[{ allow: ['publish'], topic: 'a/%u/#' }]],
    [[{ deny: ['publish', 'subscribe'], topic: 'a', users: ['*', 'anna'] }, { allow: [], topic: '#' }]]
  ])('%j are taken as they are', rules => { expect(readAcl(rules)).toEqual(rules) })

  test.each<[unknown, RegExp]>([
    [{}, /acl is no list/], ['#', /no list/], [null, /no list/],
    [[null], /\[0\] is no rule/], [['#'], /\[0\] is no rule/], [[[]], /\[0\] is no rule/],
    [[{ topic: 'a' }], /\[0\] needs either allow or deny/],
    [[{ allow: ['publish'], deny: ['publish'], topic: 'a' }], /either allow or deny/],
    [[{ allow: ['publish'], topic: 'a' }, { allow: 'publish', topic: 'a' }], /\[1\] allow is no list/],
    [[{ deny: ['read'], topic: 'a' }], /deny is no list/],
    [[{ allow: ['publish'] }], /topic/], [[{ allow: ['publish'], topic: 'a/#/b' }], /topic/], [[{ allow: ['publish'], topic: '' }], /topic/], [[{ allow: ['publish'], topic: 'x'.repeat(1025) }], /topic/],
    [[{ allow: ['publish'], topic: 'a', users: 'anna' }], /users/], [[{ allow: ['publish'], topic: 'a', users: ['a/b'] }], /users/],
    [[{ allow: ['publish'], topic: 'a', Users: [] }], /holds "Users"/], [JSON.parse('[{"allow":[],"topic":"a","__proto__":{}}]'), /__proto__/],
    [Array.from({ length: 101 }, () => ({ allow: ['publish'], topic: 'a' })), /101 rules/]
  ])('%j are refused, and said why', (rules, why) => { expect(readAcl(rules)).toMatch(why) })

  test('nothing makes it throw', () => {
    fc.assert(fc.property(fc.anything(), v => { expect(['string', 'object']).toContain(typeof readAcl(v)) }))
    fc.assert(fc.property(fc.array(fc.record({ allow: fc.anything(), deny: fc.anything(), topic: fc.anything(), users: fc.anything() }, { requiredKeys: [] })), v => { readAcl(v) }))
  })
})

test('times are seconds, whatever is given', () => {
  expect([readTimeMs(1.9999, 'exp'), readTimeMs(-5, 'exp'), readTimeMs(253_402_300_799, 'exp')]).toEqual([1999, -5000, 253_402_300_799_000])
  for (const v of [1e300, Infinity, 1_750_000_000_000]) expect(readTimeMs(v, 'exp')).toMatch(/milliseconds/)
  for (const v of ['1', null, undefined, {}]) expect(readTimeMs(v, 'exp')).toMatch(/no number/)
})

test('users and scopes', () => {
  expect(readUser('anna', 'sub')).toEqual({ user: 'anna' })
  expect([readUser('a b', 'sub'), readUser('', 'sub'), readUser(undefined, 'sub'), readUser(7, 'sub')]).toEqual([expect.stringMatching(/" "/), expect.stringMatching(/0 characters/), expect.stringMatching(/missing/), expect.stringMatching(/no string/)])
  expect(['admin', 'chat admin', ['admin'], 'administrator', undefined, { admin: 1 }].map(isAdmin)).toEqual([true, true, true, false, false, false])
})

test('what looks like a JWT', () => {
  expect(['eyJhbGciOiJub25lIn0.eyJz.c2ln', 'e30..', 'eyAiYSI6MX0.x.y'].every(s => looksLikeJwt(Buffer.from(s)))).toBe(true)
  expect(['', 'hunter2', 'eve', 'a.b.c', 'e.x', 'e30.x', 'e30.x.y.z', 'elephants.never.forget', 'e.x.y', 'e x.y.z', 'ë.x.y'].some(s => looksLikeJwt(Buffer.from(s)))).toBe(false)
})
