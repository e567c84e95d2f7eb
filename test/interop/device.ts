import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** One line that a client program printed (README.md). */
export interface Heard { event: string, topic?: string, payload?: Record<string, unknown> }

const WAIT_MS = 25_000
const running = new Set<ChildProcess>()

/** Put into `afterAll`: ends the programs that a failed test left behind. */
export async function endAll (): Promise<void> {
  await Promise.all([...running].map(async child => {
    kill(child)
    await once(child, 'close')
  }))
}

/** With what it started: each program has a process group of its own. */
const kill = (child: ChildProcess): void => { try { process.kill(-child.pid!, 'SIGKILL') } catch { /* it ended by itself */ } }

/** A client program that runs: what is typed into it and what it prints. */
export class Device {
  readonly heard: Heard[] = []
  #said = ''
  #ended = false
  #wake: (() => void)[] = []
  readonly #over: Promise<unknown>

  private constructor (private readonly child: ChildProcess) {
    running.add(child)
    this.#over = new Promise(resolve => child.once('close', code => {
      running.delete(child)
      this.#ended = true
      this.#stir()
      resolve(code)
    }))
    let rest = ''
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.#read(line)
      this.#stir()
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => { this.#said += text })
    child.stdin!.on('error', () => {}) // a program that ended early is seen at `close`
  }

  static start (command: readonly string[], more: NodeJS.ProcessEnv = {}): Device {
    return new Device(spawn(command[0]!, command.slice(1), { env: { ...process.env, ...more }, stdio: 'pipe', detached: true }))
  }

  /** What it received on a branch of the inbox and had not received before, in order. */
  on (branch: string): Record<string, unknown>[] {
    return this.heard.filter(h => h.event === 'received' && h.topic === branch).map(h => h.payload!)
  }

  count (event: string): number { return this.heard.filter(h => h.event === event).length }

  type (line: string): void { this.child.stdin!.write(`${line}\n`) }

  /** Waits for what it prints to make something true. @throws Error when it ends first, or nothing comes */
  async until (what: () => boolean, name: string): Promise<void> {
    const late = Date.now() + WAIT_MS
    while (!what()) {
      const left = late - Date.now()
      if (this.#ended || left <= 0) throw new Error(`${this.#ended ? 'the program ended' : 'nothing came'}; waited for ${name}\n${this.#story()}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#wake.push(() => { clearTimeout(timer); resolve() })
      })
    }
  }

  /** Asks an operation: its result. */
  async ask (method: string, id: string, params: object = {}): Promise<Record<string, unknown>> {
    this.type(`rpc/${method} ${JSON.stringify({ id, ...params })}`)
    const find = (): Record<string, unknown> | undefined => this.on('me/rpc').find(answer => answer.id === id)
    await this.until(() => find() !== undefined, `the answer of ${method}`)
    return find()!.result as Record<string, unknown>
  }

  /** Ends its input; its exit code, and what it complained about when there was one. */
  async finish (): Promise<{ code: unknown, complaint: string }> {
    this.child.stdin!.end()
    const timer = setTimeout(() => { kill(this.child) }, WAIT_MS)
    const code = await this.#over
    clearTimeout(timer)
    return { code, complaint: code === 0 ? '' : this.#story() }
  }

  #read (line: string): void {
    try { this.heard.push(JSON.parse(line) as Heard) } catch { this.#said += `${line}\n` }
  }

  #stir (): void { for (const wake of this.#wake.splice(0)) wake() }
  #story (): string { return [...this.heard.slice(-8).map(h => JSON.stringify(h).slice(0, 200)), this.#said.slice(-2000)].join('\n') }
}
