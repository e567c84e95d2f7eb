import { type ConvKey, directKey, type GroupId, groupKey, isGroupId, isUserId, type UserId } from './ids.js'

/** What comes to a device, each on its own topic (`me/msg` or `u/{me}/msg`). */
export const BRANCHES = ['msg', 'ack', 'rcpt', 'sig', 'rpc', 'gap', 'evt', 'batch'] as const
export type Branch = typeof BRANCHES[number]

/** First levels that are ours; everything else is ordinary MQTT (protocol.md). */
const OURS = new Set(['me', 'u', 'g', 'rpc', 'state', 'presence', 'p', 'parley'])

const firstLevel = (topic: string): string => {
  const cut = topic.indexOf('/')
  return cut < 0 ? topic : topic.slice(0, cut)
}
export const isOurs = (topic: string): boolean => OURS.has(firstLevel(topic))

/** Printable ASCII but `/ + #`; its length is the content's matter. */
const TOPIC_CID = /^[ -"$-*,-.0-~]+$/

/** A publish on one of our topics. */
export type Publish =
  | { kind: 'msg' | 'raw', to: Target, cid?: string }
  | { kind: 'sig' | 'rcpt', to: Target }
  | { kind: 'rpc', method: string }
  | { kind: 'state' }

/** A conversation as its topic names it. */
export type Target = { user: UserId } | { group: GroupId }

/** The conversation that `me` means by it. */
export const keyOf = (to: Target, me: UserId): ConvKey => 'user' in to ? directKey(me, to.user) : groupKey(to.group)

function target (level: string, id: string): Target | null {
  if (level === 'u') return isUserId(id) ? { user: id } : null
  return isGroupId(id) ? { group: id } : null
}

/** Null: no topic of the grammar of protocol.md, "What a client publishes". */
export function parsePublish (topic: string): Publish | null {
  if (topic === 'state') return { kind: 'state' }
  const cut = topic.indexOf('/')
  const first = topic.slice(0, cut)
  if (first === 'rpc') {
    const method = topic.slice(4)
    return /^[a-z]+(\.[a-z]+)?$/.test(method) ? { kind: 'rpc', method } : null
  }
  if (first !== 'u' && first !== 'g') return null
  const second = topic.indexOf('/', 2)
  if (second < 0) return null
  const to = target(first, topic.slice(2, second))
  if (to === null) return null
  const third = topic.indexOf('/', second + 1)
  const kind = topic.slice(second + 1, third < 0 ? undefined : third)
  if (kind === 'msg' || kind === 'raw') {
    if (third < 0) return { kind, to }
    const cid = topic.slice(third + 1)
    return TOPIC_CID.test(cid) ? { kind, to, cid } : null
  }
  return (kind === 'sig' || kind === 'rcpt') && third < 0 ? { kind, to } : null
}

/** Whether the wildcards of a filter stand where they may, and there is something [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1]. */
export const isFilter = (s: string): boolean => s !== '' && !/[^/][+#]|\+[^/]|#./s.test(s)

/** A filter on one's own inbox. `branch` null: all branches but `batch`; `deep`: it ends in `#`. */
export interface InboxFilter { deep: boolean, spelling: 'short' | 'long', branch: Branch | null }
/** `foreign`: a filter whose first level is ours and that nobody is granted. `ordinary`: the ACL decides. */
export type Filter = InboxFilter | 'foreign' | 'ordinary'

/** What a subscription filter asks for, seen from `me`. */
export function parseFilter (filter: string, me: UserId): Filter {
  if (filter.startsWith('$share/')) {
    const inner = filter.slice(filter.indexOf('/', 7) + 1)
    return filter.indexOf('/', 7) > 0 && isOurs(inner) ? 'foreign' : 'ordinary'
  }
  if (!isOurs(filter)) return 'ordinary'
  let spelling: 'short' | 'long'
  let rest: string
  if (filter.startsWith('me/')) { spelling = 'short'; rest = filter.slice(3) } else if (filter.startsWith(`u/${me}/`)) { spelling = 'long'; rest = filter.slice(me.length + 3) } else return 'foreign'
  if (rest === '#' || rest === '+') return { spelling, branch: null, deep: rest === '#' }
  return (BRANCHES as readonly string[]).includes(rest) ? { spelling, branch: rest as Branch, deep: false } : 'foreign'
}

/** The filter, when it is one of the user's own inbox. */
export function inboxFilter (filter: string, me: UserId): InboxFilter | null {
  const f = parseFilter(filter, me)
  return typeof f === 'string' ? null : f
}
