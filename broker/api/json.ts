import { RawJson } from '../plugin.js'

/** Collects the pieces of one answer: text is gathered, bytes that are JSON already go in as they stand. */
class Pieces {
  readonly #done: Buffer[] = []
  #text = ''

  text (s: string): void { this.#text += s }

  bytes (b: Buffer): void {
    if (this.#text !== '') this.#done.push(Buffer.from(this.#text))
    this.#text = ''
    this.#done.push(b)
  }

  whole (): Buffer {
    const rest = Buffer.from(this.#text)
    return this.#done.length === 0 ? rest : Buffer.concat([...this.#done, rest])
  }
}

const hasToJson = (v: object): boolean => typeof (v as { toJSON?: unknown }).toJSON === 'function'
/** JSON has no word for these: left out of objects, null in arrays. */
const isNothing = (v: unknown): boolean => v === undefined || typeof v === 'function' || typeof v === 'symbol'

function write (v: unknown, out: Pieces): void {
  if (v instanceof RawJson) return out.bytes(v.bytes)
  if (typeof v !== 'object' || v === null || hasToJson(v)) return out.text(JSON.stringify(v) ?? 'null')
  let comma = ''
  if (Array.isArray(v)) {
    out.text('[')
    for (const item of v) { out.text(comma); comma = ','; write(isNothing(item) ? null : item, out) }
    return out.text(']')
  }
  out.text('{')
  for (const [name, value] of Object.entries(v)) {
    if (isNothing(value)) continue
    out.text(`${comma}${JSON.stringify(name)}:`)
    comma = ','
    write(value, out)
  }
  out.text('}')
}

/**
 * What JSON.stringify would give, as bytes, with every {@link RawJson} in its place as it stands: entries go from the
 * store into an answer without being parsed. Recursive: only for values that the broker made or checked the depth of.
 */
export function jsonBytes (value: unknown): Buffer {
  const out = new Pieces()
  write(value, out)
  return out.whole()
}
