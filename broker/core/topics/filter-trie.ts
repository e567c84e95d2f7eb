/** Filters and what hangs on them, found by topic. Maps, not objects: levels may be called `__proto__`. */

class Node<T> {
  children: Map<string, Node<T>> | null = null
  /** `+` */
  plus: Node<T> | null = null
  /** Of filters that end in `#` here. */
  rest: Set<T> | null = null
  /** Of filters that end here. */
  here: Set<T> | null = null

  get empty (): boolean { return this.children === null && this.plus === null && this.rest === null && this.here === null }
}

/** Filters must be well formed; a value may stand under many filters, and a filter may have many values. */
export class FilterTrie<T> {
  private readonly root = new Node<T>()
  /** Changes whenever what {@link match} gives may have changed. */
  version = 0

  add (filter: string, value: T): void {
    this.version++
    let node = this.root
    for (const level of filter.split('/')) {
      if (level === '#') { (node.rest ??= new Set()).add(value); return }
      if (level === '+') { node = node.plus ??= new Node(); continue }
      node.children ??= new Map()
      let next = node.children.get(level)
      if (next === undefined) node.children.set(level, next = new Node())
      node = next
    }
    ;(node.here ??= new Set()).add(value)
  }

  /** Idempotent. */
  remove (filter: string, value: T): void {
    this.version++
    this.take(this.root, filter.split('/'), 0, value)
  }

  private take (node: Node<T>, levels: readonly string[], i: number, value: T): void {
    if (i === levels.length) { node.here = without(node.here, value); return }
    const level = levels[i]!
    if (level === '#') { node.rest = without(node.rest, value); return }
    const next = level === '+' ? node.plus : node.children?.get(level)
    if (next === undefined || next === null) return
    this.take(next, levels, i + 1, value)
    if (!next.empty) return
    if (level === '+') node.plus = null
    else {
      node.children!.delete(level)
      if (node.children!.size === 0) node.children = null
    }
  }

  /** Every value whose filter matches the topic, once per filter, in no promised order [MQTT-4.7]. */
  match (topic: string, found: (value: T) => void): void {
    const levels = topic.split('/')
    this.walk(this.root, levels, 0, levels[0]!.startsWith('$'), found)
  }

  private walk (node: Node<T>, levels: readonly string[], i: number, dollar: boolean, found: (value: T) => void): void {
    const wild = !dollar || i > 0 // [MQTT-4.7.2-1]
    if (node.rest !== null && wild) for (const v of node.rest) found(v)
    if (i === levels.length) {
      if (node.here !== null) for (const v of node.here) found(v)
      return
    }
    const next = node.children?.get(levels[i]!)
    if (next !== undefined) this.walk(next, levels, i + 1, dollar, found)
    if (node.plus !== null && wild) this.walk(node.plus, levels, i + 1, dollar, found)
  }
}

function without<T> (set: Set<T> | null, value: T): Set<T> | null {
  set?.delete(value)
  return set === null || set.size === 0 ? null : set
}
