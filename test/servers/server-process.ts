import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

const START_MS = 30_000

export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

const pause = async (ms: number): Promise<void> => { await new Promise(resolve => setTimeout(resolve, ms)) }

/** Asks again until the answer is no failure. @throws the last failure */
export async function until<T> (what: () => Promise<T>, ms = START_MS): Promise<T> {
  for (const late = Date.now() + ms; ;) {
    try { return await what() } catch (e) { if (Date.now() > late) throw e }
    await pause(50)
  }
}

/** A server's process on a port of this machine, that can be killed, frozen and started again on the same data. */
export class ServerProcess {
  private child: ChildProcess | null = null
  constructor (readonly name: string, readonly dir: string, readonly port: number, private readonly program: string, private readonly args: readonly string[]) {}

  get pid (): number { return this.child!.pid! }
  private get logFile (): string { return join(this.dir, `${this.name}.log`) }

  /** Resolves when it takes connections. It outlives this process: the run's end ends it. */
  async start (): Promise<void> {
    const log = openSync(this.logFile, 'a')
    const child = this.child = spawn(this.program, [...this.args], { cwd: this.dir, detached: true, stdio: ['ignore', log, log] })
    child.unref()
    // At once, not when it is ready: whoever ends what is left over finds it here.
    writeFileSync(join(this.dir, `${this.name}.json`), JSON.stringify({ pids: [child.pid] }))
    await until(async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${this.name} ended:\n${readFileSync(this.logFile, 'utf8').slice(-2000)}`)
      const s = connect(this.port, '127.0.0.1')
      try { await once(s, 'connect') } finally { s.destroy() }
    })
  }

  signal (signal: NodeJS.Signals): void { this.child!.kill(signal) }

  /** kill -9, and until it is gone. */
  async kill9 (): Promise<void> {
    const { child } = this
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    child.ref()
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
}
