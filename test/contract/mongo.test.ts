import { MongoError } from 'mongodb'
import { openMongo } from '../../broker/stores/mongo/open.js'
import { newDatabase, someNode } from '../servers/shared.js'
import { recordingLogger } from '../support/recording-logger.js'
import { cursorStoreContract } from './cursor-store.contract.js'
import { deviceStoreContract } from './device-store.contract.js'
import { directoryContract } from './directory.contract.js'
import { inboxStoreContract } from './inbox-store.contract.js'
import { logStoreContract } from './log-store.contract.js'
import { ticketStoreContract } from './ticket-store.contract.js'
import { topicStoreContract } from './topic-store.contract.js'
import type { Opened } from './opened.js'

async function open (): Promise<Opened> {
  const { url, drop } = await newDatabase()
  let stalled = false
  const again = async (): Promise<Opened['stores']> => await openMongo(url, { log: recordingLogger(), hasBus: true, node: someNode(), gate: () => { if (stalled) throw new MongoError('no primary, for a test') } })
  const opened: Opened = {
    stores: await again(),
    stall: () => { stalled = true; return () => { stalled = false } },
    reopen: async () => {
      await opened.stores.close()
      stalled = false
      opened.stores = await again()
    },
    close: async () => {
      await opened.stores.close()
      await drop()
    }
  }
  return opened
}

logStoreContract('MongoDB', open)
inboxStoreContract('MongoDB', open)
cursorStoreContract('MongoDB', open)
directoryContract('MongoDB', open)
deviceStoreContract('MongoDB', open)
ticketStoreContract('MongoDB', open)
topicStoreContract('MongoDB', open)
