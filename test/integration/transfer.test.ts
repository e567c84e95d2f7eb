import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SessionId } from '../../broker/domain/ids.js'
import type { TransferStore } from '../../broker/ports/transfer.js'
import { openLmdb, openLmdbTransfer } from '../../broker/stores/lmdb/open.js'
import { openMongo, openMongoTransfer } from '../../broker/stores/mongo/open.js'
import { compareLogs } from '../../broker/transfer/compare.js'
import { exportTo } from '../../broker/transfer/export.js'
import { importFrom } from '../../broker/transfer/import.js'
import { direct, draft, group, inGroup, user } from '../contract/opened.js'
import { fill, PAGES } from '../contract/transfer-data.js'
import { newDatabase, someNode } from '../servers/shared.js'
import { recordingLogger } from '../support/recording-logger.js'

const log = recordingLogger()
let root: string
beforeEach(() => { root = mkdtempSync(join(tmpdir(), 'parley-transfer-')) })
afterEach(() => { rmSync(root, { recursive: true }) })

const at = (name: string): string => join(root, name)
const quiet = (): void => {}
const lmdb = async (name: string): Promise<TransferStore> => await openLmdbTransfer(at(name), { log, make: true })
async function using<T> (opening: Promise<TransferStore>, what: (s: TransferStore) => Promise<T>): Promise<T> {
  const store = await opening
  try { return await what(store) } finally { await store.close() }
}
const exported = async (store: string, dir: string) => await using(lmdb(store), async s => await exportTo(at(dir), s, quiet))
const imported = async (dir: string, store: string, step: Parameters<typeof importFrom>[2] = quiet) => await using(lmdb(store), async s => await importFrom(at(dir), s, step))
const contents = (dir: string): Record<string, string> => Object.fromEntries(readdirSync(at(dir)).sort().map(f => [f, readFileSync(join(at(dir), f), 'latin1')]))

/** A store with some entries of two conversations and a group. */
async function small (name: string, body = 'hello'): Promise<void> {
  const stores = await openLmdb(at(name), { log })
  for (const conv of [direct('alice', 'bob'), direct('alice', 'carol'), inGroup('team')]) {
    for (let i = 1; i <= 3; i++) {
      await stores.log.append(draft(conv, {
        cid: `c${i}`, hash: i, fields: Buffer.from(`"body":"${body}"`),
        ...(conv === inGroup('team') && i === 1 ? { effects: { group: { group: group('team'), kind: 'private', title: 'T', avatar: '', custom: null, historyVisible: true, createdMs: 1, deleted: false }, members: [{ user: user('bob'), role: 'member' }] } } : {})
      }))
    }
  }
  await stores.close()
}

/** Changes a file, and makes the manifest say that it belongs so. */
function forge (dir: string, file: string, change: (text: string) => string): void {
  const text = change(readFileSync(join(at(dir), file), 'utf8'))
  writeFileSync(join(at(dir), file), text)
  const manifest = JSON.parse(readFileSync(join(at(dir), 'manifest.json'), 'utf8')) as { files: Record<string, object> }
  manifest.files[file.replace('.jsonl', '')] = { records: text.split('\n').length - 1, sha256: createHash('sha256').update(text).digest('hex') }
  writeFileSync(join(at(dir), 'manifest.json'), JSON.stringify(manifest))
}

