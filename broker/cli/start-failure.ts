import { showAddress } from '../config/check.js'
import type { Config } from '../config/schema.js'

interface SystemError extends Error { code?: string, address?: string, port?: number, path?: string }

/** Why a node did not start and what to do about it, for the person who started it. */
export function explainStartFailure (error: unknown, config: Config): string {
  const { code, address, port, path, message = String(error) } = (error ?? {}) as SystemError
  const where = port === undefined ? 'an address' : showAddress(address ?? '', port)
  const setting = port === undefined ? 'listeners and http' : settingOf(port, config)
  switch (code) {
    case 'EADDRINUSE': return `${where} is taken by another program. Stop that one (\`ss -ltnp 'sport = :${port ?? ''}'\` tells which), or change ${setting}.`
    case 'EADDRNOTAVAIL': return `${where} is no address of this machine. Change ${setting}; 0.0.0.0 stands for all addresses.`
    case 'EACCES':
    case 'EPERM': return port === undefined
      ? `${path ?? config.dataDir} may not be written or read by this user. Change its owner, or dataDir (${config.dataDir}).`
      : `this user may not listen on ${where}: ports below 1024 want root or CAP_NET_BIND_SERVICE. Change ${setting} to a higher port.`
    case 'ENOSPC': return `the disk under ${config.dataDir} is full.`
    case 'EROFS': return `${config.dataDir} is on a read-only file system. Change dataDir.`
    default: return message
  }
}

function settingOf (port: number, config: Config): string {
  if (config.http.port === port) return 'http.port (PARLEY_HTTP_PORT)'
  const index = config.listeners.findIndex((listener) => listener.port === port)
  return index < 0 ? 'listeners and http' : `listeners[${index}].port (PARLEY_LISTENERS)`
}
