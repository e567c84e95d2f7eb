import { pathToFileURL } from 'node:url'
import groups from '../plugins/groups/index.js'
import history from '../plugins/history/index.js'
import { authRefresh } from './api/operations/auth-refresh.js'
import { authTicket } from './api/operations/auth-ticket.js'
import { deviceList } from './api/operations/device-list.js'
import { deviceRemove } from './api/operations/device-remove.js'
import { deviceSet } from './api/operations/device-set.js'
import { serverInfo } from './api/operations/server-info.js'
import { writePage } from './config/write-docs.js'
import type { Host, Operation, TSchema } from './plugin.js'

const intro = `# Operations

Generated from their declarations by \`npm run docs:operations\`; edit them there.

A request is published to \`rpc/{name}\` with an \`id\` beside the params; its answer comes on \`me/rpc\` ([protocol.md](protocol.md#rpc-methods-the-same-operations-stand-behind-http-v1)). Params that are not declared are refused; answers may get more fields in later versions. A name with \`?\` may be left out. Plugins of your own may add operations ([plugins.md](plugins.md)).
`

/** Declarations are all that is wanted of them: nothing here is ever called. */
const none = {} as never

/** Every operation that is built in, by name. */
export async function builtInOperations (): Promise<Operation[]> {
  const operations: Operation[] = [serverInfo(none), deviceSet(none), deviceList(none), deviceRemove(none), authRefresh(none), authTicket(none)]
  const host = { operation: (op: Operation) => { operations.push(op) } } as unknown as Host
  for (const plugin of [groups, history]) await plugin.setup(host, {})
  return operations.sort((a, b) => (a.name < b.name ? -1 : 1))
}

interface Schema extends Omit<TSchema, 'anyOf'> {
  type?: string
  const?: unknown
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  patternProperties?: Record<string, Schema>
  required?: string[]
}

function typeOf (s: Schema): string {
  if (s.const !== undefined) return JSON.stringify(s.const)
  if (s.anyOf !== undefined) return s.anyOf.map(typeOf).join(' or ')
  if (s.items !== undefined) return `[${typeOf(s.items)}]`
  if (s.properties !== undefined) return `{${Object.entries(s.properties).map(([name, of]) => `${nameOf(name, s)}: ${typeOf(of)}`).join(', ')}}`
  if (s.patternProperties !== undefined) return `{…: ${Object.values(s.patternProperties).map(typeOf).join(' or ')}}`
  return { string: 'text', integer: 'whole number', number: 'number', boolean: 'true or false' }[s.type ?? ''] ?? 'any JSON'
}

const nameOf = (name: string, of: Schema): string => of.required?.includes(name) === true ? name : `${name}?`

function fields (title: string, of: Schema): string {
  const rows = Object.entries(of.properties ?? {}).map(([name, s]) => `| \`${nameOf(name, of)}\` | \`${typeOf(s)}\` | ${s.description ?? ''} |`)
  return rows.length === 0 ? '' : `\n| ${title} | | |\n|---|---|---|\n${rows.join('\n')}\n`
}

const section = (op: Operation): string =>
  `## ${op.name}\n\n${op.summary}${op.who === 'admin' ? ' Admins only.' : ''}\n${fields('params', op.params as Schema)}${fields('result', op.result as Schema)}`

/** The whole text of docs/operations.md. */
export const operationsDocs = async (): Promise<string> => [intro, ...(await builtInOperations()).map(section)].join('\n')

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = writePage(process.argv[2], process.argv[3], await operationsDocs(), 'docs:operations')
}
