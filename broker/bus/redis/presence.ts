import { deviceOf, type SessionId, userOf } from '../../domain/ids.js'
import type { NodeId } from '../../ports/bus.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Presence } from '../../ports/presence.js'
import type { Connection } from './connections.js'

/** A node says so often that it lives; not heard of for so long, it is dead. */
const [BEAT_MS, DEAD_MS] = [2500, 10_000]
/** One of the others has so long to take in what a dead node had. */
const LAPSE_MS = 60_000

/** A user's devices: device → `since node`. ARGV: device, since, node, 1: whatever is there. Gives what was there. */
const ENTER = `
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old and ARGV[4] == '0' then
  local since, node = string.match(old, '^(%d+) (.*)$')
  if node ~= ARGV[3] and tonumber(since) > tonumber(ARGV[2]) then return old end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return old`
/** ARGV: device, what is there. */
const LEAVE = `
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0`
/** ARGV: device, node. Of any time. */
const LAPSE = `
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old and string.match(old, ' (.*)$') == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0`

/**
 * Who is connected where, in Redis: `s:{user}` per user, `nd:{node}` what a node has, `node:{node}` as long as it lives,
 * `nodes` all of them. Lost with Redis, and then written again by each node.
 */
export class RedisPresence implements Presence {
  private listener: Parameters<Presence['serve']>[0] | null = null
  private timer: Timer | null = null
  /** When this node said the last time that it lives. */
  private beatMs: number

  constructor (private readonly deps: { node: NodeId, prefix: string, redis: Connection, clock: Clock, logger: Logger }) {
    this.beatMs = deps.clock.now()
  }

  serve (listener: Parameters<Presence['serve']>[0]): void { this.listener = listener }

  async start (): Promise<void> {
    await this.beat()
    this.later()
  }

  async enter (session: SessionId, sinceMs: number, newest: boolean): Promise<NodeId | null | 'not-ours'> {
    const { redis, node } = this.deps
    try {
      const [old] = await Promise.all([
        redis.eval(ENTER, 1, this.userKey(session), deviceOf(session), sinceMs, node, newest ? 1 : 0) as Promise<string | null>,
        redis.sadd(this.key(`nd:${node}`), session)
      ])
      const [, since, by] = /^(\d+) (.*)$/.exec(old ?? '') ?? []
      if (by === undefined || by === node) return null
      if (!newest && Number(since) > sinceMs) return 'not-ours'
      return await redis.exists(this.key(`node:${by}`)) === 1 ? by as NodeId : null
    } catch (err) {
      this.deps.logger.debug({ err, session }, 'presence: not entered')
      return null
    }
  }

  async leave (session: SessionId, sinceMs: number): Promise<void> {
    const { redis, node, logger } = this.deps
    await Promise.all([
      redis.eval(LEAVE, 1, this.userKey(session), deviceOf(session), `${sinceMs} ${node}`),
      redis.srem(this.key(`nd:${node}`), session)
    ]).catch((err: unknown) => { logger.debug({ err, session }, 'presence: not left') })
  }

  // ---- nodes

  private later (): void {
    this.timer = this.deps.clock.after(BEAT_MS, () => {
      void this.beat().then(() => { if (this.timer !== null) this.later() })
    })
  }

  /** Never rejects. */
  private async beat (): Promise<void> {
    const { redis, node, clock, logger } = this.deps
    // frozen, or cut off: the others may have taken over what it had
    if (clock.now() - this.beatMs > DEAD_MS) this.listener?.presumedDead()
    try {
      await Promise.all([redis.set(this.key(`node:${node}`), clock.now(), 'PX', DEAD_MS), redis.sadd(this.key('nodes'), node)])
      this.beatMs = clock.now()
      const others = (await redis.smembers(this.key('nodes'))).filter(n => n !== node)
      const alive = await Promise.all(others.map(n => redis.exists(this.key(`node:${n}`))))
      for (const dead of others.filter((_, i) => alive[i] === 0)) await this.lapse(dead)
    } catch (err) { logger.debug({ err }, 'presence: no beat') }
  }

  private async lapse (dead: string): Promise<void> {
    const { redis, node, logger } = this.deps
    if (await redis.set(this.key(`lapse:${dead}`), node, 'PX', LAPSE_MS, 'NX') === null) return
    const sessions = await redis.smembers(this.key(`nd:${dead}`)) as SessionId[]
    logger.warn({ node: dead, sessions: sessions.length }, 'a node is gone')
    const gone = await Promise.all(sessions.map(s => redis.eval(LAPSE, 1, this.userKey(s), deviceOf(s), dead)))
    await redis.del(this.key(`nd:${dead}`))
    await redis.srem(this.key('nodes'), dead)
    this.listener?.lapsed(sessions.filter((_, i) => gone[i] === 1))
  }

  /** The node leaves: nobody need find out that it is gone. Never rejects. */
  async close (): Promise<void> {
    const { redis, node, logger } = this.deps
    this.timer?.cancel()
    this.timer = null
    await Promise.all([redis.srem(this.key('nodes'), node), redis.del(this.key(`node:${node}`)), redis.del(this.key(`nd:${node}`))])
      .catch((err: unknown) => { logger.debug({ err }, 'presence: not signed off') })
  }

  private key (name: string): string { return this.deps.prefix + name }
  private userKey (session: SessionId): string { return this.key(`s:${userOf(session)}`) }
}
