/** Letters alone: `message_bytes`, `message-bytes` and `messagebytes` all mean `messageBytes`. */
const plain = (name: string): string => name.toLowerCase().replace(/[_\-\s]/g, '')

/** Edits (insert, delete, replace, swap neighbours) between two names. */
function distance (a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      let cost = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] ?? 0) + 1)
      row.push(cost)
    }
    before = last
    last = row
  }
  return last[b.length] ?? 0
}

/** The known name closest to a mistyped one; undefined when none is near enough to be meant (more than about a third differs). */
export function nearest (name: string, known: Iterable<string>): string | undefined {
  const wanted = plain(name).slice(0, 100)
  let best: string | undefined
  let bestCost = Infinity
  for (const candidate of known) {
    const other = plain(candidate)
    const cost = distance(wanted, other)
    if (cost < bestCost && cost <= Math.max(1, Math.ceil(Math.max(wanted.length, other.length) * 0.34))) [best, bestCost] = [candidate, cost]
  }
  return best
}

/** `; did you mean …?` for the end of a message; empty when nothing is near. */
export function meant (name: string, known: Iterable<string>): string {
  const near = nearest(name, known)
  return near === undefined ? '' : `; did you mean ${near}?`
}
