import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdb } from '../../broker/stores/lmdb/open.js'
import { recordingLogger } from '../support/recording-logger.js'
import { cursorStoreContract } from './cursor-store.contract.js'
import { deviceStoreContract } from './device-store.contract.js'
import { directoryContract } from './directory.contract.js'
import { inboxStoreContract } from './inbox-store.contract.js'
import { logStoreContract } from './log-store.contract.js'
import type { Opened } from './opened.js'

async function open (): Promise<Opened> {
  const dir = mkdtempSync(join(tmpdir(), 'parley-lmdb-'))
  let stalled = false
  const again = async (): Promise<Opened['stores']> => await openLmdb(dir, {
    log: recordingLogger(),
    commitGate: () => { if (stalled) throw Object.assign(new Error('no space left on device'), { code: 28 }) }
  })
  const opened: Opened = {
    stores: await again(),
    stall: () => { stalled = true; return () => { stalled = false } },
    reopen: async () => {
      const closing = opened.stores.close()
      await closing
      stalled = false
      opened.stores = await again()
    },
    close: async () => {
      await opened.stores.close()
      rmSync(dir, { recursive: true })
    }
  }
  return opened
}

logStoreContract('LMDB', open)
inboxStoreContract('LMDB', open)
cursorStoreContract('LMDB', open)
directoryContract('LMDB', open)
deviceStoreContract('LMDB', open)
