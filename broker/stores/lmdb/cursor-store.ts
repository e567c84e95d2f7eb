import type { ConvKey, DeviceId, UserId } from '../../domain/ids.js'
import type { Cursor, CursorStore } from '../../ports/inbox.js'
import type { Committer } from './committer.js'
import type { Databases } from './database.js'
import { deviceBytes, join, join3, lastPart } from './keys.js'
import { packU48, unpackU48 } from './rows.js'
import { scan } from './scan.js'

export class LmdbCursorStore implements CursorStore {
  readonly #dbs: Databases
  readonly #committer: Committer

  constructor (dbs: Databases, committer: Committer) {
    this.#dbs = dbs
    this.#committer = committer
  }

  load (user: UserId, device: DeviceId): Promise<Cursor[]> {
    return scan(this.#dbs.cursors, join(user, deviceBytes(device)), (key, b) =>
      ({ conv: lastPart(key) as ConvKey, contiguous: unpackU48(b, 0), highest: unpackU48(b, 1) }))
  }

  async furthest (user: UserId): Promise<Map<ConvKey, number>> {
    const out = new Map<ConvKey, number>()
    await scan(this.#dbs.cursors, user, (key, b) => {
      const conv = lastPart(key) as ConvKey
      out.set(conv, Math.max(out.get(conv) ?? 0, unpackU48(b, 0)))
    })
    return out
  }

  async save (user: UserId, device: DeviceId, cursors: readonly Cursor[]): Promise<void> {
    if (cursors.length === 0) return
    const db = this.#dbs.cursors
    const dev = deviceBytes(device)
    await this.#committer.write(tx => {
      for (const c of cursors) {
        const key = join3(user, dev, c.conv)
        const stored = tx.get(db, key)
        const was = stored === undefined ? [-1, -1] as const : [unpackU48(stored, 0), unpackU48(stored, 1)] as const
        const contiguous = Math.max(was[0], c.contiguous)
        const highest = Math.max(was[1], c.highest, contiguous)
        if (contiguous !== was[0] || highest !== was[1]) tx.put(db, key, packU48([contiguous, highest]))
      }
    })
  }
}
