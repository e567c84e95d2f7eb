/** A map of bounded size that forgets what was not asked for longest. */
export class Lru<V> {
  readonly #map = new Map<string, V>()

  constructor (readonly maxEntries: number) {}

  get size (): number { return this.#map.size }

  /** Undefined: never set, or forgotten. */
  get (key: string): V | undefined {
    const value = this.#map.get(key)
    if (value === undefined) return undefined
    // A Map keeps the order of insertion: what was asked for goes to its young end.
    this.#map.delete(key)
    this.#map.set(key, value)
    return value
  }

  set (key: string, value: V): void {
    this.#map.delete(key)
    this.#map.set(key, value)
    if (this.#map.size > this.maxEntries) this.#map.delete(this.#map.keys().next().value as string)
  }
}