describe('a round trip', () => {
  test('from LMDB through MongoDB and back: the exports are equal byte for byte, ordinary topics aside', async () => {
    const stores = await openLmdb(at('first'), { log })
    await fill(stores)
    const { epoch } = stores
    await stores.close()
    const { url, drop } = await newDatabase()
    const mongo = async (writes: boolean): Promise<TransferStore> => await openMongoTransfer(url, { log, writes })
    try {
      const counts = await exported('first', 'a')
      expect(counts.log).toBeGreaterThan(2 * PAGES)
      expect((await using(mongo(true), async s => await importFrom(at('a'), s, quiet))).counts).toEqual(counts)
      await using(mongo(false), async s => await exportTo(at('b'), s, quiet))
      await imported('b', 'second')
      await exported('second', 'c')
      expect(contents('b')).toEqual(contents('a'))
      expect(contents('c')).toEqual(contents('a'))
      expect((await using(lmdb('second'), async s => await s.state())).epoch).toBe(epoch)
      // again, into what is there: nothing changes
      await using(mongo(true), async s => await importFrom(at('a'), s, quiet))
      await using(mongo(false), async s => await exportTo(at('d'), s, quiet))
      expect(contents('d')).toEqual(contents('a'))
    } finally { await drop() }
  })

  test('of ordinary topics: retained messages, wills, sessions with all that waits for them; again, nothing waits twice', async () => {
    const id = (s: string): SessionId => s as SessionId
    const message = (topic: string, over: object = {}) => ({ topic, payload: Buffer.from([0, 255]), qos: 1 as const, retain: true, from: id('alice/phone'), properties: Buffer.from([1]), expiresMs: 5, ...over })
    const stores = await openLmdb(at('first'), { log })
    const waiting = Array.from({ length: 250 }, (_, i) => ({ kind: 'enqueue' as const, message: message(`t/${i}`), to: [{ session: id('bob/x'), order: 2 * i + 1, qos: 2 as const, retain: false, ids: [7] }, { session: id('carol/x'), order: i + 1, qos: 1 as const, retain: true, ids: [] }] }))
    await stores.topics.commit([
      ...['bob/x', 'carol/x', '__proto__/x'].map(s => ({ kind: 'session' as const, session: id(s), endsMs: 9, expirySeconds: 8 })),
      ...['z', 'a/#', '__proto__'].map(filter => ({ kind: 'subscribe' as const, session: id('bob/x'), subscription: { filter, qos: 2 as const, noLocal: true, keepRetain: false, id: 3 } })),
      ...waiting, { kind: 'release', session: id('bob/x'), order: 3 }, { kind: 'received', session: id('bob/x'), packetId: 5 },
      ...['b', 'a', '__proto__'].map(topic => ({ kind: 'retain' as const, message: message(topic), version: 1 })),
      { kind: 'will', will: { session: id('carol/x'), message: message('w'), messageExpirySeconds: 1, delaySeconds: 2, expirySeconds: 3 } }
    ])
    await stores.close()
    expect(await exported('first', 'a')).toMatchObject({ topics: 3 + 500 + 3 + 1 })
    expect((await imported('a', 'second')).notes).toEqual([])
    await exported('second', 'b')
    expect(contents('b')).toEqual(contents('a'))
    expect((await imported('a', 'second')).notes).toEqual([expect.stringContaining('left as they are: ordinary topics')])
    // cut off in the middle of them, it goes on
    let n = 0
    await expect(imported('a', 'third', what => { if (what === 'topics' && ++n === 2) throw new Error('cut off') })).rejects.toThrow('cut off')
    expect((await imported('a', 'third')).notes).toEqual([])
    await exported('third', 'c')
    expect(contents('c')).toEqual(contents('a'))
    const { url, drop } = await newDatabase()
    try {
      const { notes } = await using(openMongoTransfer(url, { log, writes: true }), async s => await importFrom(at('a'), s, quiet))
      expect(notes).toEqual([expect.stringContaining('left out: 507 records of ordinary topics')])
    } finally { await drop() }
  })
})

