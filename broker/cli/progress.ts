import type { Step } from '../transfer/export.js'

/** A sign of life about once a second, on standard error; a signal ends the work at its next step, so that the store is closed. */
export class Progress {
  private line = ''
  private told = ''
  private stopped = ''
  private readonly timer = setInterval(() => { this.tell() }, 1000).unref()
  private readonly onSignal = (signal: string): void => { this.stopped = signal }

  constructor (private readonly say: (text: string) => void) {
    process.on('SIGINT', this.onSignal).on('SIGTERM', this.onSignal)
  }

  readonly step: Step = (what, done, of) => {
    if (this.stopped !== '') throw new Error(`stopped by ${this.stopped}; nothing is whole yet: run it again`)
    this.line = `${what}: ${done}${of === undefined ? '' : ` of ${of}`}`
  }

  private tell (): void {
    if (this.line === this.told) return
    this.say(`${this.line}\n`)
    this.told = this.line
  }

  end (): void {
    clearInterval(this.timer)
    process.off('SIGINT', this.onSignal).off('SIGTERM', this.onSignal)
  }
}
