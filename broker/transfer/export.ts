import { mkdir, readdir } from 'node:fs/promises'
import type { Kind, TransferStore } from '../ports/transfer.js'
import { LinesOut, type Sum } from './lines.js'
import { type File, FILES, type Manifest, MANIFEST, pathOf, writeManifest } from './manifest.js'
import { encode } from './records.js'
import { topicLines } from './topics.js'

/** Called with every batch: what is being done, how much of it, of how much where that is known. Throws to end it. */
export type Step = (what: string, done: number, of?: number) => void

/** How many of what. */
export type Counts = Record<File | 'conversations', number>

/**
 * Writes all that the store holds into the folder `dir`, which is made, or empty, or holds an export that was cut off.
 * Memory stays bounded. The manifest comes last: without it the rest is no export.
 * @throws Error, a sentence for the operator; with Node's `code` when the folder cannot be written
 */
export async function exportTo (dir: string, store: TransferStore, step: Step): Promise<Counts> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await mayWrite(dir)
  const { epoch, importing } = await store.state()
  if (importing !== undefined) throw new Error('the store holds a part of an import only: run `parley import` again, with the same files, and export then')
  const files: Partial<Record<File, Sum>> = {}
  let conversations = 0
  for (const file of FILES) {
    const out = await LinesOut.create(pathOf(dir, file))
    try {
      let done = 0
      for await (const lines of linesOfStore(store, file, () => { conversations++ })) {
        await out.write(lines)
        step(file, done += lines.length)
      }
      files[file] = await out.end()
    } finally { await out.close() }
  }
  const manifest: Manifest = { epoch, conversations, files: files as Manifest['files'] }
  await writeManifest(dir, manifest)
  return countsOf(manifest)
}

async function mayWrite (dir: string): Promise<void> {
  const there = await readdir(dir)
  if (there.includes(MANIFEST)) throw new Error(`${dir} holds a whole export already: name another folder`)
  const ours = new Set([...FILES.map(file => pathOf('', file)), `${MANIFEST}.new`])
  const strange = there.find(name => !ours.has(name))
  if (strange !== undefined) throw new Error(`${dir} is not empty (${JSON.stringify(strange)} is in it): name another folder`)
}

async function * linesOfStore (store: TransferStore, file: File, begins: () => void): AsyncGenerator<string[]> {
  if (file === 'topics') {
    if (store.topics !== null) yield * topicLines(store.topics)
    return
  }
  if (file === 'log') {
    for await (const batch of store.read(file)) {
      for (const { seq } of batch) if (seq === 1) begins()
      yield batch.map(e => encode(file, e))
    }
    return
  }
  const kind: Kind = file
  for await (const batch of store.read(kind)) yield batch.map(r => encode(kind, r))
}

export const countsOf = ({ conversations, files }: Manifest): Counts =>
  ({ conversations, ...Object.fromEntries(FILES.map(file => [file, files[file].records])) as Record<File, number> })
