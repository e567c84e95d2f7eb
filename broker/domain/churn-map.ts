/**
 * A Map for entries that come and go for as long as its owner lives, in order of insertion.
 *
 * V8 leaves in each table that a Map has outgrown, or cleared of what was deleted, a pointer to the next one. Once one
 * of them is in the old generation, all later tables and all that they ever held survive until the next major
 * collection; at 5,000 messages a second that was 6 MB a second, and a stop of 10 ms every other second. So the Map
 * itself is replaced, before there is a long row of tables. (`make bench`, steady; test/unit/churn-map.test.ts)
 */
export class ChurnMap<K, V> {
  #map = new Map<K, V>()
  #deleted = 0

  get size (): number { return this.#map.size }
  has (key: K): boolean { return this.#map.has(key) }
  get (key: K): V | undefined { return this.#map.get(key) }
  set (key: K, value: V): void { this.#map.set(key, value) }

  delete (key: K): boolean {
    if (!this.#map.delete(key)) return false
    if (++this.#deleted > SPARE + this.#map.size) {
      this.#map = new Map(this.#map)
      this.#deleted = 0
    }
    return true
  }

  /** While it is iterated, nothing may be added or deleted. */
  values (): IterableIterator<V> { return this.#map.values() }
}

/** With fewer deletions than this no Map is replaced, however small it is. */
const SPARE = 16
