import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

/** Left for the store, for files that are read again and for health checks: without one of these a node is worse than full. */
const RESERVE = 256

/**
 * Sockets may take all file descriptors of the process but a reserve: at the system's own limit it is not only the next
 * connection that fails, but the store's next file.
 */
export class Descriptors {
  private taken = 0
  private readonly reserve: number
  /** `most`: open files of the process. */
  constructor (private readonly most = openFiles()) { this.reserve = Math.min(RESERVE, most / 2) }

  /** Counts a socket until it is closed. False: there is no room, and the caller closes it. `http` may use half of the reserve. */
  take (socket: Socket, use: 'mqtt' | 'http'): boolean {
    if (this.taken >= this.most - (use === 'mqtt' ? this.reserve : this.reserve / 2)) return false
    this.taken++
    socket.once('close', () => { this.taken-- })
    return true
  }
}

/** The process's limit of open files; where it is not told (outside of Linux): no limit of ours. */
function openFiles (): number {
  try {
    return Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity)
  } catch { return Infinity }
}
