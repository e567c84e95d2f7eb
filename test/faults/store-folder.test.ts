import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { draft, inGroup } from '../contract/opened.js'
import { Refused, StoreProcess } from './store-process.js'

const CONV = inGroup('kept')
let base: string
let dir: string
let file: string
let lock: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'parley-folder-'))
  dir = join(base, 'data')
  file = join(dir, 'store.mdb')
  lock = join(dir, 'parley.lock')
})
afterEach(async () => {
  await StoreProcess.killAll()
  rmSync(base, { recursive: true })
})

/** How the start of a store ends that must not start: by itself, with a sentence. */
async function refusal (prefix?: string[]): Promise<Refused> {
  const e: unknown = await StoreProcess.start(dir, prefix).then(() => new Error('it started'), (e: unknown) => e)
  if (!(e instanceof Refused)) throw e
  expect([e.exitCode, e.signal]).toEqual([1, null])
  return e
}

async function append (store: StoreProcess, n: number, bytes = 100): Promise<void> {
  const results = await Promise.all(Array.from({ length: n }, async () => await store.append(draft(CONV, { fields: Buffer.alloc(bytes, 'x') }))))
  expect(results.every(r => r.kind === 'stored')).toBe(true)
}
const head = async (store: StoreProcess): Promise<number> => (await store.call('log', 'heads', [CONV]))[0]!.seq

describe('the lock', () => {
  test('keeps a second process out, which names the folder and the first one; the first one goes on', async () => {
    const first = await StoreProcess.start(dir)
    const { message } = await refusal()
    expect(message).toContain(`the data folder ${dir} is in use by process ${first.child.pid!} `)
    expect(message).toMatch(/stop it or choose another dataDir$/)
    await append(first, 3)
    await first.close()
    const second = await StoreProcess.start(dir)
    expect(await head(second)).toBe(3)
    await second.close()
    expect(existsSync(lock)).toBe(false)
  })

  test('of a process that was killed does not block, not even when another process has its number now', async () => {
    const first = await StoreProcess.start(dir)
    await append(first, 3)
    await first.kill9()
    const left = JSON.parse(readFileSync(lock, 'utf8')) as { pid: number, began: string }
    expect(left.pid).toBe(first.child.pid)
    const second = await StoreProcess.start(dir)
    expect(await head(second)).toBe(3)
    await second.kill9()
    writeFileSync(lock, JSON.stringify({ ...left, pid: process.pid })) // alive, but not the one that took it
    const third = await StoreProcess.start(dir)
    expect(await head(third)).toBe(3)
    await third.close()
  })

  test('of an owner in another container counts while the store is open there, whatever its number is here', async () => {
    const first = await StoreProcess.start(dir)
    await append(first, 3)
    const held = JSON.parse(readFileSync(lock, 'utf8')) as object
    const elsewhere = JSON.stringify({ ...held, pid: 1, pidNamespace: 'pid:[1]', host: 'other-container' })
    writeFileSync(lock, elsewhere)
    const { message } = await refusal()
    expect(message).toContain('in use by process 1 (parley on other-container')
    expect(readFileSync(lock, 'utf8')).toBe(elsewhere)
    await append(first, 1)
    await first.kill9()
    const second = await StoreProcess.start(dir)
    expect(await head(second)).toBe(4)
    await append(second, 1)
    await second.close()
  })

  test('of many that start at the same moment one gets it', async () => {
    const ends = await Promise.all(Array.from({ length: 6 }, async () => await StoreProcess.start(dir).catch((e: unknown) => e as Refused)))
    const started = ends.filter(e => e instanceof StoreProcess)
    expect(started).toHaveLength(1)
    for (const e of ends) if (e instanceof Refused) expect(e.message).toMatch(/in use by process \d+|is being taken by another process/)
    await started[0]!.close()
  })
})

