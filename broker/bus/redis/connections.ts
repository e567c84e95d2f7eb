import { Cluster, Redis, type RedisOptions } from 'ioredis'

/** A connection, to one server or to a cluster of them. */
export type Connection = Redis | Cluster

/** Nothing waits in the client: what cannot go now is lost, and the log has it. */
const OPTIONS: RedisOptions = {
  lazyConnect: true, enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: 3000, connectTimeout: 5000, disconnectTimeout: 200,
  retryStrategy: tries => Math.min(1000, 50 * 2 ** Math.min(tries, 5)), autoResubscribe: false, connectionName: 'parley'
}

export interface Address {
  kind: 'single' | 'sentinel' | 'cluster'
  nodes: { host: string, port: number }[]
  tls: boolean
  username?: string
  password?: string
  db: number
  /** The group of servers that the sentinels watch. */
  master: string
}

const SHAPE = /^redis(s)?(?:[+-](sentinel|cluster)(s)?)?:\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/([^?#]*))?$/

/**
 * `redis://[user:password@]host[:port][/db]`, `rediss://` with TLS, `redis+sentinel://[…@]host:port,host:port/name[/db]`,
 * `redis+cluster://[…@]host:port,host:port`; with TLS `rediss+…`.
 * @throws Error, without a secret in it
 */
export function parseAddress (url: string): Address {
  const [, tls, kind = 'single', , credentials, hosts, path = ''] = SHAPE.exec(url) ?? []
  if (hosts === undefined) throw new Error('redis.url is none of redis://host:port/db, redis+sentinel://host:port,…/name, redis+cluster://host:port,… (with TLS: rediss)')
  const cut = credentials?.indexOf(':') ?? -1
  const decoded = (s: string): string | undefined => s === '' ? undefined : decodeURIComponent(s)
  const [first = '', second = ''] = path.split('/')
  const db = kind === 'sentinel' ? second : first
  if (kind === 'sentinel' && first === '') throw new Error('redis.url of sentinels ends with the name of what they watch: redis+sentinel://host:port/mymaster')
  if (!/^\d*$/.test(db)) throw new Error(`redis.url: the database is a number, not ${db}`)
  return {
    kind: kind as Address['kind'], tls: tls !== undefined, db: Number(db), master: first,
    nodes: hosts.split(',').map(h => {
      const [, host, port] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(h) ?? []
      if (host === undefined) throw new Error(`redis.url: ${h} is no host:port`)
      return { host: host.replace(/^\[|\]$/g, ''), port: Number(port ?? (kind === 'sentinel' ? 26_379 : 6379)) }
    }),
    ...(credentials === undefined ? {} : cut < 0 ? { password: decoded(credentials) } : { username: decoded(credentials.slice(0, cut)), password: decoded(credentials.slice(cut + 1)) })
  }
}

/** Not connected yet. `pipelined`: what one turn of the event loop asks leaves together. */
export function connection (a: Address, { pipelined }: { pipelined: boolean }): Connection {
  const common: RedisOptions = {
    ...OPTIONS, enableAutoPipelining: pipelined, username: a.username, password: a.password, ...(a.tls ? { tls: {} } : {})
  }
  if (a.kind === 'cluster') {
    return new Cluster(a.nodes, {
      lazyConnect: true, enableOfflineQueue: false, shardedSubscribers: true, enableAutoPipelining: pipelined,
      clusterRetryStrategy: OPTIONS.retryStrategy as (tries: number) => number, redisOptions: { ...common, enableAutoPipelining: false }
    })
  }
  if (a.kind === 'sentinel') {
    return new Redis({ ...common, db: a.db, name: a.master, sentinels: a.nodes, ...(a.tls ? { enableTLSForSentinelMode: true } : {}), sentinelRetryStrategy: OPTIONS.retryStrategy as (tries: number) => number })
  }
  return new Redis({ ...common, ...a.nodes[0]!, db: a.db })
}
