import type { InboxRow } from '../../ports/inbox.js'
import type { ConvKey, UserId } from '../../domain/ids.js'
import type { Member, Role } from '../../domain/group.js'

/** Small records are rows of 48-bit numbers. */
export function packU48 (numbers: readonly number[]): Buffer {
  const b = Buffer.allocUnsafe(6 * numbers.length)
  numbers.forEach((n, i) => b.writeUIntBE(n, 6 * i, 6))
  return b
}
export const unpackU48 = (b: Buffer, i: number): number => b.readUIntBE(6 * i, 6)

export const packRow = (r: InboxRow): Buffer =>
  packU48([r.since, r.left, r.read, r.delivered, r.readCounts[0], r.readCounts[1]])
export const unpackRow = (conv: ConvKey, b: Buffer): InboxRow => ({
  conv,
  since: unpackU48(b, 0),
  left: unpackU48(b, 1),
  read: unpackU48(b, 2),
  delivered: unpackU48(b, 3),
  readCounts: [unpackU48(b, 4), unpackU48(b, 5)]
})

const ROLES: readonly Role[] = ['member', 'admin', 'owner']
export const packMember = (m: Member): Buffer => packU48([ROLES.indexOf(m.role), m.since])
export const unpackMember = (user: UserId, b: Buffer): Member =>
  ({ user, role: ROLES[unpackU48(b, 0)]!, since: unpackU48(b, 1) })
