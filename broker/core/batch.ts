import { deflateRawSync } from 'node:zlib'
import { type EntryView, Outgoing } from './outgoing.js'

/** Most bytes of JSON in one batch, before deflation; a larger entry stands alone (protocol.md, me/batch). */
const MAX_BATCH_BYTES = 64 << 10

/**
 * The longest prefix of `views` that one `me/batch` takes: raw deflate of a JSON array. `bytesOf` null: covered, but not
 * given (the device's own). `covered` counts views of the prefix; `out` is null when not even the first one fits.
 */
export function deflated (views: EntryView[], bytesOf: (v: EntryView) => Buffer | null, fits: (out: Outgoing) => boolean): { covered: number, out: Outgoing | null } {
  let most = views.length
  for (;;) {
    const parts: Buffer[] = []
    let bytes = 2
    let covered = 0
    for (const v of views.slice(0, most)) {
      const b = bytesOf(v)
      if (b !== null) {
        if (parts.length > 0 && bytes + b.length + 1 > MAX_BATCH_BYTES) break
        parts.push(b)
        bytes += b.length + 1
      }
      covered++
    }
    const json = Buffer.concat(parts.flatMap((p, i) => i === 0 ? [Buffer.from('['), p] : [Buffer.from(','), p]).concat(Buffer.from(']')))
    const out = new Outgoing('batch', deflateRawSync(json))
    if (fits(out)) return { covered, out }
    if (parts.length === 1) return { covered, out: null }
    most = Math.max(1, covered >> 1)
  }
}
