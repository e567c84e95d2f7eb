import { isUtf8 } from 'node:buffer'
import type { GroupKind, Role } from '../domain/group.js'
import type { AclRule } from '../domain/acl.js'
import type { Device } from '../ports/devices.js'
import type { Kind, Records } from '../ports/transfer.js'
import { Fields } from './fields.js'

const KINDS: readonly GroupKind[] = ['private', 'public', 'channel']
const ROLES: readonly Role[] = ['owner', 'admin', 'member']
const NONE = Buffer.alloc(0)

interface Codec<T> {
  /** What stands in the record's line, in this order; undefined is left out. */
  write: (record: T) => object
  read: (f: Fields) => T
}

/** As text where that is possible, else base64 under a name of its own. */
export const bytesAs = (name: string, b: Buffer): object => isUtf8(b) ? { [name]: b.toString() } : { [`${name}64`]: b.toString('base64') }
const some = <T>(value: T, empty: T): T | undefined => value === empty ? undefined : value

const CODECS: { [K in Kind]: Codec<Records[K]> } = {
  log: {
    write: e => ({
      conv: e.conv, seq: e.seq, ts: e.ts, counts: e.counts, from: e.from, dev: some(e.dev, ''), cid: some(e.cid, ''), type: e.type, ...bytesAs('fields', e.fields),
      bytes: e.bytes?.toString('base64'), exp: some(e.exp, 0), hash: e.hash, packetId: some(e.packetId, 0), ...(e.push.length === 0 ? {} : bytesAs('push', e.push))
    }),
    read: f => ({
      conv: f.conv(), seq: f.whole('seq', undefined, 1), ts: f.whole('ts'), counts: f.counts('counts'), from: f.user('from'),
      dev: f.get('dev') === undefined ? '' : f.device('dev'), cid: f.get('cid') === undefined ? '' : f.string('cid'), type: f.string('type'), fields: f.bytes('fields') ?? NONE,
      bytes: f.get('bytes') === undefined ? null : Buffer.from(f.string('bytes'), 'base64'), exp: f.get('exp') === undefined ? 0 : f.whole('exp'),
      hash: f.whole('hash', Number.MAX_SAFE_INTEGER), packetId: f.get('packetId') === undefined ? 0 : f.whole('packetId', 65_535), push: f.bytes('push') ?? NONE
    })
  },
  cursors: {
    write: ({ user, conv, device, contiguous, highest }) => ({ user, conv, device, contiguous, highest }),
    read: f => ({ user: f.user(), conv: f.conv(), device: f.device(), contiguous: f.whole('contiguous'), highest: f.whole('highest') })
  },
  inbox: {
    write: ({ user, conv, since, left, read, delivered, readCounts }) => ({ user, conv, since, left, read, delivered, readCounts }),
    read: f => ({ user: f.user(), conv: f.conv(), since: f.whole('since'), left: f.whole('left'), read: f.whole('read'), delivered: f.whole('delivered'), readCounts: f.counts('readCounts') })
  },
  members: {
    write: ({ group, user, role, since }) => ({ group, user, role, since }),
    read: f => ({ group: f.group(), user: f.user(), role: f.oneOf('role', ROLES), since: f.whole('since') })
  },
  groups: {
    write: ({ group, kind, title, avatar, custom, historyVisible, createdMs, deleted }) => ({ group, kind, title, avatar, custom, historyVisible, createdMs, deleted }),
    read: f => ({
      group: f.group(), kind: f.oneOf('kind', KINDS), title: f.string('title'), avatar: f.string('avatar'), custom: f.get('custom'),
      historyVisible: f.flag('historyVisible'), createdMs: f.whole('createdMs'), deleted: f.flag('deleted')
    })
  },
  users: { write: ({ user }) => ({ user }), read: f => ({ user: f.user() }) },
  blocks: { write: ({ user, blocked }) => ({ user, blocked }), read: f => ({ user: f.user(), blocked: f.user('blocked') }) },
  // Whole, whatever it will hold one day: a device's record is kept as it is.
  devices: {
    write: ({ user, device, ...rest }) => ({ user, device, ...Object.fromEntries(Object.entries(rest).sort(([a], [b]) => a < b ? -1 : 1)) }),
    read: f => {
      f.list('subscriptions')
      f.whole('seenMs')
      return { ...f.all, user: f.user(), device: f.device() } as Device
    }
  },
  tickets: {
    write: ({ hash, user, device, acl, issuedMs, madeMs, expiresMs }) => ({ hash, user, device, acl, issuedMs, madeMs, expiresMs }),
    read: f => ({
      hash: f.string('hash'), user: f.user(), device: f.device(), ...(f.get('acl') === undefined ? {} : { acl: f.list('acl') as AclRule[] }),
      issuedMs: f.whole('issuedMs'), madeMs: f.whole('madeMs'), expiresMs: f.whole('expiresMs')
    })
  },
  removals: { write: ({ user, device, ms }) => ({ user, device, ms }), read: f => ({ user: f.user(), device: f.device(), ms: f.whole('ms') }) }
}

/** A record's line, without its end. The same record has one form only. */
export const encode = <K extends Kind>(kind: K, record: Records[K]): string => JSON.stringify(CODECS[kind].write(record))

/** @throws Error, what is wrong with it */
export function decode<K extends Kind> (kind: K, line: string): Records[K] {
  const record = CODECS[kind].read(Fields.ofLine(line))
  // Whatever this version does not know, or reads otherwise than it stands there, would be lost without a word.
  if (encode(kind, record) !== line) throw new Error('is not as `parley export` writes it')
  return record
}

