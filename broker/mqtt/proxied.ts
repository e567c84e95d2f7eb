import type { Socket } from 'node:net'
import { parseProxyHeader, type ProxyHeader } from './proxy-header.js'

/**
 * Takes the PROXY header off a socket that was just accepted and leaves in it what follows, for TLS, HTTP or MQTT to
 * read. `done` is called once, with an Error when there is no header; not at all when the socket ends before.
 * How long it may take is the caller's matter.
 */
export function takeProxyHeader (socket: Socket, done: (header: ProxyHeader | Error) => void): void {
  let all: Buffer = Buffer.alloc(0)
  const read = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    all = all.length === 0 ? chunk : Buffer.concat([all, chunk])
    const header = parseProxyHeader(all)
    if (header === null) return
    socket.off('readable', read)
    if (!(header instanceof Error) && all.length > header.bytes) socket.unshift(all.subarray(header.bytes))
    done(header)
  }
  socket.on('readable', read)
}
