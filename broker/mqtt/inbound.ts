/** Cuts a byte stream into MQTT packets. A large packet is gathered in pieces, never copied again and again. */

/** What a cutter does with what it finds. */
export interface Sink {
  /** One whole packet: the fixed header begins at `start`, the body at `body`; both end before `end`. */
  packet (b: Buffer, start: number, body: number, end: number): void
  /** False: what follows is kept and not looked at until {@link Inbound.go}. */
  readonly reading: boolean
  /** A packet of this size is beginning. `skip`: read and drop it; a string closes the connection. */
  sized (header: number, bytes: number): 'take' | 'skip' | 'refuse'
  /** The first bytes of a skipped packet, at most {@link HEAD_BYTES}, from its fixed header on. */
  skipped (head: Buffer): void
  /** The stream is no MQTT. */
  malformed (why: string): void
}

/** Enough of a skipped PUBLISH for its topic and packet id. */
export const HEAD_BYTES = 65_536 + 16

export class Inbound {
  /** What came and was not cut yet. */
  private parts: Buffer[] | null = null
  private have = 0
  /** Bytes wanted before it is worth looking again. */
  private want = 0
  private cutOff: 'header' | 'packet' | null = null
  private skipLeft = 0
  private skipHead: Buffer[] | null = null

  /** Bytes kept. */
  get kept (): number { return this.have }

  /** What the client has begun and not finished: a packet's fixed header, or the packet. */
  get partial (): 'header' | 'packet' | null { return this.skipLeft > 0 ? 'packet' : this.cutOff }

  data (chunk: Buffer, sink: Sink): void {
    if (this.have > 0) {
      this.parts!.push(chunk)
      this.have += chunk.length
      if (this.have < this.want || !sink.reading) return
      chunk = this.take()
    }
    this.cut(chunk, sink)
  }

  /** Goes on with what was kept while the sink was not reading. */
  go (sink: Sink): void { if (this.have > 0) this.cut(this.take(), sink) }

  private take (): Buffer {
    const b = this.parts!.length === 1 ? this.parts![0]! : Buffer.concat(this.parts!, this.have)
    this.parts = null
    this.have = 0
    this.want = 0
    this.cutOff = null
    return b
  }

  private keep (b: Buffer, want: number, cutOff: 'header' | 'packet' | null): void {
    this.parts = [b]
    this.have = b.length
    this.want = want
    this.cutOff = cutOff
  }

  private cut (b: Buffer, sink: Sink): void {
    let at = 0
    while (at < b.length) {
      if (this.skipLeft > 0) { at = this.skip(b, at, sink); continue }
      if (!sink.reading) { this.keep(b.subarray(at), 0, null); return }
      let length = 0
      let shift = 1
      let body = at + 1
      let byte = 128
      while (byte > 127 && body < b.length) {
        if (body - at > 4) { sink.malformed('the remaining length has more than four bytes'); return }
        byte = b[body++]!
        length += (byte & 127) * shift
        shift *= 128
      }
      if (byte > 127) {
        if (body - at > 4) { sink.malformed('the remaining length has more than four bytes'); return }
        this.keep(b.subarray(at), 0, 'header')
        return
      }
      const end = body + length
      if (end > b.length || length > 65_536) {
        const verdict = sink.sized(b[at]!, end - at)
        if (verdict === 'refuse') return
        if (verdict === 'skip') { this.skipLeft = end - at; this.skipHead = []; continue }
        if (end > b.length) { this.keep(b.subarray(at), end - at, 'packet'); return }
      }
      sink.packet(b, at, body, end)
      at = end
    }
  }

  private skip (b: Buffer, at: number, sink: Sink): number {
    const n = Math.min(this.skipLeft, b.length - at)
    const got = this.skipHead!.reduce((sum, p) => sum + p.length, 0)
    if (got < HEAD_BYTES) this.skipHead!.push(Buffer.from(b.subarray(at, at + Math.min(n, HEAD_BYTES - got))))
    this.skipLeft -= n
    if (this.skipLeft === 0) {
      const head = Buffer.concat(this.skipHead!)
      this.skipHead = null
      sink.skipped(head)
    }
    return at + n
  }
}