describe('a damaged file', () => {
  const damages: [string, () => void][] = [
    ['cut in half', () => { truncateSync(file, statSync(file).size / 2) }],
    ['cut to two pages', () => { truncateSync(file, 8192) }],
    ['cut to 100 bytes', () => { truncateSync(file, 100) }],
    ['of zeros', () => { writeFileSync(file, Buffer.alloc(statSync(file).size)) }],
    ['that is something else', () => { writeFileSync(file, 'this is no store\n'.repeat(5000)) }],
    ['whose second page is lost', () => { const b = readFileSync(file); b.fill(0, 4096, 8192); writeFileSync(file, b) }]
  ]

  test.each(damages)('%s is refused with a word on what to do, and left as it is', async (_name, damage) => {
    const store = await StoreProcess.start(dir)
    await append(store, 200)
    await store.close()
    damage()
    const before = readFileSync(file)
    const { message } = await refusal()
    expect(message).toMatch(/ is damaged \(.+\)\. Put a backup in its place; or, to begin with an empty store, move it and its -lock file away$/)
    expect(message).toContain(file)
    expect(readFileSync(file).equals(before)).toBe(true)
    expect(existsSync(lock)).toBe(false)
    rmSync(file)
    rmSync(`${file}-lock`)
    const fresh = await StoreProcess.start(dir)
    expect(await head(fresh)).toBe(0)
    await fresh.close()
  })

  test('that ends before its last page is well when nothing stands there', async () => {
    const store = await StoreProcess.start(dir)
    await append(store, 200)
    await store.close()
    // as after a commit in which LMDB took a page and gave it back: counted, and never written
    const sound = readFileSync(file)
    const lastPages = [144, 4096 + 144]
    const pages = Math.max(...lastPages.map(at => Number(sound.readBigUInt64LE(at)))) + 1
    for (const at of lastPages) sound.writeBigUInt64LE(BigInt(pages), at)
    writeFileSync(file, sound.subarray(0, 4096 * pages))
    const again = await StoreProcess.start(dir)
    expect(await head(again)).toBe(200)
    await append(again, 200)
    await again.close()
  })

  test('cut anywhere is refused, or has everything', async () => {
    const store = await StoreProcess.start(dir)
    for (let i = 0; i < 20; i++) await append(store, 20)
    await store.close()
    const sound = join(base, 'sound.mdb')
    copyFileSync(file, sound)
    const pages = statSync(sound).size / 4096
    const bytes = readFileSync(sound)
    // the root of the database of names, in each of the two metas: zeros in place of the newer one are an empty store
    const roots = [0, 4096].map(at => Number(bytes.readBigUInt64LE(at + 136)))
    for (const left of [pages - 0.5, pages - 1, pages - 2, pages - 3, pages - 5, pages - Math.floor(pages / 3), Math.ceil(pages / 2) - 0.5, ...roots.flatMap(r => [r + 0.1, r + 0.5])]) {
      copyFileSync(sound, file)
      truncateSync(file, Math.floor(left * 4096))
      const end = await StoreProcess.start(dir).catch((e: unknown) => e as Refused)
      if (end instanceof Refused) {
        expect(end.message).toContain('it was cut short')
        continue
      }
      expect((await end.call('log', 'page', CONV, { after: 0, limit: 1000 })).map(e => e.seq)).toEqual(Array.from({ length: 400 }, (_, i) => i + 1))
      await end.close()
    }
  })
})

test('a store of a newer format is refused, and not touched', async () => {
  const store = await StoreProcess.start(dir)
  await append(store, 3)
  await store.close()
  const root = open({ path: file, encoding: 'binary' })
  await root.openDB('meta', { encoding: 'binary', keyEncoding: 'binary' }).put(Buffer.from('format'), Buffer.from('7'))
  await root.close()
  const before = readFileSync(file)
  expect((await refusal()).message).toMatch(new RegExp(`^the store ${file} has format 7, this version of parley knows \\d+: start the newer version that wrote it$`))
  expect(readFileSync(file).equals(before)).toBe(true)
  expect(existsSync(lock)).toBe(false)
})

describe('a folder', () => {
  /** Rights hold back root, too, once it has given up to be above them. */
  const asAnybody = process.getuid!() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : []

  test('that cannot be written is refused by name', async () => {
    mkdirSync(dir)
    chmodSync(dir, 0o555)
    const e = await refusal(asAnybody)
    expect(e.code).toBe('EACCES')
    expect(e.message).toContain(dir)
  })

  test('that cannot be made is refused by name', async () => {
    chmodSync(base, 0o555)
    const e = await refusal(asAnybody)
    expect(e.code).toBe('EACCES')
    expect(e.message).toContain(dir)
    chmodSync(base, 0o755)
  })

  test('with a store that cannot be written is refused by name, and the lock is given back', async () => {
    const store = await StoreProcess.start(dir)
    await store.close()
    chmodSync(file, 0o444)
    const e = await refusal(asAnybody)
    expect(e.code).toBe('EACCES')
    expect(e.message).toContain(file)
    expect(existsSync(lock)).toBe(false)
  })

  test('that is a file is refused by name', async () => {
    writeFileSync(dir, 'no folder')
    expect((await refusal()).message).toContain(dir)
  })

  test('is for its owner alone', async () => {
    const store = await StoreProcess.start(dir)
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    await store.close()
  })
})

describe('a large store', () => {
  test('grows by itself, and opens without being read through', async () => {
    const store = await StoreProcess.start(dir)
    for (let i = 0; i < 12; i++) await append(store, 100, 60_000)
    const epoch = await store.epoch()
    await store.close()
    const kb = statSync(file).size / 1024
    expect(kb).toBeGreaterThan(70_000)
    const again = await StoreProcess.start(dir)
    expect(await again.touchedKb()).toBeLessThan(kb / 10)
    expect(await head(again)).toBe(1200)
    expect(await again.epoch()).toBe(epoch)
    await again.close()
  })
})
