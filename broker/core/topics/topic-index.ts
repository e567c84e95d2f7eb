/** Topics, found by filter: the names of what is retained. */

class Node<T> {
  children: Map<string, Node<T>> | null = null
  value: T | undefined = undefined
}

export class TopicIndex<T> {
  private readonly root = new Node<T>()
  size = 0

  get (topic: string): T | undefined {
    let node: Node<T> | undefined = this.root
    for (const level of topic.split('/')) {
      node = node.children?.get(level)
      if (node === undefined) return undefined
    }
    return node.value
  }

  set (topic: string, value: T): void {
    let node = this.root
    for (const level of topic.split('/')) {
      node.children ??= new Map()
      let next = node.children.get(level)
      if (next === undefined) node.children.set(level, next = new Node())
      node = next
    }
    if (node.value === undefined) this.size++
    node.value = value
  }

  /** Idempotent. */
  delete (topic: string): void { this.take(this.root, topic.split('/'), 0) }

  private take (node: Node<T>, levels: readonly string[], i: number): void {
    if (i === levels.length) {
      if (node.value !== undefined) this.size--
      node.value = undefined
      return
    }
    const next = node.children?.get(levels[i]!)
    if (next === undefined) return
    this.take(next, levels, i + 1)
    if (next.value !== undefined || next.children !== null) return
    node.children!.delete(levels[i]!)
    if (node.children!.size === 0) node.children = null
  }

  /** The topics that a filter matches [MQTT-4.7]. */
  matching (filter: string): string[] {
    const found: string[] = []
    this.walk(this.root, filter.split('/'), 0, [], found)
    return found
  }

  private walk (node: Node<T>, filter: readonly string[], i: number, path: string[], found: string[]): void {
    const level = filter[i]
    if (level === undefined) {
      if (node.value !== undefined) found.push(path.join('/'))
      return
    }
    if (level === '#' && i > 0 && node.value !== undefined) found.push(path.join('/')) // the parent level too [MQTT-4.7.1-2]
    for (const [name, next] of level === '#' || level === '+' ? node.children ?? [] : this.one(node, level)) {
      if (i === 0 && (level === '#' || level === '+') && name.startsWith('$')) continue // [MQTT-4.7.2-1]
      path.push(name)
      if (level === '#') this.all(next, path, found)
      else this.walk(next, filter, i + 1, path, found)
      path.pop()
    }
  }

  private one (node: Node<T>, level: string): [string, Node<T>][] {
    const next = node.children?.get(level)
    return next === undefined ? [] : [[level, next]]
  }

  private all (node: Node<T>, path: string[], found: string[]): void {
    if (node.value !== undefined) found.push(path.join('/'))
    for (const [name, next] of node.children ?? []) {
      path.push(name)
      this.all(next, path, found)
      path.pop()
    }
  }
}
