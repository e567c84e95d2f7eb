// How long messages were under way. The time travels as 16 digits behind an "@", so that it is found in an entry's JSON
// as well as in a plain payload; one process sends and receives, so one clock is enough.

const MARK = '@'.charCodeAt(0)
const DIGITS = 16

/** Microseconds of this process. */
export const nowUs = () => Math.round(performance.now() * 1000)

/** A message of about `bytes` bytes with room for a time. */
export const payload = (bytes) => Buffer.from(`{"body":"@${'0'.repeat(DIGITS)}${'x'.repeat(Math.max(0, bytes - 40))}"}`)

/** Writes a time into a payload; sending copies it, so one buffer serves all messages of a sender. */
export function stamp (message, timeUs = nowUs()) {
  message.write(String(timeUs).padStart(DIGITS, '0'), message.indexOf(MARK) + 1, 'latin1')
  return message
}

/** The time in bytes[start, end), null when there is none. */
export function stampOf (bytes, start, end) {
  const mark = bytes.indexOf(MARK, start)
  return mark < 0 || mark > end ? null : Number(bytes.latin1Slice(mark + 1, mark + 1 + DIGITS))
}

/** Latencies of every `every`-th message; a prime keeps it from meeting the same receiver each time. */
export class Latencies {
  #us = []
  #seen = 0
  constructor (every = 1) { this.every = every }

  take (bytes, start, end) {
    if (++this.#seen % this.every !== 0) return
    const sent = stampOf(bytes, start, end)
    if (sent !== null) this.#us.push(nowUs() - sent)
  }

  add (us) { this.#us.push(us) }
  get count () { return this.#us.length }

  /** Milliseconds, null when nothing was measured. */
  summary () {
    const sorted = Float64Array.from(this.#us).sort()
    const at = (share) => sorted.length === 0 ? null : +(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] / 1000).toFixed(2)
    return { p50: at(0.5), p99: at(0.99), max: at(1) }
  }
}
