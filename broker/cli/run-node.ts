import type { Logger } from 'pino'
import type { Config } from '../config/schema.js'
import type { Address } from './greeting.js'
import { explainStartFailure } from './start-failure.js'

/** A node that listens, as broker/compose.ts gives it. */
export interface RunningNode {
  addresses: Address[]
  /** Drains: no new connections, sessions leave, writes are flushed. */
  close: () => Promise<void>
  /** Reads certificates and static users again, and takes the rules for ordinary topics of this configuration. */
  reload: (config: Config) => Promise<void>
}

/** What running a node needs from outside. */
export interface Surroundings {
  /** The configuration as it is now. Throws when it has mistakes. */
  reread: () => Config
  startNode: (config: Config, deps: { log: Logger }) => Promise<RunningNode>
  log: Logger
  /** The process, or whatever emits its signals. */
  signals: Pick<NodeJS.EventEmitter, 'on' | 'off'>
  /** Tells a person, beside the log. */
  say: (text: string) => void
  announce: (log: Logger, addresses: readonly Address[]) => Promise<void>
}

/**
 * Starts a node and runs it until SIGTERM or SIGINT. Returns the exit code: 0 drained, 1 not started,
 * not drained within `drain.timeoutMs`, or hurried by a second signal. SIGHUP reloads.
 */
export async function runNode (config: Config, { startNode, reread, log, signals, say, announce }: Surroundings): Promise<number> {
  const stop = deferred<string>()
  const hurry = deferred<string>()
  const onStop = (signal: string): void => { stop.isDone ? hurry.done(signal) : stop.done(signal) }
  const starting = startNode(config, { log })
  const onReload = (): void => { void reload(starting, reread, log) }
  signals.on('SIGTERM', onStop)
  signals.on('SIGINT', onStop)
  signals.on('SIGHUP', onReload)
  try {
    const started = await Promise.race([starting, stop.promise.then(() => undefined)])
    if (started !== undefined) await announce(log, started.addresses)
    log.info({ signal: await stop.promise }, 'stopping')
    return await drain(starting, config.drain.timeoutMs, hurry.promise, log)
  } catch (error) {
    const reason = explainStartFailure(error, config)
    log.fatal({ err: error }, 'not started')
    say(`parley: not started: ${reason}\n`)
    return 1
  } finally {
    signals.off('SIGTERM', onStop)
    signals.off('SIGINT', onStop)
    signals.off('SIGHUP', onReload)
  }
}

async function drain (starting: Promise<RunningNode>, timeoutMs: number, hurried: Promise<string>, log: Logger): Promise<number> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<'timeout'>((resolve) => { timer = setTimeout(() => { resolve('timeout') }, timeoutMs) })
  const closing = starting.then(async (node) => { await node.close() }).then(() => 'closed' as const, (error: unknown) => {
    log.error({ err: error }, 'closing failed')
    return 'failed' as const
  })
  const outcome = await Promise.race([closing, timeout, hurried.then(() => 'hurried' as const)])
  clearTimeout(timer)
  // What was acknowledged is stored whatever the outcome: only the polite goodbye is missing.
  if (outcome === 'closed') log.info('stopped')
  else log.warn({ outcome, timeoutMs }, 'stopped before the drain was over')
  return outcome === 'closed' ? 0 : 1
}

async function reload (starting: Promise<RunningNode>, reread: () => Config, log: Logger): Promise<void> {
  try {
    const node = await starting
    await node.reload(reread())
    log.info('reloaded')
  } catch (error) {
    log.error({ err: error }, 'reload failed; what was loaded before stays')
  }
}

interface Deferred<T> { promise: Promise<T>, done: (value: T) => void, isDone: boolean }

function deferred<T> (): Deferred<T> {
  const made: Deferred<T> = { promise: Promise.resolve() as never, done: () => {}, isDone: false }
  made.promise = new Promise((resolve) => {
    made.done = (value) => {
      made.isDone = true
      resolve(value)
    }
  })
  return made
}