describe('an import', () => {
  test('that was cut off at any step leaves a store that opens for no node, and is ended by running it again', async () => {
    await small('first')
    await exported('first', 'a')
    let steps = 0
    await imported('a', 'whole', () => { steps++ })
    for (let cut = 1; cut <= steps; cut++) {
      let n = 0
      const name = `cut-${cut}`
      await expect(imported('a', name, () => { if (++n === cut) throw new Error('cut off') })).rejects.toThrow('cut off')
      if ((await using(lmdb(name), async s => await s.state())).importing !== undefined) await expect(openLmdb(at(name), { log })).rejects.toThrow('part of an import only')
      await imported('a', name)
      await exported(name, `of-${cut}`)
      expect(contents(`of-${cut}`)).toEqual(contents('a'))
    }
    expect(steps).toBeGreaterThan(8)
  })

  test('into a store with another entry in the place of one is refused, by its conversation and seq', async () => {
    await small('first')
    await small('other', 'something else')
    await exported('first', 'a')
    await expect(imported('a', 'other')).rejects.toThrow('conversation d/alice/bob, seq 1: another entry stands there already')
    await small('third', 'a third')
    await exported('third', 'b')
    await expect(imported('b', 'other')).rejects.toThrow('the import of another export was cut off in this store')
    await expect(using(lmdb('other'), async s => await exportTo(at('c'), s, quiet))).rejects.toThrow('part of an import only')
  })

  test('into a store that went on since leaves what it has: entries, members, its epoch', async () => {
    await small('first')
    await exported('first', 'a')
    await imported('a', 'second')
    const stores = await openLmdb(at('second'), { log })
    await stores.log.append(draft(inGroup('team'), { effects: { members: [{ user: user('bob'), role: null }, { user: user('eve'), role: 'owner' }] } }))
    await stores.log.append(draft(direct('alice', 'bob')))
    await stores.close()
    await imported('a', 'second')
    const later = await openLmdb(at('second'), { log })
    expect((await later.log.heads([inGroup('team'), direct('alice', 'bob')])).map(h => h.seq)).toEqual([4, 4])
    expect((await later.directory.members(group('team'), { limit: 9 })).map(m => m.user)).toEqual(['eve'])
    await later.close()
  })

  test('adds to a store with other conversations, which keeps its epoch', async () => {
    await small('first')
    await exported('first', 'a')
    const stores = await openLmdb(at('second'), { log })
    await stores.log.append(draft(direct('x', 'y')))
    await stores.close()
    await imported('a', 'second')
    const later = await openLmdb(at('second'), { log })
    expect(later.epoch).toBe(stores.epoch)
    expect((await later.log.heads([direct('x', 'y'), direct('alice', 'bob')])).map(h => h.seq)).toEqual([1, 3])
    await later.close()
  })

  test('into MongoDB waits for no node to be there, and keeps nodes away', async () => {
    const { url, drop } = await newDatabase()
    const node = await openMongo(url, { log, hasBus: true, node: someNode() })
    await expect(openMongoTransfer(url, { log, writes: true })).rejects.toThrow('import while none does')
    await using(openMongoTransfer(url, { log, writes: false }), async s => await exportTo(at('beside'), s, quiet))
    await node.close()
    const importing = await openMongoTransfer(url, { log, writes: true })
    await expect(openMongo(url, { log, hasBus: true, node: someNode() })).rejects.toThrow('`parley import` writes to this MongoDB database')
    await importing.close()
    await drop()
  })
})

