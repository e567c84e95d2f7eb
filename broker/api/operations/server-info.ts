import { defineOperation, type Operation, Type } from '../../plugin.js'

export interface ServerInfo {
  /** Of the package. */
  version: string
  epoch: string
  /** As configured, so that an app can keep within them. */
  limits: Record<string, number>
  /** Names of what this broker can do beyond the first version of the protocol, and of its plugins. */
  features: readonly string[]
}

/** `server.info`: what a client has to know before it relies on anything. The same for everybody. */
export const serverInfo = (info: ServerInfo): Operation => defineOperation({
  name: 'server.info',
  summary: 'What this broker is: protocol, version, epoch of its log, limits and features.',
  params: Type.Object({}),
  result: Type.Object({
    protocol: Type.Literal(1),
    version: Type.String(),
    epoch: Type.String({ description: 'A new one means that the log was replaced by an older copy: drop local copies and cursors.' }),
    limits: Type.Record(Type.String(), Type.Number()),
    features: Type.Array(Type.String())
  }),
  read: true,
  who: 'user',
  handle: async () => ({ protocol: 1 as const, version: info.version, epoch: info.epoch, limits: info.limits, features: [...info.features] })
})
