import { covers, matches, shareOf } from './filters.js'
import type { DeviceId, UserId } from './ids.js'

/** What a client wants of an ordinary topic. */
export type TopicAction = 'publish' | 'subscribe'

/**
 * One rule of the configuration or of a token: it has `allow` or `deny`, never both. `topic` is a filter in which `%u`
 * stands for the user and `%d` for the device; `users` left out or holding `*` means everybody.
 */
export interface AclRule { allow?: TopicAction[], deny?: TopicAction[], topic: string, users?: string[] }

/** The rules of the configuration; they change at a reload. */
export class AclBook {
  version = 0
  constructor (public rules: readonly AclRule[]) {}
  replace (rules: readonly AclRule[]): void { this.rules = rules; this.version++ }
}

/** Whom rules are judged for. `acl`: the credential's own, which come first. */
export interface AclSubject { user: UserId, device: DeviceId, admin: boolean, acl?: readonly AclRule[] }

interface Compiled { allow: boolean, publish: boolean, subscribe: boolean, levels: readonly string[] }

/** `%d` of a device id that holds a wildcard or `/` would reach what is not the device's (operator.md, ACL). */
const AMBIGUOUS = /[+#/]/

function unshared (filter: string): string {
  const share = shareOf(filter)
  return share === null || share === 'bad' ? filter : share.filter
}

function compile (rule: AclRule, { user, device }: AclSubject): Compiled | null {
  if (rule.users !== undefined && !rule.users.includes('*') && !rule.users.includes(user)) return null
  if (rule.topic.includes('%d') && AMBIGUOUS.test(device)) return null
  const actions = rule.allow ?? rule.deny ?? []
  return {
    allow: rule.allow !== undefined,
    publish: actions.includes('publish'),
    subscribe: actions.includes('subscribe'),
    levels: rule.topic.replaceAll(/%[ud]/g, what => what === '%u' ? user : device).split('/')
  }
}

/** The rules for ordinary topics as they concern one device: the first that matches decides, no match denies. */
export class TopicAcl {
  private compiled: readonly Compiled[] = []
  private compiledVersion = -1
  constructor (private readonly book: AclBook, private readonly subject: AclSubject) {}

  /** Changes when the rules did. */
  get version (): number { return this.book.version }

  private get rules (): readonly Compiled[] {
    if (this.compiledVersion !== this.book.version) {
      this.compiledVersion = this.book.version
      this.compiled = [...this.subject.acl ?? [], ...this.book.rules].flatMap(r => compile(r, this.subject) ?? [])
    }
    return this.compiled
  }

  /** Whether the device may publish there; nobody publishes on `$…`. */
  mayPublish (topic: string): boolean {
    if (topic.startsWith('$')) return false
    const levels = topic.split('/')
    return this.rules.find(r => r.publish && matches(r.levels, levels))?.allow === true
  }

  /** Whether one rule allows the whole filter; `$share/x/F` is judged as F. */
  maySubscribe (filter: string): boolean {
    filter = unshared(filter)
    if (filter.startsWith('$')) return this.maySys(filter)
    const levels = filter.split('/')
    return this.rules.find(r => r.subscribe && covers(r.levels, levels))?.allow === true
  }

  /** Whether the device may be given a message of that topic, whatever filter it was granted. */
  mayReceive (topic: string): boolean {
    if (topic.startsWith('$')) return this.maySys(topic)
    const levels = topic.split('/')
    return this.rules.find(r => r.subscribe && matches(r.levels, levels))?.allow === true
  }

  /** Whether all that the filter matches may be received, so that no message of it need be judged. */
  allows (filter: string): boolean {
    filter = unshared(filter)
    if (filter.startsWith('$')) return this.maySys(filter)
    const levels = filter.split('/')
    for (const r of this.rules) {
      if (!r.subscribe) continue
      if (!r.allow) return false // it may overlap: each message is judged
      if (covers(r.levels, levels)) return true
    }
    return false
  }

  private maySys (topic: string): boolean { return this.subject.admin && (topic === '$SYS' || topic.startsWith('$SYS/')) }
}
