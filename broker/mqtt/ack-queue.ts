/**
 * Answers to a connection's publishes, in the order in which they came [MQTT-4.6.0-2], however their commits, look-ups
 * and hooks overtake each other.
 */
export class AckQueue {
  private items: Pending[] = []
  /** Publishes and their bytes that wait for an answer. */
  count = 0
  bytes = 0

  open (packetId: number, qos: 0 | 1 | 2, bytes: number): Pending {
    const p = new Pending(packetId, qos, bytes)
    this.items.push(p)
    this.count++
    this.bytes += bytes
    return p
  }

  /** Notes the answer and writes every answer that is due. */
  settle (p: Pending, write: (() => void) | null): void {
    p.settled = true
    p.write = write
    let n = 0
    while (n < this.items.length && this.items[n]!.settled) {
      const first = this.items[n++]!
      this.count--
      this.bytes -= first.bytes
      first.write?.()
    }
    if (n === this.items.length) this.items = []
    else if (n > 0) this.items.splice(0, n)
  }

  get empty (): boolean { return this.items.length === 0 }
}

/** One publish that is not answered yet. */
export class Pending {
  settled = false
  write: (() => void) | null = null
  constructor (readonly packetId: number, readonly qos: 0 | 1 | 2, readonly bytes: number) {}
}
