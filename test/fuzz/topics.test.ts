import fc from 'fast-check'
import { isGroupId, isUserId, type UserId } from '../../broker/domain/ids.js'
import { BRANCHES, inboxFilter, isFilter, isOurs, parseFilter, parsePublish } from '../../broker/domain/topics.js'

const ME = 'bob' as UserId
const level = fc.oneof(fc.constantFrom('u', 'g', 'me', 'rpc', 'state', 'presence', 'p', 'parley', 'bob', 'alice', 'msg', 'raw', 'sig', 'rcpt', 'ack', '+', '#', '', '$share', '__proto__', '..'), fc.constantFrom(...BRANCHES), fc.string({ unit: 'binary', maxLength: 5 }))
const topic = fc.oneof(fc.array(level, { maxLength: 6 }).map(l => l.join('/')), fc.string({ unit: 'binary', maxLength: 40 }))

/** The grammar of the contract, said a second time and slowly. */
function grammar (t: string): object | null {
  const [first, id, kind, ...rest] = t.split('/')
  if (t === 'state') return { kind: 'state' }
  if (first === 'rpc') return kind === undefined && /^[a-z]+(\.[a-z]+)?$/.test(id ?? '') ? { kind: 'rpc', method: id } : null
  if (first !== 'u' && first !== 'g') return null
  if (first === 'u' ? !isUserId(id ?? '') : !isGroupId(id ?? '')) return null
  const to = first === 'u' ? { user: id } : { group: id }
  if ((kind === 'msg' || kind === 'raw') && rest.length === 0) return { kind, to }
  if ((kind === 'msg' || kind === 'raw') && rest.length === 1 && /^[\x20-\x7e]+$/.test(rest[0]!) && !/[+#]/.test(rest[0]!)) return { kind, to, cid: rest[0] }
  return (kind === 'sig' || kind === 'rcpt') && rest.length === 0 ? { kind, to } : null
}

test('parsePublish takes the grammar of the contract and nothing else', () => {
  fc.assert(fc.property(topic, t => { expect(parsePublish(t)).toEqual(grammar(t)) }), { numRuns: 20_000 })
})

test('what is published to is ours', () => {
  fc.assert(fc.property(topic, t => { if (parsePublish(t) !== null) expect(isOurs(t)).toBe(true) }), { numRuns: 5000 })
})

/** What a filter matches [MQTT-4.7]. */
function matches (filter: string, name: string): boolean {
  const f = filter.split('/')
  const n = name.split('/')
  for (let i = 0; i < f.length; i++) {
    if (f[i] === '#') return true
    if (i >= n.length || (f[i] !== '+' && f[i] !== n[i])) return false
  }
  return f.length === n.length
}

test('a filter that is granted matches no topic of another user, whatever it looks like', () => {
  fc.assert(fc.property(topic, filter => {
    const granted = inboxFilter(filter, ME)
    if (granted === null) return
    expect(isFilter(filter)).toBe(true)
    for (const branch of BRANCHES) for (const other of ['alice', 'bo', 'bobb', 'BOB']) expect(matches(filter, `u/${other}/${branch}`)).toBe(false)
    const own = BRANCHES.filter(b => matches(filter, `${granted.spelling === 'short' ? 'me' : 'u/bob'}/${b}`))
    expect(own).toEqual(granted.branch === null ? [...BRANCHES] : [granted.branch])
  }), { numRuns: 20_000 })
})

test('a filter whose first level is ours, or a share of one, is never an ordinary one', () => {
  fc.assert(fc.property(topic, fc.constantFrom('', '$share/x/'), (filter, share) => {
    if (isOurs(filter)) expect(parseFilter(share + filter, ME)).not.toBe('ordinary')
  }), { numRuns: 10_000 })
})

test('isFilter says what the standard says of wildcards', () => {
  fc.assert(fc.property(topic, filter => {
    const levels = filter.split('/')
    const good = filter !== '' && levels.every((l, i) => (!/[+#]/.test(l) || l.length === 1) && (l !== '#' || i === levels.length - 1))
    expect(isFilter(filter)).toBe(good)
  }), { numRuns: 10_000 })
})
