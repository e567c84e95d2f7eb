/** Topic filters of ordinary MQTT: what they match, and which of two is the wider one. */

const HASH = '#'
const PLUS = '+'

/** `$share/{group}/{filter}` [MQTT-4.8.2-1]. */
export interface Share { group: string, filter: string }

/** Whether a topic may be published to: not empty, without wildcards [MQTT-3.3.2-2] [MQTT-4.7.3-1]. */
export const isTopicName = (s: string): boolean => s !== '' && !s.includes(HASH) && !s.includes(PLUS)

/** The two parts of a shared subscription; null: it is none; `bad`: it begins like one and is none [MQTT-4.8.2-1] [MQTT-4.8.2-2]. */
export function shareOf (filter: string): Share | null | 'bad' {
  if (!filter.startsWith('$share/')) return null
  const cut = filter.indexOf('/', 7)
  if (cut <= 7 || cut === filter.length - 1) return 'bad'
  const group = filter.slice(7, cut)
  return group.includes(HASH) || group.includes(PLUS) ? 'bad' : { group, filter: filter.slice(cut + 1) }
}

/** A wildcard in front matches no topic that begins with `$` [MQTT-4.7.2-1]. */
const startsWild = (levels: readonly string[]): boolean => levels[0] === HASH || levels[0] === PLUS

/** Whether a filter, as its levels, matches a topic, as its levels [MQTT-4.7.1-1 to 4.7.3-4]. */
export function matches (filter: readonly string[], topic: readonly string[]): boolean {
  if (topic[0]!.startsWith('$') && startsWild(filter)) return false
  for (let i = 0; i < filter.length; i++) {
    if (filter[i] === HASH) return true
    if (i >= topic.length || (filter[i] !== PLUS && filter[i] !== topic[i])) return false
  }
  return filter.length === topic.length
}

/** Whether every topic that `narrow` matches is matched by `wide`; both as their levels. */
export function covers (wide: readonly string[], narrow: readonly string[]): boolean {
  if (narrow[0]!.startsWith('$') && startsWild(wide)) return false
  for (let i = 0; i < wide.length; i++) {
    if (wide[i] === HASH) return true
    if (i >= narrow.length || narrow[i] === HASH) return false
    if (wide[i] !== PLUS && wide[i] !== narrow[i]) return false
  }
  return wide.length === narrow.length
}

/** Levels of a topic or filter. Walks over them recurse, and 64 kB of `/` would be a level each. */
export const MAX_LEVELS = 100

/** Whether a topic or filter has no more than {@link MAX_LEVELS}. */
export function fewLevels (s: string): boolean {
  let n = 1
  for (let i = s.indexOf('/'); i >= 0; i = s.indexOf('/', i + 1)) if (++n > MAX_LEVELS) return false
  return true
}
