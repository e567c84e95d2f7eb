import type { ConvKey } from '../domain/ids.js'
import type { EntryView } from './outgoing.js'

const PER_CONVERSATION = 256
/**
 * What a small entry keeps beside its own bytes: it, and what is made of it for receivers, are slices of slabs of
 * Buffer.poolSize (8 KiB), which stay whole while one slice is held. Where most of what else is in them is gone soon, it is
 * two slabs for three entries of four. (make fuzz: 6,700 entries held 75 MB)
 */
const ENTRY_OVERHEAD_BYTES = 12 << 10

/**
 * The newest entries of conversations in which somebody lags a little, so that hundreds of members who are a few
 * entries behind are served from one copy, encoded once. Bounded by bytes; what is not here is read from the log.
 */
export class Recent {
  private readonly convs = new Map<ConvKey, EntryView[]>()
  private bytes = 0
  constructor (private readonly maxBytes = 32 << 20) {}

  add (view: EntryView): void {
    const key = view.entry.conv
    let ring = this.convs.get(key)
    const newest = ring === undefined ? 0 : ring[ring.length - 1]!.entry.seq
    if (newest === view.entry.seq) return
    if (ring === undefined || newest !== view.entry.seq - 1) {
      if (ring !== undefined) this.drop(key)
      ring = []
      this.convs.set(key, ring)
    }
    ring.push(view)
    this.bytes += sizeOf(view)
    if (ring.length > PER_CONVERSATION) this.bytes -= sizeOf(ring.shift()!)
    // Map keeps insertion order: the conversation that became busy first goes first
    while (this.bytes > this.maxBytes) this.drop(this.convs.keys().next().value!)
  }

  get (key: ConvKey, seq: number): EntryView | undefined {
    const ring = this.convs.get(key)
    return ring === undefined ? undefined : ring[seq - ring[0]!.entry.seq]
  }

  private drop (key: ConvKey): void {
    for (const v of this.convs.get(key)!) this.bytes -= sizeOf(v)
    this.convs.delete(key)
  }
}

const sizeOf = (v: EntryView): number => 2 * (v.entry.fields.length + (v.entry.bytes?.length ?? 0)) + ENTRY_OVERHEAD_BYTES
