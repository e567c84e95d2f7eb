import { definePlugin } from '../../broker/plugin.js'
import { historyOperation } from './history.js'
import { inboxOperation } from './inbox.js'
import { syncOperation } from './sync.js'

/** What a device reads when it asks instead of being told: `history`, `sync`, `inbox` (docs/protocol.md, RPC methods). */
export default definePlugin({
  name: 'history',
  setup (host) {
    for (const make of [historyOperation, syncOperation, inboxOperation]) host.operation(make(host))
  }
})
