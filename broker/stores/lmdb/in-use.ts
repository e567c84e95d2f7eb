import { existsSync } from 'node:fs'
import { open } from 'lmdb'

/**
 * Whether any process has the store open, in whatever container: each keeps a place in LMDB's table of readers, and
 * LMDB empties the table when none has the lock of its file. The file must be sound, and not open in this process.
 */
export async function storeInUse (file: string): Promise<boolean> {
  if (!existsSync(file)) return false
  const root = open({ path: file, readOnly: true, maxReaders: 1024 })
  try {
    return !root.readerList().includes('no active readers')
  } finally {
    await root.close() // before it is opened to write: lmdb would share the environment
  }
}
