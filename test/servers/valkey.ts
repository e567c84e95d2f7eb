import { program } from './binaries.js'
import { freePort, ServerProcess } from './server-process.js'

/** A Redis server of its own, which keeps nothing on the disk. */
export async function startRedis (dir: string, name = 'redis', more: readonly string[] = []): Promise<ServerProcess> {
  const port = await freePort()
  const server = new ServerProcess(name, dir, port, program('redis'), ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir, ...more])
  await server.start()
  return server
}
