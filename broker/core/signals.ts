import { isUtf8 } from 'node:buffer'
import { ParleyError } from '../domain/errors.js'
import { type ConvKey, groupOf, isGroupKey, nameOf, peerOf, type UserId } from '../domain/ids.js'
import { scanObject } from '../domain/json-scan.js'
import { type Bus, groupChannel, userChannel } from '../ports/bus.js'
import type { Directory } from '../ports/directory.js'
import type { Access } from './access.js'
import { Outgoing } from './outgoing.js'
import type { Roster } from './roster.js'
import type { Session } from './session.js'

const MAX_BYTES = 1024
/** A device with more than this waiting in its socket lags: signals are dropped for it. */
const LAGGING_BYTES = 16 << 10

/** Signals (typing, …): to whoever is there now, never stored. */
export class Signals {
  constructor (private readonly deps: {
    access: Access, directory: Directory, roster: Roster, bus: Pick<Bus, 'publish'>
    limits: { readonly receiptMembers: number }
  }) {}

  /** @throws ParleyError */
  async send (from: Session, conv: ConvKey, payload: Buffer): Promise<void> {
    if (payload.length > MAX_BYTES) throw new ParleyError('too-large', `a signal has at most ${MAX_BYTES} bytes`)
    if (!isUtf8(payload)) throw new ParleyError('bad-request', 'a signal is a JSON object in UTF-8')
    const members = scanObject(payload)
    if (typeof members === 'string') throw new ParleyError('bad-request', `a signal is a JSON object: ${members}`)
    const seen = new Set<string>()
    for (const { name } of members) {
      if (name === 'conv' || name === 'from' || seen.has(name)) throw new ParleyError('bad-request', `a signal may not hold ${name}${seen.has(name) ? ' twice' : ''}`)
      seen.add(name)
    }
    const refusal = await this.deps.access.mayPost(from.user, conv)
    if (refusal !== null) throw refusal
    const group = isGroupKey(conv)
    const most = this.deps.limits.receiptMembers
    if (group && most !== 0 && await this.deps.directory.memberCount(groupOf(conv)) > most) return
    const inner = payload.toString('utf8').trim().slice(1, -1).trim()
    this.deps.bus.publish(group ? groupChannel(conv) : userChannel(peerOf(conv, from.user)), { kind: 'signal', conv, from: from.user, members: inner })
    this.deliver(conv, from.user, inner, from)
  }

  /** To the sessions on this node. `members`: of the JSON object, without braces; `not`: who sent it. */
  deliver (conv: ConvKey, from: UserId, members: string, not: Session | null): void {
    const group = isGroupKey(conv)
    const make = (user: UserId): Outgoing => new Outgoing('sig', Buffer.from(
      `{"conv":"${nameOf(conv, user)}"${group ? `,"from":"${from}"` : ''}${members === '' ? '' : `,${members}`}}`))
    const audience = group ? this.deps.roster.ofGroup(conv) : this.deps.roster.ofUser(peerOf(conv, from))
    let shared: Outgoing | null = null
    for (const s of audience) {
      if (s === not || !s.grants.holds('sig') || s.link.unsentBytes > LAGGING_BYTES || !s.active) continue
      const out = group ? shared ??= make(s.user) : make(s.user)
      if (s.fits(out)) s.link.deliver(out, 0, 0, false, s.grants.isLong('sig'))
    }
  }
}
