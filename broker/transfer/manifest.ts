import { createHash } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kind } from '../ports/transfer.js'
import type { Sum } from './lines.js'

export const MANIFEST = 'manifest.json'
/** Raised with every change of the files that an older version would read wrong. */
export const VERSION = 1
/** In the order in which they are written: what says how far somebody is comes before the log, and never points past its end. */
export const FILES: readonly (Kind | 'topics')[] = ['cursors', 'inbox', 'members', 'groups', 'users', 'blocks', 'devices', 'tickets', 'removals', 'topics', 'log']
export type File = (typeof FILES)[number]

export const pathOf = (dir: string, file: File): string => join(dir, `${file}.jsonl`)

/** Says that an export is whole, and what belongs to it. */
export interface Manifest {
  epoch: string
  conversations: number
  files: Record<File, Sum>
}

/** Written behind all else, in one step: where it stands, the export is whole. */
export async function writeManifest (dir: string, { epoch, conversations, files }: Manifest): Promise<void> {
  const text = `${JSON.stringify({ format: 'parley-export', version: VERSION, epoch, conversations, files }, null, 2)}\n`
  const [fresh, path] = [join(dir, `${MANIFEST}.new`), join(dir, MANIFEST)]
  try {
    const file = await open(fresh, 'w', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally { await file.close() }
  } catch (e) {
    await rm(fresh, { force: true })
    throw e
  }
  await rename(fresh, path)
  const folder = await open(dir, 'r')
  try { await folder.sync() } finally { await folder.close() }
}

/** `name`: of this export alone. @throws Error, a sentence for the operator */
export async function readManifest (dir: string): Promise<Manifest & { name: string }> {
  const path = join(dir, MANIFEST)
  let text: string
  try { text = await readFile(path, 'utf8') } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e
    throw new Error(`${dir} holds no whole export: ${MANIFEST}, which is written last, is not there. Run \`parley export\` again`)
  }
  const m = parse(text)
  if (m?.['format'] !== 'parley-export') throw new Error(`${path} is not the manifest of an export`)
  const { version } = m
  if (typeof version === 'number' && version > VERSION) throw new Error(`${path} is of a newer version of Parley (files of version ${version}; this one reads ${VERSION}): import with that version`)
  if (version !== VERSION || typeof m['epoch'] !== 'string' || !isCount(m['conversations']) || !isObject(m['files'])) throw damaged(path)
  for (const file of FILES) {
    const sum = Object.hasOwn(m['files'], file) ? m['files'][file] : undefined
    if (!isObject(sum) || !isCount(sum['records']) || typeof sum['sha256'] !== 'string') throw damaged(path)
  }
  return { ...m as unknown as Manifest, name: createHash('sha256').update(text).digest('hex') }
}

const damaged = (path: string): Error => new Error(`${path} is damaged: run \`parley export\` again`)
const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0
const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

function parse (text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch { return undefined }
}
