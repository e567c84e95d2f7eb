import { readFileSync, readlinkSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'

/** LMDB lets any number of processes write; two brokers would give one seq twice (py-lmdb#114). */
const LOCK_FILE = 'parley.lock'
/** How long an owner may take between making the file and writing into it. */
const WRITING_MS = 2000

/** Who holds the folder. All but the pid may be empty: not every system tells. */
interface Owner {
  pid: number
  /** Ticks since boot at which the process began: tells it from another one that got its number later. */
  began: string
  boot: string
  /** Numbers mean something in their own container only. */
  pidNamespace: string
  host: string
  since: string
}

/**
 * Takes the folder `dir` for this process; the answer gives it back, and may be called twice. `storeInUse` is asked
 * about an owner that cannot be seen from here (another container or machine).
 * @throws Error, a sentence for the operator, when another process has it; with Node's `code` when the file cannot be made
 */
export async function lockFolder (dir: string, storeInUse: () => Promise<boolean>): Promise<() => void> {
  const file = join(dir, LOCK_FILE)
  const mine = JSON.stringify(ourselves())
  for (let attempt = 0; attempt < 100; attempt++) {
    if (make(file, mine)) return () => { if (contents(file) === mine) rmSync(file, { force: true }) }
    const seen = contents(file)
    if (seen === undefined) continue // given back just now
    await refuseIfHeld(dir, file, seen, storeInUse)
    setAside(file, seen)
  }
  throw new Error(`the data folder ${dir}: other processes keep taking ${LOCK_FILE}`)
}

/** False: it is there. */
function make (file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'wx' })
    return true
  } catch (e) {
    const { code } = e as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    // made, but nothing could be written into it: it would pass for one that is being written
    if (code === 'ENOSPC' || code === 'EDQUOT') rmSync(file, { force: true })
    throw e
  }
}

/** What two processes do that find the same stale file: each moves one away, and puts back what it has not judged. */
function setAside (file: string, judged: string): void {
  const aside = `${file}.${process.pid}.stale`
  try {
    renameSync(file, aside)
    const moved = contents(aside)
    if (moved !== undefined && moved !== judged) writeFileSync(file, moved, { flag: 'wx' })
  } catch (e) {
    const { code } = e as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EEXIST') throw e
  }
  rmSync(aside, { force: true })
}

async function refuseIfHeld (dir: string, file: string, seen: string, storeInUse: () => Promise<boolean>): Promise<void> {
  const o = parse(seen)
  if (o === undefined) {
    // Cut off while it was written, or being written now.
    if (Date.now() - modifiedMs(file) > WRITING_MS) return
    throw new Error(`the data folder ${dir} is being taken by another process; stop it or choose another dataDir`)
  }
  const state = stateOf(o)
  if (state === 'gone' || (state === 'unseen' && !await storeInUse())) return
  throw new Error(`the data folder ${dir} is in use by process ${o.pid} (parley on ${o.host}, since ${o.since}); stop it or choose another dataDir`)
}

function stateOf (o: Owner): 'alive' | 'gone' | 'unseen' {
  const us = ourselves()
  if (o.boot !== us.boot) return o.host === us.host ? 'gone' : 'unseen'
  if (o.pidNamespace !== us.pidNamespace) return 'unseen'
  if (o.pid === us.pid) return o.began === us.began ? 'alive' : 'gone'
  try {
    process.kill(o.pid, 0)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ESRCH') return 'gone'
  }
  const p = processStat(o.pid)
  // Another user's process, where /proc hides those (hidepid); or a system without /proc, which tells no more than the pid.
  if (p === undefined) return o.began === '' ? 'alive' : 'unseen'
  return p.began === o.began && p.state !== 'Z' && p.state !== 'X' ? 'alive' : 'gone'
}

function ourselves (): Owner {
  return {
    pid: process.pid,
    began: processStat(process.pid)?.began ?? '',
    boot: contents('/proc/sys/kernel/random/boot_id')?.trim() ?? '',
    pidNamespace: link('/proc/self/ns/pid'),
    host: hostname(),
    since: new Date(Date.now() - process.uptime() * 1000).toISOString()
  }
}

/** Of /proc/<pid>/stat; the second field, the name, may hold anything, blanks and brackets too. */
function processStat (pid: number): { state: string, began: string } | undefined {
  const stat = contents(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', began: fields[19] ?? '' }
}

function parse (s: string): Owner | undefined {
  try {
    const o = JSON.parse(s) as Partial<Owner> | null
    return typeof o?.pid === 'number' ? { began: '', boot: '', pidNamespace: '', host: '', since: '', ...o, pid: o.pid } : undefined
  } catch { return undefined }
}

function contents (file: string): string | undefined {
  try { return readFileSync(file, 'utf8') } catch { return undefined }
}
function link (file: string): string {
  try { return readlinkSync(file) } catch { return '' }
}
function modifiedMs (file: string): number {
  try { return statSync(file).mtimeMs } catch { return 0 }
}
