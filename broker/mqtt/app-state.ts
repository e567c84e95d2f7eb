import { isUtf8 } from 'node:buffer'
import type { Session } from '../core/session.js'
import { ParleyError } from '../domain/errors.js'
import { scanObject } from '../domain/json-scan.js'
import type { DeviceStore } from '../ports/devices.js'

/** `state`: whether the app is in the foreground. The last word outlives the connection. */
export class AppState {
  constructor (private readonly devices: DeviceStore) {}

  /**
   * A resend (`dup`) may be older than what was said since, and is ignored.
   * @throws ParleyError bad-request
   */
  async set (session: Session, payload: Buffer, dup: boolean): Promise<void> {
    const members = payload.length <= 1024 && isUtf8(payload) ? scanObject(payload) : 'no JSON object'
    const [only] = typeof members === 'string' ? [] : members
    const text = only === undefined ? '' : payload.toString('utf8', only.start, only.end)
    if (typeof members === 'string' || members.length !== 1 || only!.name !== 'active' || (text !== 'true' && text !== 'false')) {
      throw new ParleyError('bad-request', 'state is {"active":true} or {"active":false}')
    }
    if (dup) return
    session.active = text === 'true'
    if (session.record === null) return
    session.record.active = session.active
    await this.devices.put(session.record)
  }
}
