import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StoreProcess } from './store-process.js'

/** A disk that can be made full. */
export interface Disk {
  /** The data folder, as the store sees it. */
  dir: string
  /** What {@link Health.why} must say. */
  says: RegExp
  start (): Promise<StoreProcess>
  /** No file can grow from now on. */
  fill (store: StoreProcess): void
  makeRoom (store: StoreProcess): void
  close (): Promise<void>
}

const UNSHARE = ['--user', '--map-root-user', '--mount']

/** A file system of its own in memory, mounted in a namespace of its own: no rights needed where the kernel lets users have them. */
async function tmpfs (): Promise<Disk> {
  const mounted = mkdtempSync(join(tmpdir(), 'parley-full-'))
  const holder = spawn('unshare', [...UNSHARE, 'sh', '-c', `mount -t tmpfs -o size=4m tmpfs ${mounted} && echo mounted && cat`], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  const seen = `/proc/${holder.pid!}/root${mounted}`
  const ballast = join(seen, 'ballast')
  return {
    dir: join(mounted, 'data'),
    says: /^the disk that holds .* is full: messages wait until there is room$/,
    start: async () => await StoreProcess.start(join(mounted, 'data'), ['nsenter', '--user', '--mount', '--preserve-credentials', `--target=${holder.pid!}`]),
    fill: () => {
      try {
        for (;;) writeFileSync(ballast, Buffer.alloc(4096), { flag: 'a' })
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code !== 'ENOSPC') throw e
      }
    },
    makeRoom: () => { truncateSync(ballast, 0) },
    close: async () => {
      holder.stdin.end()
      await once(holder, 'exit')
      rmSync(mounted, { recursive: true })
    }
  }
}

/** The same by a limit on the size of files (RLIMIT_FSIZE), for where namespaces are not to be had. */
async function fileLimit (): Promise<Disk> {
  const dir = mkdtempSync(join(tmpdir(), 'parley-full-'))
  const limit = (store: StoreProcess, bytes: string): void => { execFileSync('prlimit', [`--pid=${store.child.pid!}`, `--fsize=${bytes}:unlimited`]) }
  return {
    dir,
    says: /^writing to .* fails \(File too large\): messages wait until it works again$/,
    start: async () => await StoreProcess.start(dir),
    fill: store => { limit(store, `${statSync(join(dir, 'store.mdb')).size}`) },
    makeRoom: store => { limit(store, 'unlimited') },
    close: async () => { rmSync(dir, { recursive: true }) }
  }
}

/** Those of the two that this machine allows; at least one. */
export function disks (): [name: string, make: () => Promise<Disk>][] {
  const works = (command: string, args: string[]): boolean => spawnSync(command, args).status === 0
  const probe = mkdtempSync(join(tmpdir(), 'parley-probe-'))
  const found: [string, () => Promise<Disk>][] = []
  if (works('unshare', [...UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', probe])) found.push(['tmpfs', tmpfs])
  if (works('prlimit', ['--version'])) found.push(['limit on the size of files', fileLimit])
  rmSync(probe, { recursive: true })
  if (found.length === 0) throw new Error('neither a tmpfs in a namespace (unshare) nor a limit on files (prlimit) is to be had here')
  return found
}
