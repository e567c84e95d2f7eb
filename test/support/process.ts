import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The broker as built here. */
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

/** One life of a broker process (as built in dist/). */
export interface Life {
  child: ChildProcess
  mqttPort: number
  httpPort: number
  /** Port of the first listener of a protocol. */
  port: (protocol: string) => number
  /** Everything it printed so far. */
  said: () => string
  /** kill -9, and until the process is gone. */
  kill9 (): Promise<void>
  /** SIGTERM; its exit code. */
  stop (): Promise<number | null>
}

/** A folder with a configuration, on which one broker process after the other can live. */
export class Home {
  readonly dir = mkdtempSync(join(tmpdir(), 'parley-'))
  readonly #lives = new Set<ChildProcess>()

  constructor (settings: Record<string, unknown> = {}) {
    const { limits, ...rest } = settings
    writeFileSync(join(this.dir, 'parley.json'), JSON.stringify({
      dataDir: join(this.dir, 'data'),
      listeners: [{ protocol: 'mqtt', host: '127.0.0.1', port: 0 }],
      http: { host: '127.0.0.1', port: 0 },
      auth: { dev: true },
      limits: { publishPerSecond: 0, connectionsPerUser: 0, connectsPerMinute: 0, ...(limits as object | undefined) },
      ...rest
    }))
  }

  /**
   * Starts a process; resolves once it logs `ready`. `openFiles`: how many it may open. `probe`: a module that runs in it
   * from the start, beside a `gc()`, and hears messages of this process.
   */
  async start (main = MAIN, { openFiles, probe }: { openFiles?: number, probe?: string } = {}): Promise<Life> {
    const node = probe === undefined ? [] : ['--expose-gc', '--import', probe]
    const command = [process.execPath, ...node, main, 'serve', '--config', join(this.dir, 'parley.json')]
    const [program, ...args] = openFiles === undefined ? command : ['/bin/sh', '-c', `ulimit -n ${openFiles} && exec "$0" "$@"`, ...command]
    const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe', probe === undefined ? 'ignore' : 'ipc'] })
    this.#lives.add(child)
    let said = ''
    let line: { addresses: string[] } | undefined
    const over = once(child, 'exit')
    await new Promise<void>((resolve, reject) => {
      const hear = (b: Buffer): void => {
        said += b.toString()
        if (line !== undefined) return
        const ready = /^\{.*"msg":"ready".*\}$/m.exec(said)
        if (ready === null) return
        line = JSON.parse(ready[0]) as { addresses: string[] }
        resolve()
      }
      child.stdout!.on('data', hear)
      child.stderr!.on('data', hear)
      child.once('exit', code => { reject(new Error(`the broker ended (${code ?? 'by a signal'}):\n${said}`)) })
    })
    const port = (scheme: string): number => Number(/:(\d+)/.exec(line!.addresses.find(a => a.startsWith(`${scheme}:`))!.slice(scheme.length + 1))![1])
    const gone = async (signal: NodeJS.Signals): Promise<number | null> => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      await over
      this.#lives.delete(child)
      return child.exitCode
    }
    return { child, mqttPort: port('mqtt'), httpPort: port('http'), port, said: () => said, kill9: async () => { await gone('SIGKILL') }, stop: async () => await gone('SIGTERM') }
  }

  /** Ends what still lives, and removes the folder. */
  async close (): Promise<void> {
    await Promise.all([...this.#lives].map(async child => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }))
    rmSync(this.dir, { recursive: true, force: true })
  }
}
