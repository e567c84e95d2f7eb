import { createHmac, randomBytes } from 'node:crypto'
import { type Credentials, definePlugin, FairQueue, Lru, QueueFull, type Static, Type, type Verdict } from '../../broker/plugin.js'
import { readAnswer } from './answer.js'

const options = Type.Object({
  url: Type.String({ minLength: 1 }),
  timeoutMs: Type.Integer({ default: 3000, minimum: 1 }),
  cacheMs: Type.Integer({ default: 60_000, minimum: 0 })
}, { additionalProperties: false })

/** A longer password is refused unasked: no token that a backend knows is longer. */
const MAX_PASSWORD_BYTES = 8192
const MAX_ANSWER_BYTES = 64 << 10
/** Questions under way at a time: what any backend stands; the others wait, in turns by address, until their time is over. */
const AT_ONCE = 50
const REMEMBERED = 10_000
/** Some libraries replay an expired credential for ever (paho.c#808): within this time it is refused from memory. */
const REFUSED_MS = 30_000

interface Remembered { verdict: Verdict, untilMs: number }

const refused = (why: string): Verdict => ({ kind: 'refused', reason: 'credential', why })
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The question, as JSON; undefined: the password is no text. */
function questionOf ({ user, password, device, address, listener }: Credentials): string | undefined {
  try { return JSON.stringify({ user, password: utf8.decode(password), device, address, listener }) } catch { return undefined }
}

/** Asks a backend of the operator's who somebody is (docs/config.md, auth.http). */
export const authHttp = definePlugin({
  name: 'auth-http',
  config: options,
  // Its own time limit is the shorter one, and says more.
  timeoutMs: 610_000,
  setup ({ clock, logger, request }, { url, timeoutMs, cacheMs }: Static<typeof options>) {
    const queue = new FairQueue({ atOnce: AT_ONCE, perKey: 500, total: 2000 })
    // Apart, so that a flood of made-up passwords pushes out no good answer.
    const good = new Lru<Remembered>(REMEMBERED)
    const bad = new Lru<Remembered>(REMEMBERED)
    /** The same question asked again while it is under way: one is enough. */
    const asking = new Map<string, Promise<Verdict>>()
    const key = randomBytes(32)
    let isDown = false

    function remember (name: string, verdict: Verdict): void {
      const now = clock.now()
      if (verdict.kind === 'refused') bad.set(name, { verdict, untilMs: now + REFUSED_MS })
      if (verdict.kind !== 'accepted' || cacheMs === 0) return
      const { expiresMs } = verdict.identity
      good.set(name, { verdict, untilMs: Math.min(now + cacheMs, expiresMs === 0 ? Infinity : expiresMs) })
    }

    function recall (name: string): Verdict | undefined {
      const known = good.get(name) ?? bad.get(name)
      return known !== undefined && known.untilMs > clock.now() ? known.verdict : undefined
    }

    /** Says once that the backend is away, and once that it is back. */
    function note (verdict: Verdict): void {
      if ((verdict.kind === 'down') === isDown) return
      isDown = !isDown
      if (verdict.kind === 'down') logger.warn({ why: verdict.why }, 'the auth backend is down: nobody new can sign in by it')
      else logger.info({}, 'the auth backend is back')
    }

    async function ask (body: string, address: string): Promise<Verdict> {
      const endMs = clock.now() + timeoutMs
      return await queue.run(address, async () => {
        const leftMs = endMs - clock.now()
        if (leftMs <= 0) return { kind: 'down', why: `the auth backend was not asked within ${timeoutMs} ms` } as const
        const verdict = await request(url, { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json' }, body, timeoutMs: leftMs, maxBytes: MAX_ANSWER_BYTES }).then(
          answer => readAnswer(answer, clock.now()),
          (e: Error): Verdict => ({ kind: 'down', why: `the auth backend: ${e.message}` })
        )
        note(verdict)
        return verdict
      })
    }

    async function once (name: string, body: string, address: string): Promise<Verdict> {
      try {
        const verdict = await ask(body, address)
        remember(name, verdict)
        return verdict
      } catch (e) {
        if (e instanceof QueueFull) return { kind: 'down', why: 'too many wait for the auth backend' }
        throw e
      } finally {
        asking.delete(name)
      }
    }

    return {
      async authenticate (c): Promise<Verdict> {
        if (c.password === undefined || c.password.length === 0) return { kind: 'not-mine' }
        if (c.password.length > MAX_PASSWORD_BYTES) return refused(`a password of ${c.password.length} bytes; at most ${MAX_PASSWORD_BYTES}`)
        const body = questionOf(c)
        if (body === undefined) return refused('a password that is not UTF-8')
        // All of the question counts: a backend may let somebody in from one address or device only.
        const name = createHmac('sha256', key).update(body).digest('base64')
        const known = recall(name)
        if (known !== undefined) return known
        let answer = asking.get(name)
        if (answer === undefined) asking.set(name, answer = once(name, body, c.address))
        return await answer
      }
    }
  }
})

export default authHttp
