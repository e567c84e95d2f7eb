import type { ConvKey, UserId } from '../../domain/ids.js'
import type { InboxRow, InboxStore, Mark } from '../../ports/inbox.js'
import type { Committer } from './committer.js'
import type { Databases } from './database.js'
import { join, lastPart } from './keys.js'
import { scan } from './scan.js'
import { packRow, unpackRow } from './rows.js'

export class LmdbInboxStore implements InboxStore {
  readonly #dbs: Databases
  readonly #committer: Committer

  constructor (dbs: Databases, committer: Committer) {
    this.#dbs = dbs
    this.#committer = committer
  }

  rows (user: UserId): Promise<InboxRow[]> {
    return scan(this.#dbs.inbox, user, (key, value) => unpackRow(lastPart(key) as ConvKey, value))
  }

  async row (user: UserId, conv: ConvKey): Promise<InboxRow | undefined> {
    const b = this.#dbs.inbox.getBinary(join(user, conv))
    return b === undefined ? undefined : unpackRow(conv, b)
  }

  async mark (marks: readonly Mark[]): Promise<void> {
    if (marks.length === 0) return
    const { inbox } = this.#dbs
    await this.#committer.write(tx => {
      for (const m of marks) {
        const key = join(m.user, m.conv)
        const stored = tx.get(inbox, key)
        if (stored === undefined) continue
        const row = unpackRow(m.conv, stored)
        const raised = raise(row, m)
        if (raised !== row) tx.put(inbox, key, packRow(raised))
      }
    })
  }
}

/** The row itself when the mark raises nothing. */
function raise (row: InboxRow, m: Mark): InboxRow {
  const read = Math.max(row.read, m.read ?? 0)
  const delivered = Math.max(row.delivered, m.delivered ?? 0, read)
  if (read === row.read && delivered === row.delivered) return row
  return { ...row, read, delivered, readCounts: read > row.read ? m.readCounts ?? row.readCounts : row.readCounts }
}
