import { isLoopback } from '../config/check.js'
import type { Config } from '../config/schema.js'
import { usesGeneratedSecret } from '../config/secret.js'

/** Where a running node listens. */
export interface Address { protocol: string, url: string }

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[(.*)\]$/, '$1')

/** Whether no other machine can reach the node. */
export const isThisMachineOnly = (addresses: readonly Address[]): boolean => addresses.every(({ url }) => isLoopback(hostOf(url)))

/** Whether a token of the generated secret is the only way to sign in, as in the container image. */
export const signsInByGeneratedToken = (config: Config): boolean => {
  const { dev, http, static: file, mtls } = config.auth
  return !dev && http === undefined && file === undefined && mtls === undefined && usesGeneratedSecret(config)
}

/** What the greeting needs to know. */
export interface Welcome {
  addresses: readonly Address[]
  /** A user name alone signs in. */
  dev: boolean
  /** Tokens to paste, by user; undefined: the operator has his own. */
  tokens?: { alice: string, bob: string }
}

/** What a person at a terminal wants to know first: where the node listens, and two lines to paste that exchange a message. */
export function greeting ({ addresses, dev, tokens }: Welcome): string {
  const lines = ['', `Parley is running${isThisMachineOnly(addresses) ? ', for this machine only' : ''}:`]
  for (const { protocol, url } of addresses) lines.push(`  ${protocol.padEnd(6)} ${url}`)
  const mqtt = addresses.find(({ protocol }) => protocol === 'mqtt')
  if (mqtt !== undefined && (dev || tokens !== undefined)) lines.push('', ...examples(mqtt.url, mqtt.url, tokens))
  lines.push('', 'Stop it with Ctrl-C.', '')
  return lines.join('\n')
}

/** Bob listens at one address, Alice writes at the same or another. */
export function examples (bobsUrl: string, alicesUrl: string, tokens: Welcome['tokens']): string[] {
  const at = (url: string): string => {
    const { port } = new URL(url)
    const host = hostOf(url)
    // Both clients ask localhost unless told otherwise.
    return `-p ${port}${isLoopback(host) || host === '0.0.0.0' || host === '::' ? '' : ` -h ${host}`}`
  }
  const password = (name: 'alice' | 'bob'): string => tokens === undefined ? '' : ` -P ${tokens[name]}`
  const listen = `${at(bobsUrl)} -u bob${password('bob')} -i phone -t 'me/#' -q 1`
  const say = `${at(alicesUrl)} -u alice${password('alice')} -i laptop -t u/bob/msg -q 1 -m '{"body":"hello bob"}'`
  return [
    `Bob's phone listens, Alice's laptop writes; paste each into a terminal of its own:`,
    `  mosquitto_sub ${listen}`,
    `  mosquitto_pub ${say}`,
    'or, with Node alone:',
    `  npx mqtt sub ${listen}`,
    `  npx mqtt pub ${say}`,
  ]
}
