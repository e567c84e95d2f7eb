// What all modes share: the options, how users and groups are called at either kind of broker, setting them up, pacing.
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from './client.mjs'
import { nowUs } from './latency.mjs'

const [mode, ...pairs] = process.argv.slice(2)
const given = Object.fromEntries(pairs.map((pair) => pair.split('=')))
const number = (name, otherwise) => given[name] === undefined ? otherwise : Number(given[name])

export const options = {
  mode,
  port: number('port', 1883),
  /** Chat on Parley, or ordinary topics on any broker. */
  parley: (given.to ?? 'parley') === 'parley',
  /** Of ordinary topics: senders and subscribers. */
  qos: number('qos', 1),
  secure: number('tls', 0) === 1,
  n: number('n', 100),
  m: number('m', 200),
  window: number('window', 50),
  size: number('size', 200),
  rate: number('rate', 5000),
  secs: number('secs', 10),
  frozen: number('frozen', 2),
  hold: number('hold', 3),
  mb: number('mb', 100),
  rounds: number('rounds', 5),
  /** Seconds after which a mode reports what came until then. */
  max: number('max', 50),
}

/** Keeps the users of one run apart from those of the run before, whose entries a durable broker still has. */
const run = process.pid.toString(36)
export const named = (letter, i = '') => `${letter}${i}${run}`

export const inbox = (user) => options.parley ? 'me/msg' : `app/u/${user}`
export const toUser = (user) => options.parley ? `u/${user}/msg` : `app/u/${user}`
export const toGroup = (group) => options.parley ? `g/${group}/msg` : `app/g/${group}`
/** Where a member of `group` hears it. */
export const memberInbox = (user, group) => options.parley ? inbox(user) : `app/g/${group}`

/** Only Parley keeps users apart: elsewhere a client id must hold the user as well. */
export const open = (user, device, more = {}) =>
  new Client({ port: options.port, secure: options.secure, user, clientId: options.parley ? device : user + device, qos: options.qos, ...more })

export const connect = (user, device, more) => open(user, device, more).ready

export async function createGroup (group, owner, members) {
  if (!options.parley) return
  let answered
  const answer = new Promise((resolve) => { answered = resolve })
  const client = await connect(owner, 'setup', { onPublish: (bytes, _topic, start, end) => { answered(JSON.parse(bytes.toString('utf8', start, end))) } })
  await client.subscribe(['me/rpc'])
  client.send('rpc/group.create', Buffer.from(JSON.stringify({ id: 'create', group, members })))
  const { error } = await Promise.race([answer, sleep(15000, { error: { message: 'no answer within 15 s' } }, { ref: false })])
  if (error) throw new Error(`group.create: ${error.message}`)
  client.end()
}

/** Makes `count` things, 100 at a time, so that no broker's accept queue overflows. */
export async function inChunks (count, make, chunk = 100) {
  const made = []
  for (let i = 0; i < count; i += chunk) made.push(...await Promise.all(Array.from({ length: Math.min(chunk, count - i) }, (_, k) => make(i + k))))
  return made
}

/** Counts what comes in; `all` resolves once `want` came, or after options.max seconds. */
export class Arrivals {
  got = 0
  constructor (want) {
    this.want = want
    this.all = new Promise((resolve) => { this.done = resolve })
  }

  /** Starts the clock. */
  begin () {
    this.startedAt = performance.now()
    this.timer = setTimeout(() => { this.done() }, options.max * 1000)
  }

  one () { if (++this.got >= this.want) this.done() }

  async rate () {
    await this.all
    clearTimeout(this.timer)
    const secs = (performance.now() - this.startedAt) / 1000
    return { got: this.got, want: this.want, secs: +secs.toFixed(3), perS: Math.round(this.got / secs) }
  }
}

/**
 * Calls `fire(k, dueUs)` for k = 0 … total-1 at `rate` per second, on time or late, never left out: latency counted
 * from `dueUs` holds the time that a message had to wait because the generator, or a broker before it, was busy.
 * `stopped` ends it early. Resolves with how many were fired.
 */
export function pace ({ rate, total = Infinity, fire, stopped = () => false }) {
  const startUs = nowUs()
  let k = 0
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const end = Math.min(total, Math.floor((nowUs() - startUs) * rate / 1e6))
      for (; k < end; k++) fire(k, startUs + k * 1e6 / rate)
      if (k < total && !stopped()) return
      clearInterval(timer)
      resolve(k)
    }, 1)
  })
}

/** Tells whoever started us (and measures the broker's memory) what happens from now on. */
export const phase = (name) => { console.log(JSON.stringify({ phase: name })) }
