import type { Logger } from 'pino'
import type { Config } from '../config/schema.js'
import type { Command } from './command.js'
import { checkPlugins, loadFor } from './configured.js'
import { greeting, isThisMachineOnly, signsInByGeneratedToken, type Address } from './greeting.js'
import { createLog } from './log.js'
import { runNode } from './run-node.js'
import { signToken } from './token.js'

/** `parley serve`: runs a node in the foreground until a signal ends it. */
export const serve: Command = {
  name: 'serve',
  synopsis: '[--config FILE]',
  summary: 'run a node in the foreground',
  positionals: [],
  options: {},
  configured: true,
  async run (input) {
    const loaded = loadFor(input)
    const { config, baseDir } = loaded
    await checkPlugins(loaded)
    // Here and not above: the other commands start without the broker's code.
    const { startNode } = await import('../compose.js')
    return await runNode(config, {
      reread: () => loadFor(input).config,
      startNode: async (...[of, { log }]) => await startNode(of, { log, baseDir }), signals: process, log: createLog(config.log.level),
      say: (text) => { process.stderr.write(text) },
      announce: async (log, addresses) => { await announce(config, log, addresses) },
    })
  },
}

async function announce (config: Config, log: Logger, addresses: readonly Address[]): Promise<void> {
  log.info({ addresses: addresses.map(({ url }) => url), reach: isThisMachineOnly(addresses) ? 'this machine only' : 'other machines' }, 'ready')
  const { dev } = config.auth
  const generated = signsInByGeneratedToken(config)
  // A service's log should hold the JSON lines alone; a newcomer's first start tells him how to go on.
  if (!dev && !generated && !process.stdout.isTTY) return
  const token = async (user: string): Promise<string> => await signToken(config, { user, ttlSeconds: 86_400, admin: false })
  process.stderr.write(greeting({ addresses, dev, ...(generated ? { tokens: { alice: await token('alice'), bob: await token('bob') } } : {}) }))
}
