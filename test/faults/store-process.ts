import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { AppendResult, Draft, Health } from '../../broker/ports/log.js'
import type { Stores } from '../../broker/ports/stores.js'

const CHILD = fileURLToPath(new URL('./store-child.mjs', import.meta.url))

type Part = 'log' | 'inbox' | 'cursors' | 'devices' | 'directory'
type Methods<P extends Part> = Stores[P]
type Message = { opened?: number, refused?: { message: string, code?: string }, id?: number, result?: unknown, error?: { message: string, code?: string } }

/** Why a store did not open. */
export class Refused extends Error {
  constructor (message: string, readonly code: string | undefined, readonly exitCode: number | null, readonly signal: string | null) { super(message) }
}

/** A process that has a store open. */
export class StoreProcess {
  static readonly #alive = new Set<ChildProcess>()
  readonly #waiting = new Map<number, { resolve: (result: never) => void, reject: (e: Error) => void }>()
  #calls = 0

  private constructor (readonly child: ChildProcess, readonly openMs: number, readonly gone: Promise<unknown>) {
    child.on('message', (m: Message) => {
      const call = this.#waiting.get(m.id!)
      this.#waiting.delete(m.id!)
      if (m.error !== undefined) call?.reject(Object.assign(new Error(m.error.message), { code: m.error.code }))
      else call?.resolve(m.result as never)
    })
  }

  /** `prefix`: a command in front of node, as `nice`. Rejects with {@link Refused} when the store does not open, whatever becomes of the process. */
  static async start (dir: string, prefix: string[] = []): Promise<StoreProcess> {
    const [command, ...args] = [...prefix, process.execPath, CHILD, dir]
    const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], serialization: 'advanced' })
    let said = ''
    child.stderr!.on('data', (b: Buffer) => { said += b.toString() })
    StoreProcess.#alive.add(child)
    const gone = once(child, 'exit').finally(() => StoreProcess.#alive.delete(child))
    const first = await Promise.race([once(child, 'message').then(([m]) => m as Message), gone.then(() => undefined)])
    if (first?.opened !== undefined) return new StoreProcess(child, first.opened, gone)
    const [exitCode, signal] = await gone as [number | null, string | null]
    throw new Refused(first?.refused?.message ?? said, first?.refused?.code, exitCode, signal)
  }

  /** Ends what a test left behind when it failed. */
  static async killAll (): Promise<void> {
    await Promise.all([...StoreProcess.#alive].map(async child => {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }))
  }

  /** Rejects when the store does, never resolves when the process dies. */
  call<P extends Part, M extends keyof Methods<P>> (part: P, method: M, ...args: Methods<P>[M] extends (...a: infer A) => unknown ? A : never): Methods<P>[M] extends (...a: never[]) => infer R ? R : never {
    return this.#send(part, method as string, args) as never
  }

  async append (draft: Draft): Promise<AppendResult> { return await this.call('log', 'append', draft) }
  async health (): Promise<Health> { return await this.#send('own', 'health', []) }
  async epoch (): Promise<string> { return await this.#send('own', 'epoch', []) }
  async lines (): Promise<{ level: string, message: string }[]> { return await this.#send('own', 'lines', []) }
  async touchedKb (): Promise<number> { return await this.#send('own', 'touchedKb', []) }
  async close (): Promise<void> {
    await this.#send('own', 'close', [])
    this.child.disconnect()
    await this.gone
  }

  async kill9 (): Promise<void> {
    this.child.kill('SIGKILL')
    await this.gone
  }

  async #send<T> (part: string, method: string, args: unknown[]): Promise<T> {
    const id = ++this.#calls
    return await new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.child.send({ id, part, method, args }, e => { if (e !== null) this.#waiting.delete(id) })
    })
  }
}
