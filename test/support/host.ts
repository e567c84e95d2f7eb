import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Value } from '@sinclair/typebox/value'
import { Operations } from '../../broker/api/registry.js'
import { payloadHash } from '../../broker/domain/entry.js'
import type { ErrorCode } from '../../broker/domain/errors.js'
import { ParleyError } from '../../broker/domain/errors.js'
import type { Effects } from '../../broker/domain/group.js'
import { type ConvKey, convKey, type UserId } from '../../broker/domain/ids.js'
import type { Call, Event, Host, Plugin } from '../../broker/plugin.js'
import type { Draft } from '../../broker/ports/log.js'
import type { Stores } from '../../broker/ports/stores.js'
import { webClient } from '../../broker/web-client.js'
import { openLmdb } from '../../broker/stores/lmdb/open.js'
import { FakeClock } from './fake-clock.js'
import { recordingLogger } from './recording-logger.js'

const NONE = Buffer.alloc(0)

/** An entry as operations give it. */
export interface AnEntry { conv: string, seq: number, ts: number, from: string, type: string, body?: unknown, size?: number, [field: string]: unknown }
export interface AConversation { conv: string, head: number, read: number, unread: number, mentions: number, title?: string, entries: AnEntry[], more: boolean, last: AnEntry | null, peer?: { delivered: number, read: number } }
/** An answer as a client sees it: of all fields, those of the operation that was asked. */
export interface Answer {
  group: string, kind: string, title: string, avatar?: string, custom?: unknown, historyVisible: boolean, created: number, memberCount: number, role?: string
  groups: Answer[], members: { user: string, role: string, since: number }[], users: { user: string, error?: { code: string, message: string } }[]
  entries: AnEntry[], from: number, to: number, head: number
  conversations: AConversation[], gone: string[], token: string, epoch: string
  more: boolean, next?: string
}

export interface Rig {
  stores: Stores
  clock: FakeClock
  logger: ReturnType<typeof recordingLogger>
  host: Host
  operations: Operations
  told: { user: UserId, event: Event }[]
  /** Every system entry posted, in order. */
  posted: { conv: ConvKey, from: UserId, body: unknown, effects?: Effects }[]
  /** Calls as a user; the result is parsed, and checked against the operation's own schema. */
  as (user: string, name: string, params?: object, more?: Partial<Call>): Promise<Answer>
  /** The code with which the call is refused; undefined: it is not. */
  refusal (user: string, name: string, params?: object, more?: Partial<Call>): Promise<ErrorCode | undefined>
  /** A message as `user` would publish it; gives its seq. */
  say (user: string, conv: string, body?: unknown, more?: Partial<Draft>): Promise<number>
  /** Moves the read mark. */
  read (user: string, conv: string, seq: number): Promise<void>
  close (): Promise<void>
}

/** A Host over a real store in a folder of its own, with plugins set up; it fans out nothing. */
export async function rig (plugins: readonly Plugin[], limits: Partial<Host['limits']> = {}): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'parley-ops-'))
  const clock = new FakeClock()
  const logger = recordingLogger()
  const stores = await openLmdb(dir, { log: logger, now: clock.now })
  const operations = new Operations({ logger, clock })
  const told: Rig['told'] = []
  const posted: Rig['posted'] = []
  const key = (name: string, user: string): ConvKey => convKey(name, user as UserId)

  async function append (user: string, conv: ConvKey, type: string, body: unknown, more: Partial<Draft>): Promise<{ seq: number, ts: number }> {
    const fields = Buffer.from(`"body":${JSON.stringify(body)}`)
    const r = await stores.log.append({
      conv, from: user as UserId, dev: '', cid: '', type, fields, bytes: null, exp: 0, hash: payloadHash(fields, 0),
      packetId: 0, push: NONE, nowMs: clock.now(), dup: false, ...more
    })
    if (r.kind === 'stored' || r.kind === 'already-stored') return { seq: r.entry.seq, ts: r.entry.ts }
    throw new ParleyError(r.kind === 'conflict' ? 'conflict' : 'unavailable', r.kind)
  }

  const host: Host = {
    log: stores.log,
    inbox: stores.inbox,
    directory: stores.directory,
    clock,
    logger,
    epoch: stores.epoch,
    limits: { groupMembers: 100_000, messageBytes: 65_536, ...limits },
    async post (e) {
      const done = await append(e.from, e.conv, 'system', e.body, e.effects === undefined ? {} : { effects: e.effects })
      posted.push(e)
      return done
    },
    moveCursors: async () => {},
    tell: (user, event) => { told.push({ user, event }) },
    operation: op => operations.register(op),
    request: webClient(clock)
  }
  for (const p of plugins) await p.setup(host, {})

  const call = (user: string, more: Partial<Call>): Call => ({ user: user as UserId, device: '', admin: false, maxBytes: 1 << 20, ...more })
  const as: Rig['as'] = async (user, name, params = {}, more = {}) => {
    // As it comes over the wire.
    const bytes = await operations.call(name, call(user, more), JSON.parse(JSON.stringify(params)))
    const result: unknown = JSON.parse(bytes.toString())
    const { result: schema } = operations.list().find(o => o.name === name)!
    const misfit = Value.Errors(schema, result).First()
    if (misfit !== undefined) throw new Error(`${name} answers what its schema does not say: ${misfit.path} ${misfit.message}`)
    return result as Answer
  }
  return {
    stores, clock, logger, host, operations, told, posted, as,
    refusal: async (...args) => await as(...args).then(() => undefined, (e: unknown) => {
      if (e instanceof ParleyError) return e.code
      throw e
    }),
    say: async (user, conv, body = 'hello', more = {}) => (await append(user, key(conv, user), 'text', body, more)).seq,
    async read (user, conv, seq) {
      const [e] = await stores.log.page(key(conv, user), { after: seq - 1, limit: 1 })
      await stores.inbox.mark([{ user: user as UserId, conv: key(conv, user), read: seq, readCounts: e!.counts }])
    },
    async close () {
      await stores.close()
      await rm(dir, { recursive: true, force: true })
    }
  }
}