describe('files that are not what export wrote', () => {
  beforeEach(async () => {
    await small('first')
    await exported('first', 'a')
  })
  const nothingStored = async (): Promise<void> => {
    await exported('target', 'of-target')
    expect(readFileSync(join(at('of-target'), 'log.jsonl'), 'utf8')).toBe('')
  }

  test('cut off, longer, changed or missing: refused before anything is stored', async () => {
    const path = join(at('a'), 'log.jsonl')
    const good = readFileSync(path)
    for (const [spoil, says] of [
      [() => { truncateSync(path, good.length - 3) }, 'it holds 8 records, the manifest says 9'],
      [() => { appendFileSync(path, 'x') }, 'its checksum is not the manifest'],
      [() => { writeFileSync(path, good.toString().replace('hello', 'hullo')) }, 'its checksum is not the manifest'],
      [() => { rmSync(path) }, 'ENOENT']
    ] as const) {
      spoil()
      await expect(imported('a', 'target')).rejects.toThrow(says)
      writeFileSync(path, good)
    }
    await nothingStored()
  })

  test('a manifest that is missing, broken, strange or of a newer version', async () => {
    const path = join(at('a'), 'manifest.json')
    const good = readFileSync(path, 'utf8')
    for (const [text, says] of [
      ['', 'is not the manifest'], ['[]', 'is not the manifest'], ['{"__proto__":{"format":"parley-export"}}', 'is not the manifest'], [good.slice(0, -9), 'is not the manifest'],
      [good.replace('"version": 1', '"version": 2'), 'newer version of Parley (files of version 2; this one reads 1)'], [good.replace('"version": 1', '"version": "1"'), 'is damaged'],
      [good.replace('"log"', '"__proto__"'), 'is damaged'], [good.replace(/"records": 9/, '"records": -9'), 'is damaged']
    ] as const) {
      writeFileSync(path, text)
      await expect(imported('a', 'target')).rejects.toThrow(says)
    }
    rmSync(path)
    await expect(imported('a', 'target')).rejects.toThrow('holds no whole export')
  })

  test.each<[string, string, (text: string) => string, string]>([
    ['no JSON', 'log', t => t.replace('{', '{{'), 'log.jsonl, line 1: is no JSON'],
    ['no object', 'users', () => 'null\n', 'users.jsonl, line 1: is no JSON object'],
    ['a field nobody knows', 'log', t => t.replace('{', '{"more":1,'), 'line 1: is not as `parley export` writes it'],
    ['a name of the prototype\'s', 'log', t => t.replace('{', '{"__proto__":{"exp":1},'), 'line 1: is not as'],
    ['a conversation with a path in it', 'log', t => t.replace('d/alice/bob', 'd/alice/../bob'), 'line 1: conv is no conversation'],
    ['users that are not sorted', 'log', t => t.replace('d/alice/bob', 'd/bob/alice'), 'line 1: conv is no conversation'],
    ['a seq that is no number', 'log', t => t.replace('"seq":2', '"seq":"2"'), 'line 2: seq is no whole number'],
    ['a seq beyond all', 'log', t => t.replace('"seq":2', '"seq":1e300'), 'line 2: seq is no whole number'],
    ['a gap', 'log', t => t.replace('"seq":2', '"seq":3'), 'conversation d/alice/bob, seq 3 does not follow'],
    ['another order', 'log', t => t.split('\n').reverse().join('\n').trim() + '\n', 'does not follow'],
    ['a cid twice', 'log', t => t.replace('"cid":"c2"', '"cid":"c1"'), 'conversation d/alice/bob, seq 2: another entry of alice has its cid'],
    ['a text that is too long', 'log', t => t.replace('"type":"text"', `"type":"${'x'.repeat(300)}"`), 'a type has at most 255 bytes'],
    ['a role that there is not', 'members', t => t.replace('"member"', '"king"'), 'role is no owner, admin, member'],
    ['a device of control characters', 'removals', () => '{"user":"a","device":"\\u0000","ms":1}\n', 'device is no device id'],
    ['a line without an end', 'users', () => '{"user":"a"}', 'its last line was cut off'],
    ['a topic of an unknown kind', 'topics', () => '{"kind":"__proto__"}\n', 'topics.jsonl, lines 1 to 1: kind is no']
  ])('%s, with a checksum that fits: refused by its place', async (_name, file, change, says) => {
    forge('a', `${file}.jsonl`, change)
    await expect(imported('a', 'target')).rejects.toThrow(says)
    await expect(openLmdb(at('target'), { log })).rejects.toThrow('part of an import only')
  })
})

describe('an export', () => {
  test('that was cut off has no manifest, and is made whole by running it again; into anything else it does not write', async () => {
    await small('first')
    await expect(using(lmdb('first'), async s => await exportTo(at('a'), s, what => { if (what === 'log') throw new Error('cut off') }))).rejects.toThrow('cut off')
    await expect(imported('a', 'second')).rejects.toThrow('holds no whole export')
    await exported('first', 'a')
    await exported('first', 'b')
    expect(contents('a')).toEqual(contents('b'))
    await expect(exported('first', 'a')).rejects.toThrow('holds a whole export already')
    mkdirSync(at('full'))
    writeFileSync(join(at('full'), 'thesis.doc'), '')
    await expect(exported('first', 'full')).rejects.toThrow('"thesis.doc" is in it')
  })
})

test('the comparison finds every difference of a conversation, and which ones went on', async () => {
  const { nowMs, dup: _dup, ...d } = draft(direct('alice', 'bob'))
  const entry = (seq: number, over: object = {}) => ({ ...d, seq, ts: nowMs, counts: [seq, 0] as const, ...over })
  const other = entry(1, { conv: direct('a', 'b') })
  async function * some (...entries: ReturnType<typeof entry>[]) { for (const e of entries) yield [e] }
  const compared = async (there: ReturnType<typeof entry>[]) => [...await compareLogs(some(entry(1), entry(2)), some(...there), quiet)]
  expect(await compared([entry(1), entry(2)])).toEqual([])
  expect(await compared([other, entry(1), entry(2), entry(3), entry(1, { conv: inGroup('z') })])).toEqual(['d/alice/bob'])
  for (const there of [[], [other], [entry(1)], [entry(2)], [entry(1), entry(3)]]) await expect(compared(there)).rejects.toThrow('conversation d/alice/bob: the store holds')
  await expect(compared([entry(1), entry(2, { push: Buffer.from('{}') })])).rejects.toThrow('conversation d/alice/bob: its entries in the store differ')
})
