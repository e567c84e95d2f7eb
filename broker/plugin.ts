/** All that a plugin may import: types, `definePlugin` and what the host offers. Built-in plugins use nothing else. */
import type { Static, TSchema } from '@sinclair/typebox'
import type { Entry } from './domain/entry.js'
import type { Effects } from './domain/group.js'
import type { Credentials, Verdict } from './domain/identity.js'
import type { ConvKey, DeviceId, UserId } from './domain/ids.js'
import type { Clock } from './ports/clock.js'
import type { Directory } from './ports/directory.js'
import type { InboxRow, InboxStore } from './ports/inbox.js'
import type { LogStore } from './ports/log.js'
import type { Logger } from './ports/logger.js'

export { Type, type Static, type TSchema } from '@sinclair/typebox'
export { ParleyError, type ErrorCode } from './domain/errors.js'
export { FairQueue, QueueFull } from './domain/fair-queue.js'
export { Lru } from './domain/lru.js'
export { readYaml } from './domain/yaml-text.js'
export { type Counts, countsAsMessage, type Entry, entryJson, type Head } from './domain/entry.js'
export type { Effects, Group, GroupKind, Member, MemberChange, Role } from './domain/group.js'
export type { AclRule } from './domain/acl.js'
export { isAdmin, jwtHeader, looksLikeJwt, readAcl, readTimeMs, readUser } from './domain/claims.js'
export type { Credentials, Identity, Verdict } from './domain/identity.js'
export {
  type ConvKey, type ConvName, convKey, type DeviceId, directKey, groupId, type GroupId, groupKey, groupOf, isDeviceId, isGroupId, isGroupKey, isUserId,
  nameOf, offendingCharacter, peerOf, userId, type UserId, usersOf
} from './domain/ids.js'
export type { Clock, Directory, InboxRow, InboxStore, Logger, LogStore }

/** JSON that is already bytes; goes into an answer as it stands (numbers stay as they were written). */
export class RawJson {
  constructor (readonly bytes: Buffer) {}
}

/** Who asks an operation, and how much it may be answered. */
export interface Call {
  user: UserId
  /** Empty over HTTP with an admin key. */
  device: DeviceId | ''
  admin: boolean
  /** Most bytes that the answer may have; paged answers stop before it, with `more`. */
  maxBytes: number
}

/** One operation, declared once: RPC over MQTT, HTTP and their documents are made from it. */
export interface Operation<P extends TSchema = TSchema, R extends TSchema = TSchema> {
  /** `history`, `group.create` … */
  name: string
  /** One sentence for the documents. */
  summary: string
  params: P
  result: R
  /** Changes nothing: over HTTP also as GET. */
  read?: boolean
  who: 'user' | 'admin'
  /** Errors other than {@link ParleyError} are logged and answered as `internal`. */
  handle (call: Call, params: Static<P>): Promise<Static<R>>
}

/** Keeps the types of params and result together while they are written down. */
export const defineOperation = <P extends TSchema, R extends TSchema>(op: Operation<P, R>): Operation<P, R> => op

/** A message on its way, before it is stored. */
export interface Publishing {
  readonly user: UserId
  readonly device: DeviceId | ''
  readonly conv: ConvKey
  readonly type: string
  readonly cid: string
  /** The body parsed; undefined for opaque bytes. */
  body (): unknown
  /** Stores this body instead; what the sender repeats under the same cid still counts as the same. */
  replaceBody (body: unknown): void
}

/**
 * What a plugin can hook into. `will…` hooks run before the commit in the order of the config; each may change or refuse
 * (by throwing a ParleyError) and has a time limit. A message that a hook was too slow for, or answered with a code that
 * is only for now (`unavailable`, `rate-limited`), is held and shown to all hooks again: late, never stored unseen.
 * `did…` hooks run after the commit, cannot change the answer, and their errors are only logged.
 */
export interface Hooks {
  willPublish? (message: Publishing): void | Promise<void>
  didPublish? (event: { entry: Entry }): void | Promise<void>
  didConnect? (event: { user: UserId, device: DeviceId, address: string }): void | Promise<void>
  didDisconnect? (event: { user: UserId, device: DeviceId, reason: 'client' | 'closed' | 'keepalive' | 'takeover' | 'expired' | 'broker' }): void | Promise<void>
  /** Signs users in. Providers are asked in the order of the config until one does not answer `not-mine`. */
  authenticate? (credentials: Credentials): Verdict | Promise<Verdict>
  /** SIGHUP: read files again. What cannot be read leaves what was read before in use; throw to have it logged. */
  reload? (): void | Promise<void>
}
export const HOOK_NAMES = ['willPublish', 'didPublish', 'didConnect', 'didDisconnect', 'authenticate', 'reload'] as const satisfies readonly (keyof Hooks)[]

/** Something told to a user's devices on `me/evt`. */
export interface Event { type: 'conv-added' | 'conv-removed' | 'conv-changed' | 'device-removed' | 'token-expiring' | 'will-ignored' | 'replaced' | 'resync', [field: string]: unknown }

/** One HTTP request of a plugin. */
export interface WebRequest {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
  /** From the call to the last byte of the answer. */
  timeoutMs: number
  /** Most bytes of the answer's body that are read. */
  maxBytes: number
}
/** `body` null: it has more than the bytes that were asked for. Redirects are answers like any other, not followed. */
export interface WebAnswer { status: number, body: Buffer | null }

/** What a plugin is given. */
export interface Host {
  readonly log: Pick<LogStore, 'heads' | 'page'>
  readonly inbox: Pick<InboxStore, 'rows' | 'row'>
  readonly directory: Directory
  readonly clock: Clock
  readonly logger: Logger
  /** Made with the store and kept with it: what was learnt under another epoch (cursors, tokens) says nothing here. */
  readonly epoch: string
  readonly limits: { readonly groupMembers: number, readonly messageBytes: number }
  /**
   * Appends a system entry with its effects and fans it out; those who join or leave by it are told `conv-added`,
   * `conv-removed`. Resolves once it is durable.
   * @throws ParleyError conflict (effects.create and the group exists), unavailable
   */
  post (entry: { conv: ConvKey, from: UserId, body: unknown, effects?: Effects }): Promise<{ seq: number, ts: number }>
  /**
   * Moves a device's cursors to where it says that it stands; they never go back. Seqs above what the user may see of a
   * conversation, and conversations that are not in the inbox, are ignored.
   */
  moveCursors (user: UserId, device: DeviceId, seqs: ReadonlyMap<ConvKey, number>): Promise<void>
  /** On `me/evt` of the user's connected devices; lost for those that are away. */
  tell (user: UserId, event: Event): void
  operation (op: Operation): void
  /**
   * A bounded HTTP request; connections are kept and used again. Credentials in the URL are sent as Basic.
   * @throws Error why there is no answer, in words that hold nothing of the URL's credentials
   */
  request (url: string, request: WebRequest): Promise<WebAnswer>
}

export interface Plugin<C extends TSchema = TSchema> {
  name: string
  /** Schema of its own options. */
  config?: C
  /** Longest run of one hook call, ms. Default 1,000. */
  timeoutMs?: number
  /**
   * For `check-config`: throws an Error, in words for an operator, when what the options name (a file, a key) is no good.
   * Starts nothing. `setup` is not called then.
   */
  check? (config: Static<C>): void | Promise<void>
  setup (host: Host, config: Static<C>): Hooks | void | Promise<Hooks | void>
}

export const definePlugin = <C extends TSchema>(plugin: Plugin<C>): Plugin<C> => plugin
