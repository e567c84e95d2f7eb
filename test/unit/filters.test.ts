import fc from 'fast-check'
import { FilterTrie } from '../../broker/core/topics/filter-trie.js'
import { TopicIndex } from '../../broker/core/topics/topic-index.js'
import { covers, fewLevels, isTopicName, matches, shareOf } from '../../broker/domain/filters.js'

test.each([
  ['a/b', 'a/b', true], ['a/b', 'a', false], ['a', 'a/b', false], ['#', 'a', true], ['#', 'a/b/c', true], ['#', '/', true],
  ['a/#', 'a', true], ['a/#', 'a/', true], ['a/#', 'ab', false], ['+', 'a', true], ['+', 'a/b', false], ['+', '/a', false], ['/+', '/a', true],
  ['a/+/c', 'a//c', true], ['a/+', 'a', false], ['a/+', 'a/', true], ['+/+', '/a', true], ['#', '$SYS/a', false], ['+/a', '$SYS/a', false], ['$SYS/#', '$SYS/a', true],
  ['$SYS/+', '$SYS/a', true], ['A', 'a', false], ['a/#', '/a', false]
])('%s matches %s: %s [MQTT-4.7]', (filter, topic, expected) => {
  expect(matches(filter.split('/'), topic.split('/'))).toBe(expected)
})

test('shared subscriptions: a name, then a filter', () => {
  expect(shareOf('$share/g/a/#')).toEqual({ group: 'g', filter: 'a/#' })
  expect(shareOf('$share/g//a')).toEqual({ group: 'g', filter: '/a' })
  expect(shareOf('a/$share/g')).toBeNull()
  for (const bad of ['$share/', '$share/g', '$share//a', '$share/g/', '$share/+/a', '$share/a#/b']) expect(shareOf(bad)).toBe('bad')
})

test('topics have no wildcards, and a bounded number of levels', () => {
  expect(['a', '/', ' ', 'a/b'].every(isTopicName)).toBe(true)
  expect(['', 'a+', '#', 'a/#'].some(isTopicName)).toBe(false)
  expect([fewLevels('/'.repeat(99)), fewLevels('/'.repeat(100))]).toEqual([true, false])
})

const level = fc.constantFrom('a', 'b', '', '$SYS', '__proto__', 'constructor', '1')
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map(l => l.join('/')).filter(t => t !== '')
const filter = fc.tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean()).map(([l, rest]) => [...l, ...(rest ? ['#'] : [])].join('/')).filter(f => f !== '')
const naive = (f: string, t: string): boolean => matches(f.split('/'), t.split('/'))

test('the trie finds what the rule says, whatever was added and removed before', () => {
  fc.assert(fc.property(fc.array(fc.tuple(filter, fc.boolean()), { maxLength: 30 }), topic, (steps, t) => {
    const trie = new FilterTrie<string>()
    const held = new Set<string>()
    for (const [f, add] of steps) {
      if (add) { trie.add(f, f); held.add(f) } else { trie.remove(f, f); held.delete(f) }
    }
    const found: string[] = []
    trie.match(t, f => found.push(f))
    expect(found.sort()).toEqual([...held].filter(f => naive(f, t)).sort())
    for (const f of held) trie.remove(f, f)
    expect((trie as unknown as { root: { empty: boolean } }).root.empty).toBe(true) // nothing stays behind
  }))
})

test('the index of topics finds what the rule says', () => {
  fc.assert(fc.property(fc.array(fc.tuple(topic, fc.boolean()), { maxLength: 30 }), filter, (steps, f) => {
    const index = new TopicIndex<number>()
    const held = new Map<string, number>()
    steps.forEach(([t, add], i) => { if (add) { index.set(t, i); held.set(t, i) } else { index.delete(t); held.delete(t) } })
    expect(index.matching(f).sort()).toEqual([...held.keys()].filter(t => naive(f, t)).sort())
    expect(index.size).toBe(held.size)
    for (const [t, i] of held) expect(index.get(t)).toBe(i)
  }))
})

test('a filter that covers another matches all that this one matches', () => {
  fc.assert(fc.property(filter, filter, topic, (wide, narrow, t) => {
    if (covers(wide.split('/'), narrow.split('/')) && naive(narrow, t)) expect(naive(wide, t)).toBe(true)
  }), { numRuns: 5000 })
  for (const [wide, narrow] of [['#', 'a/+'], ['a/#', 'a'], ['a/+', 'a/b'], ['+/#', 'a/#'], ['$SYS/#', '$SYS/a']]) expect(covers(wide!.split('/'), narrow!.split('/'))).toBe(true)
})
