import type { ConvKey, DeviceId, UserId } from '../domain/ids.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { Cursor, CursorStore } from '../ports/inbox.js'
import type { Logger } from '../ports/logger.js'
import type { Session } from './session.js'

const EVERY_MS = 1000

/** Saves the cursors that moved, in batches; losing the last second costs duplicates. */
export class CursorKeeper {
  private readonly moved = new Set<Session>()
  private timer: Timer | null = null
  private saving: Promise<unknown> = Promise.resolve()

  constructor (
    private readonly cursors: CursorStore, private readonly clock: Clock, private readonly logger: Logger,
    /** The user's devices have now acknowledged up to `highest`. */
    private readonly delivered: (user: UserId, conv: ConvKey, highest: number) => void) {}

  add (session: Session): void {
    this.moved.add(session)
    this.timer ??= this.clock.after(EVERY_MS, () => { this.timer = null; void this.flush() })
  }

  /** Never rejects: what could not be saved costs duplicates. */
  async flush (): Promise<void> {
    const all = [...this.moved]
    this.moved.clear()
    this.saving = Promise.all([this.saving, ...all.map(s => this.save(s))])
    await this.saving
  }

  /** One session at once, at disconnect; resolves when its cursors are stored. */
  async save (session: Session): Promise<void> {
    this.moved.delete(session)
    const cursors: Cursor[] = []
    for (const conv of session.convs.values()) {
      if (!conv.dirty) continue
      conv.dirty = false
      cursors.push({ conv: conv.key, contiguous: conv.cursor, highest: conv.highest })
      this.delivered(session.user, conv.key, conv.highest)
    }
    session.tidy()
    if (session.record !== null) await this.store(session.user, session.device, cursors)
  }

  /** Where a device said that it stands, saved at once. `device` null: the connection makes none. Never rejects. */
  async name (user: UserId, device: DeviceId | null, cursors: Cursor[]): Promise<void> {
    for (const c of cursors) this.delivered(user, c.conv, c.highest)
    if (device !== null) await this.store(user, device, cursors)
  }

  private async store (user: UserId, device: DeviceId, cursors: Cursor[]): Promise<void> {
    if (cursors.length === 0) return
    try {
      await this.cursors.save(user, device, cursors)
    } catch (err) {
      this.logger.warn({ err, user, device, conversations: cursors.length }, 'cursors could not be saved; the device may get duplicates')
    }
  }

  async close (): Promise<void> {
    this.timer?.cancel()
    await this.flush()
  }
}
