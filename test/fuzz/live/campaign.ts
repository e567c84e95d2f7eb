import { Couple } from './couple.js'
import { Misbehaviour, playScript, type Verdict } from './player.js'
import { PER_SCRIPT, type Script, scriptOf, written } from './script.js'
import { type Sample, Target } from './target.js'

/** Longest that the broker's event loop may stand still, on a machine that others use too. */
const MAX_PAUSE_MS = 1000
/** What live memory may differ between the second and the last fifth of a run. */
const MAX_GROWTH_BYTES = 24 << 20
/** Too few inputs say nothing about growth: caches fill first, and what is kept of entries takes 150,000 inputs for that. */
const GROWTH_FROM_INPUTS = 500_000
const SAMPLES = 50
/** Scripts that ended last and may yet be to blame for what the process does now. */
const LAST_SCRIPTS = 50

export interface Progress { played: number, inputs: number, perSecond: number, verdicts: Record<Verdict, number>, heapBytes: number, pauseMs: number, arrived: number, slowestMs: number }

/** What a campaign found. `fault` null: nothing. */
export interface Findings extends Progress {
  fault: string | null
  /** Numbers of the scripts that may be to blame, the likeliest first. */
  suspects: number[]
  samples: Sample[]
}

/** Many scripts at once against one broker process, while a couple chats. */
export class Campaign {
  private readonly verdicts: Record<Verdict, number> = { answered: 0, closed: 0, left: 0 }
  private readonly running = new Set<number>()
  private readonly ended: number[] = []
  private readonly samples: Sample[] = []
  private played = 0
  private sampling = false
  private fault: string | null = null
  private suspects: number[] = []
  private readonly beganMs = performance.now()

  private constructor (private readonly target: Target, private readonly couple: Couple, private readonly o: { seed: number, inputs: number, report?: (p: Progress) => void }) {}

  /** Plays `inputs` inputs of a seed, `parallel` scripts at once, until the first fault. */
  static async run (o: { seed: number, inputs: number, parallel: number, report?: (p: Progress) => void }): Promise<Findings> {
    const target = await Target.start()
    try {
      const campaign = new Campaign(target, await Couple.join(target.port), o)
      return await campaign.run(o.parallel)
    } finally { await target.stop() }
  }

  private async run (parallel: number): Promise<Findings> {
    let next = 0
    const last = Math.ceil(this.o.inputs / PER_SCRIPT)
    const lane = async (): Promise<void> => { while (next < last && this.fault === null) await this.play(next++) }
    await Promise.all(Array.from({ length: parallel }, lane))
    await this.sample()
    await this.couple.stop()
    this.fault ??= this.faultNow() ?? this.growth()
    return { ...this.progress(), fault: this.fault, suspects: this.suspects, samples: this.samples }
  }

  private async play (n: number): Promise<void> {
    this.running.add(n)
    try {
      await playScript(this.target.port, scriptOf(this.o.seed, n), v => { this.verdicts[v]++; this.played++ })
    } catch (e) {
      // of a process that is gone every connection breaks: then none of them is the news
      await this.target.sample()
      if (this.target.fault === null) this.found(e instanceof Misbehaviour ? e.message : (e as Error).stack ?? String(e), [n])
    }
    this.running.delete(n)
    this.ended.unshift(n)
    if (this.ended.length > LAST_SCRIPTS) this.ended.pop()
    const now = this.faultNow()
    if (now !== null) this.found(now, [n, ...this.running, ...this.ended])
    if (!this.sampling && this.played * SAMPLES >= this.o.inputs * (this.samples.length + 1)) await this.sample()
  }

  private found (fault: string, suspects: number[]): void {
    if (this.fault !== null) return
    this.fault = fault
    this.suspects = [...new Set(suspects)]
  }

  private faultNow (): string | null {
    const pause = this.samples.at(-1)?.pauseMs ?? 0
    return this.target.fault ?? this.couple.fault ?? (pause > MAX_PAUSE_MS ? `the event loop stood still for ${Math.round(pause)} ms` : null)
  }

  private async sample (): Promise<void> {
    this.sampling = true
    const sample = await this.target.sample()
    this.sampling = false
    if (sample === null) return
    this.samples.push(sample)
    this.o.report?.(this.progress())
  }

  /** Compares the medians of live memory in the second and the last fifth: the first one fills caches. */
  private growth (): string | null {
    if (this.played < GROWTH_FROM_INPUTS) return null
    const fifth = Math.floor(this.samples.length / 5)
    const median = (of: Sample[]): number => of.map(s => s.heapBytes).sort((a, b) => a - b)[of.length >> 1]!
    const grown = median(this.samples.slice(-fifth)) - median(this.samples.slice(fifth, 2 * fifth))
    return grown > MAX_GROWTH_BYTES ? `live memory grew by ${(grown / 1e6).toFixed(1)} MB between the second and the last fifth` : null
  }

  private progress (): Progress {
    const { played, verdicts, couple } = this
    const now = this.samples.at(-1)
    return {
      played, inputs: this.o.inputs, verdicts, perSecond: played / (performance.now() - this.beganMs) * 1000,
      heapBytes: now?.heapBytes ?? 0, pauseMs: Math.max(0, ...this.samples.map(s => s.pauseMs)), arrived: couple.arrived, slowestMs: couple.slowestMs
    }
  }
}

/** Plays one script alone against a broker, a fresh one unless it is given. Null: all was well; else what was not. */
export async function replay (s: Script, on?: Target): Promise<string | null> {
  const target = on ?? await Target.start()
  try {
    const couple = await Couple.join(target.port)
    let wrong: string | null = null
    try { await playScript(target.port, s, () => {}) } catch (e) { wrong = (e as Error).message }
    const sample = await target.sample() // comes after all that the broker had begun
    await couple.stop()
    if (sample !== null && sample.pauseMs > MAX_PAUSE_MS) wrong ??= `the event loop stood still for ${Math.round(sample.pauseMs)} ms`
    return target.fault ?? wrong ?? couple.fault
  } finally { if (on === undefined) await target.stop() }
}

/** Of the scripts that may be to blame, the one that does it alone, as a file to keep; undefined when none does. */
export async function culprit (seed: number, suspects: readonly number[]): Promise<{ n: number, file: string } | undefined> {
  for (const n of suspects) {
    const script = scriptOf(seed, n)
    const why = await replay(script)
    if (why !== null) return { n, file: written(script, why) }
  }
  return undefined
}
