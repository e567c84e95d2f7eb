import { stringify } from 'yaml'
import { redact } from '../config/redact.js'
import type { Command } from './command.js'
import { checkPlugins, loadFor } from './configured.js'

/** `parley check-config`: exit 0, or 2 with every mistake. */
export const checkConfig: Command = {
  name: 'check-config',
  synopsis: '[--config FILE] [--show]',
  summary: 'check the configuration; exit 2 with every mistake in it',
  positionals: [],
  options: { show: { type: 'boolean', says: 'print the whole configuration, defaults applied, secrets hidden' } },
  configured: true,
  async run (input) {
    const loaded = loadFor(input)
    const { config } = loaded
    await checkPlugins(loaded)
    console.log(input.options.show === true ? stringify(redact(config)).trimEnd() : 'the configuration is fine')
    return 0
  },
}
