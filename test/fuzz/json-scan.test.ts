import fc from 'fast-check'
import { MAX_DEPTH, type Member, scanObject } from '../../broker/domain/json-scan.js'

const parses = (text: string): boolean => { try { JSON.parse(text); return true } catch { return false } }
const isObject = (text: string): boolean => { try { const v: unknown = JSON.parse(text); return typeof v === 'object' && v !== null && !Array.isArray(v) } catch { return false } }
const depth = (v: unknown): number => typeof v === 'object' && v !== null ? 1 + Math.max(0, ...Object.values(v).map(depth)) : 0
const scan = (text: string): Member[] | string => scanObject(Buffer.from(text))

/** Whitespace wherever JSON allows it, and numbers and escapes as no stringifier writes them. */
const space = fc.array(fc.constantFrom(' ', '\n', '\t', '\r'), { maxLength: 2 }).map(a => a.join(''))
const number = fc.constantFrom('0', '-0', '1e400', '-1E-400', '1.0', '0.10', '12345678901234567890', '1e+2')
const string = fc.string({ unit: 'binary' }).map(s => JSON.stringify(s)).chain(s => fc.constantFrom(s, s.replace(/[a-z]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)))
const { value: anyJson } = fc.letrec<{ value: string, array: string, object: string }>(tie => ({
  value: fc.oneof({ depthSize: 'small' }, number, string, fc.constantFrom('true', 'false', 'null'), tie('array'), tie('object')),
  array: fc.tuple(space, fc.array(fc.tuple(space, tie('value'), space).map(p => p.join('')), { maxLength: 4 })).map(([s, items]) => `[${items.length === 0 ? s : items.join(',')}]`),
  object: fc.tuple(space, fc.array(fc.tuple(space, string, space, fc.constant(':'), space, tie('value'), space).map(p => p.join('')), { maxLength: 4 })).map(([s, items]) => `{${items.length === 0 ? s : items.join(',')}}`)
}))
/** JSON with a few characters changed, left out or put in: near misses, where parsers differ. */
const nearly = fc.tuple(anyJson, fc.array(fc.tuple(fc.nat(), fc.constantFrom('', ',', ':', '"', '{', '}', '[', ']', '\\', '0', '-', '.', 'e', ' ', '\n', '\u0001', 'é', 'u', '\u2028')), { maxLength: 3 }), fc.boolean())
  .map(([text, edits, insert]) => edits.reduce((t, [at, c]) => { const i = at % (t.length + 1); return t.slice(0, i) + c + t.slice(insert ? i : i + 1) }, text))

test('it takes exactly the objects that JSON.parse takes, of at most 64 levels', () => {
  fc.assert(fc.property(fc.oneof(anyJson, nearly, fc.string({ unit: 'binary' }), fc.json()), text => {
    const wellFormed = Buffer.from(text).toString() // a lone surrogate has no UTF-8
    const expected = isObject(wellFormed) && depth(JSON.parse(wellFormed)) <= MAX_DEPTH
    expect(typeof scan(wellFormed) !== 'string').toBe(expected)
  }), { numRuns: 20_000 })
})

test('each member is where it says, and is what JSON.parse makes of it', () => {
  fc.assert(fc.property(fc.oneof(anyJson, nearly), made => {
    const bytes = Buffer.from(made)
    const text = bytes.toString()
    const members = scanObject(bytes)
    if (typeof members === 'string') return
    const whole = JSON.parse(text) as Record<string, unknown>
    for (const m of members) expect(parses(bytes.toString('utf8', m.start, m.end))).toBe(true)
    // of repeated names the last one counts in JSON.parse
    const rebuilt = new Map(members.map(m => [m.name, JSON.parse(bytes.toString('utf8', m.start, m.end)) as unknown]))
    expect([...rebuilt.keys()].sort()).toEqual(Object.keys(whole).sort())
    for (const [name, v] of rebuilt) expect(v).toEqual(Object.getOwnPropertyDescriptor(whole, name)!.value)
  }), { numRuns: 10_000 })
})

test('any bytes: an answer, never a throw, and quickly', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), bytes => { scanObject(Buffer.from(bytes)) }), { numRuns: 5000 })
  for (const text of ['['.repeat(1e6), '{"a":'.repeat(2e5), `{"a":"${'\\'.repeat(1e6)}`, `{"a":${'-'.repeat(1e6)}`, `{"a":${'1'.repeat(1e6)}}`, `{${' '.repeat(1e6)}`, `{"a":1${',"a":1'.repeat(1e5)}`]) scan(text)
})

test('nesting is counted to the level', () => {
  const nested = (levels: number): string => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
  expect(typeof scan(nested(MAX_DEPTH))).not.toBe('string')
  expect(scan(nested(MAX_DEPTH + 1))).toMatch('levels')
  expect(scan(nested(20_000))).toMatch('levels')
})
