import { Dice } from './dice.js'
import { anyPacket, connect, type Speaker, type Version } from './grammar.js'
import { changedOutside, hostileBytes } from './mutation.js'
import { bytesOf } from './packet.js'
import { USERS } from './words.js'

/**
 * What a connection has behind it when hostile bytes come:
 * - `new`: nothing; the bytes stand in place of a CONNECT. `early`: they come in one write with a good one.
 * - `connected`, `will`: CONNACK came (and a will is set). `subscribed`: to the inbox, ordinary topics and a share.
 * - `sending`: two QoS 2 publishes stand between PUBREC and PUBREL. `receiving`: deliveries are not acknowledged.
 * - `resumed`: the session of an earlier connection, with unacknowledged deliveries, goes on.
 */
export const STATES = ['new', 'early', 'connected', 'will', 'subscribed', 'sending', 'receiving', 'resumed'] as const
export type State = typeof STATES[number]

/** What is played over connections in one state, each input on what the one before left, or on a new connection when it left none. */
export interface Script {
  user: string
  version: Version
  state: State
  /** Every input is good, and none may end its connection. */
  good: boolean
  inputs: readonly Input[]
}

/** How the client behaves after the bytes: it waits for an answer, says that no more comes, or is gone. */
export type Then = 'waits' | 'ends' | 'vanishes'
export interface Input { bytes: Buffer, then: Then, pieces: readonly number[] }

/** How often each is chosen: to be `receiving` costs two connections, to be `resumed` three. */
const OFTEN: readonly State[] = STATES.flatMap(s => Array.from({ length: s === 'receiving' || s === 'resumed' || s === 'will' ? 1 : 3 }, () => s))

/** Inputs of one script. */
export const PER_SCRIPT = 8
/** Of a hundred scripts: those that only say what is right. */
const GOOD_PERCENT = 5

/** The n-th script of a seed. */
export function scriptOf (seed: number, n: number): Script {
  const d = new Dice(seed, n)
  const user = USERS[n % USERS.length]!
  const version = d.pick<Version>([3, 4, 4, 5, 5, 5])
  const state = d.pick(OFTEN)
  const good = d.chance(GOOD_PERCENT) && state !== 'new'
  return { user, version, state, good, inputs: Array.from({ length: PER_SCRIPT }, () => input(d, { user, version, device: 'phone' }, state, good)) }
}

function input (d: Dice, s: Speaker, state: State, good: boolean): Input {
  const more = Array.from({ length: d.pick([1, 1, 1, 2, 3]) }, () => anyPacket(d, s, !good))
  const bytes = good ? Buffer.concat(more.map(bytesOf)) : state === 'new' ? firstBytes(d, s) : hostileBytes(d, more)
  const then = good || d.chance(92) ? 'waits' : d.pick(['ends', 'vanishes'] as const)
  const pieces = d.chance(15) ? Array.from({ length: d.between(1, 3) }, () => d.int(bytes.length + 1)).sort((a, b) => a - b) : []
  return { bytes, then, pieces }
}

/** In place of a CONNECT: one that is spoilt, alone or with a session behind it; seldom a packet of another type. */
function firstBytes (d: Dice, s: Speaker): Buffer {
  if (d.chance(8)) return hostileBytes(d, [anyPacket(d, s)])
  const after = d.chance(40) ? bytesOf(anyPacket(d, s)) : Buffer.alloc(0)
  return Buffer.concat([hostileBytes(d, [connect(d, s)]), d.chance(20) ? changedOutside(d, after) : after])
}

/** A script as a file that keeps it: why, then what, an input a line. */
export function written (s: Script, why: string): string {
  const lines = s.inputs.map(i => [i.then, i.pieces.join(','), i.bytes.toString('hex')].join(' '))
  return [...why.split('\n').map(l => `# ${l}`), `state ${s.state}`, `version ${s.version}`, `user ${s.user}`, `good ${s.good}`, ...lines].join('\n') + '\n'
}

/** The script of a file. @throws Error naming the line that says nothing */
export function readScript (file: string): Script {
  const lines = file.split('\n').filter(l => l !== '' && !l.startsWith('#'))
  const said = (name: string): string => {
    const line = lines.shift()
    if (line?.startsWith(`${name} `) !== true) throw new Error(`"${name} …" expected, found ${JSON.stringify(line)}`)
    return line.slice(name.length + 1)
  }
  const state = said('state') as State
  const version = Number(said('version')) as Version
  const user = said('user')
  const good = said('good') === 'true'
  if (!STATES.includes(state) || ![3, 4, 5].includes(version)) throw new Error(`no such state or version: ${state} ${version}`)
  return { state, version, user, good, inputs: lines.map(readInput) }
}

function readInput (line: string): Input {
  const parts = /^(waits|ends|vanishes) ([\d,]*) ((?:[0-9a-f]{2})*)$/.exec(line)
  if (parts === null) throw new Error(`no input: ${line.slice(0, 60)}`)
  return { then: parts[1] as Then, pieces: parts[2] === '' ? [] : parts[2]!.split(',').map(Number), bytes: Buffer.from(parts[3]!, 'hex') }
}
