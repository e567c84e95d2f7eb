import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { Home, type Life } from '../../support/process.js'

// from the project's folder, where `make` and jest run: this file runs as written and as compiled, which is elsewhere
const BROKER = resolve('dist/main.js')
const PROBE = resolve('test/fuzz/live/probe.mjs')
/** Of pino: error. */
const ERROR_LEVEL = 50
/** Listeners that pile up, a rejection that nobody handles: Node says so on standard error. */
const NODE_WARNING = /^\(node:\d+\)/
/** Lines of the log that are shown with a failure. */
const LAST_LINES = 40

/** What a broker process says of itself, measured after a full garbage collection. */
export interface Sample {
  /** Longest pause of its event loop since the sample before. */
  pauseMs: number
  /** Live objects and buffers. */
  heapBytes: number
  /** Resident, but for what is mapped from the store's file. */
  anonymousBytes: number
}

/** A broker process under attack. Every user may use every ordinary topic, so that there is something to attack. */
export class Target {
  /** Why it is broken; null while it is not. */
  fault: string | null = null
  private over = false
  private asked: Promise<Sample | null> | null = null
  private readonly lines: string[] = []

  private constructor (private readonly home: Home, private readonly life: Life) {
    for (const stream of [life.child.stdout!, life.child.stderr!]) createInterface(stream).on('line', line => { this.hear(line) })
    life.child.once('close', (code, signal) => { this.over = true; this.fault ??= `the process ended (${signal ?? code}):\n${this.lastLines}` })
  }

  /** @throws Error when it does not start */
  static async start (): Promise<Target> {
    // small windows and replays, and sessions that end soon: the attack is on the packets, not on the disk
    const home = new Home({ acl: [{ allow: ['publish', 'subscribe'], topic: '#' }], limits: { replay: 3, replayTotal: 10, inFlight: 8, queuedMessages: 20, sessionExpirySeconds: 60, keepAliveMaxSeconds: 0 } })
    return new Target(home, await home.start(BROKER, { probe: PROBE }))
  }

  get port (): number { return this.life.mqttPort }
  get lastLines (): string { return this.lines.join('\n') }

  private hear (line: string): void {
    this.lines.push(line)
    if (this.lines.length > LAST_LINES) this.lines.shift()
    const isError = line.startsWith('{') ? (JSON.parse(line) as { level: number }).level >= ERROR_LEVEL : NODE_WARNING.test(line)
    if (isError) this.fault ??= `the broker logged an error:\n${line}`
  }

  /** Null: the process is gone. Whoever asks while an answer is due gets that one. */
  async sample (): Promise<Sample | null> {
    if (this.over) return null
    this.asked ??= this.ask().finally(() => { this.asked = null })
    return await this.asked
  }

  private async ask (): Promise<Sample | null> {
    const { child } = this.life
    child.send('sample', () => {}) // it may be gone by now: then it closes
    const answered = new AbortController()
    try {
      return await Promise.race([
        once(child, 'message', { signal: answered.signal }).then(([sample]) => sample as Sample),
        once(child, 'close', { signal: answered.signal }).then(() => null)
      ])
    } finally { answered.abort() }
  }

  /** Ends the process, as an operator would, and removes its data. What it was asked to keep must be kept: it exits with 0. */
  async stop (): Promise<void> {
    const broken = this.fault
    const code = await this.life.stop()
    if (!this.over) await once(this.life.child, 'close')
    this.fault = broken ?? (code === 0 ? null : `told to stop, the process ended with ${code}:\n${this.lastLines}`)
    await this.home.close()
  }
}
