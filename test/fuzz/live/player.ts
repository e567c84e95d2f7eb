import { connect as open, type Socket } from 'node:net'
import mqtt, { type Packet } from 'mqtt-packet'
import { Dice } from './dice.js'
import { connect, publish, type Speaker, type Version } from './grammar.js'
import { bytesOf, framing, id, plain, properties, type RawPacket, text } from './packet.js'
import type { Input, Script, State } from './script.js'

/** Longest wait for an answer or for the end: the broker itself waits 10 s for a CONNECT. */
const WAIT_MS = 20_000
/** A packet that lacks more than this is not completed: the client says that no more comes. */
const MAX_FILL_BYTES = 70_000
const PINGREQ = Buffer.from([0xc0, 0])

/**
 * A device for each input: a connection whose end the broker has not seen yet would be taken over, and takeovers are
 * slowed down. And none that inputs sign in as: a flipped bit makes a neighbour's user of one's own.
 */
const deviceOf = (input: number): string => `held${input}`

/** How an input went: what followed it was answered, or the broker closed, or the client went before it. */
export type Verdict = 'answered' | 'closed' | 'left'

/** Something that must not be. */
export class Misbehaviour extends Error {}

let opened = 0
/**
 * Where a socket comes from. Spoilt names and passwords are guesses, and an address that guesses may soon open few
 * connections: so each comes from another one, where all of 127.0.0.0/8 is this machine.
 */
const address = (): string | undefined => process.platform === 'linux' ? `127.1.${(++opened >> 8) % 256}.${1 + opened % 254}` : undefined

/** One socket of the attack. Whatever the broker writes to it must be MQTT. */
class Line {
  /** Packets that came, by their kind. */
  readonly came = new Map<string, number>()
  /** MQTT 5: what the broker said was wrong. */
  private readonly reasons: string[] = []
  closed = false
  private wake: (() => void) | null = null
  private broken: Error | null = null

  private constructor (readonly socket: Socket, version: Version) {
    let parser: ReturnType<typeof mqtt.parser> | null = null
    socket.on('data', b => {
      // a CONNECT may have been changed into one of another version: what the broker took it for shows in CONNACK
      parser ??= this.parser(b[0] === 0x20 ? (b[1]! > 2 ? 5 : 4) : version)
      parser.parse(b)
      this.wake?.()
    })
    socket.on('error', () => {})
    socket.on('close', () => { this.closed = true; this.wake?.() })
  }

  private parser (protocolVersion: number): ReturnType<typeof mqtt.parser> {
    const parser = mqtt.parser({ protocolVersion })
    parser.on('packet', (p: Packet) => {
      this.came.set(p.cmd, this.count(p.cmd) + 1)
      if ('reasonCode' in p && p.reasonCode !== undefined && p.reasonCode >= 0x80) this.reasons.push(`${p.cmd} 0x${p.reasonCode.toString(16)}`)
    })
    parser.on('error', (e: Error) => { this.broken ??= e })
    return parser
  }

  static async open (port: number, version: Version): Promise<Line> {
    const socket = open({ port, host: '127.0.0.1', localAddress: address(), noDelay: true, allowHalfOpen: true })
    const line = new Line(socket, version)
    await new Promise<void>((resolve, reject) => { socket.once('connect', () => resolve()); socket.once('error', reject) })
    // the broker's FIN ends it, as it does for any client
    socket.on('end', () => { socket.end() })
    return line
  }

  get story (): string { return [...this.came].map(([cmd, n]) => `${n} ${cmd}`).concat(this.reasons).join(', ') || 'nothing' }
  count (cmd: string): number { return this.came.get(cmd) ?? 0 }
  write (b: Buffer): void { if (b.length > 0 && !this.socket.writableEnded) this.socket.write(b) }
  say (p: RawPacket): void { this.write(bytesOf(p)) }

  /** Until `what` is true; false: the socket closed before. @throws Misbehaviour when neither comes in time, or what came is no MQTT */
  async until (what: () => boolean, name: string): Promise<boolean> {
    const end = Date.now() + WAIT_MS
    while (!what() && !this.closed && this.broken === null) {
      const left = end - Date.now()
      if (left <= 0) throw new Misbehaviour(`no ${name}, and no end of the connection, within ${WAIT_MS / 1000} s; came: ${this.story}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.wake = () => { clearTimeout(timer); resolve() }
      })
      this.wake = null
    }
    if (this.broken !== null) throw new Misbehaviour(`the broker wrote what is no MQTT: ${this.broken.message}`)
    return what()
  }

  destroy (): void { this.socket.resetAndDestroy() }
}

const says = (s: Speaker, topic: string, qos: 1 | 2, packetId: number): RawPacket => publish(new Dice(0, 0), s, { topic, qos, id: packetId, payload: 'x', plainly: true })
const hears = (s: Speaker, ...filters: string[]): RawPacket => ({ head: 0x82, fields: [id(1), ...(s.version === 5 ? [properties([])] : []), ...filters.flatMap(f => [text(f), plain(2)])] })

async function signedIn (port: number, s: Speaker, o: { clean: boolean, will?: boolean }): Promise<Line> {
  const line = await Line.open(port, s.version)
  line.say(connect(new Dice(0, s.version), s, { ...o, plainly: true }))
  await needs(line, 'connack')
  return line
}

/** Brings a new connection into the script's state. */
async function reach (port: number, s: Speaker, state: State): Promise<Line> {
  switch (state) {
    case 'new': case 'early': return await Line.open(port, s.version)
    case 'connected': case 'will': return await signedIn(port, s, { clean: true, will: state === 'will' })
    case 'subscribed': {
      const line = await signedIn(port, s, { clean: true })
      line.say(hears(s, 'me/#', 'fz/#', '$share/s/fz/a'))
      await needs(line, 'suback')
      return line
    }
    case 'sending': {
      const line = await signedIn(port, s, { clean: true })
      line.say(says(s, `u/${s.user}/msg`, 2, 7))
      line.say(says(s, 'fz/a', 2, 8))
      await needs(line, 'pubrec', 2)
      return line
    }
    case 'receiving': return await receiving(port, s)
    case 'resumed': {
      const before = await receiving(port, s)
      before.socket.end()
      await before.until(() => false, 'a close')
      const line = await signedIn(port, s, { clean: false })
      await needs(line, 'publish')
      return line
    }
  }
}

/** A session that is sent an entry and an ordinary message and acknowledges neither. */
async function receiving (port: number, s: Speaker): Promise<Line> {
  const line = await signedIn(port, s, { clean: false })
  line.say(hears(s, 'me/msg', `fz/${s.user}`))
  await needs(line, 'suback')
  const friend = { ...s, user: `${s.user}.friend` }
  const other = await signedIn(port, friend, { clean: true })
  other.say(says(friend, `u/${s.user}/msg`, 1, 7))
  other.say(says(friend, `fz/${s.user}`, 2, 8))
  await needs(other, 'pubrec')
  await needs(line, 'publish')
  other.destroy()
  return line
}

async function needs (line: Line, cmd: string, n = 1): Promise<void> {
  if (!await line.until(() => line.count(cmd) >= n, cmd)) throw new Misbehaviour(`closed where ${cmd} is due, before any hostile byte; came: ${line.story}`)
}

/** Writes the bytes in their pieces, each in a turn of its own. */
async function send (line: Line, { bytes, pieces }: Input): Promise<void> {
  let from = 0
  for (const to of [...pieces, bytes.length]) {
    line.write(bytes.subarray(from, to))
    from = to
    if (pieces.length > 0) await new Promise<void>(resolve => { setImmediate(resolve) })
  }
}

/** Completes what the input left half said, so that what comes behind it is read as what it is. */
function completion (bytes: Buffer): { fill: Buffer, pings: number } | 'too long' | 'no MQTT' {
  let all = bytes
  for (;;) {
    const f = framing(all)
    if (f === null) return 'no MQTT'
    if (f.missing > MAX_FILL_BYTES) return 'too long'
    if (f.missing === 0) return { fill: all.subarray(bytes.length), pings: f.pings }
    all = Buffer.concat([all, Buffer.alloc(f.missing)])
  }
}

async function play (line: Line, s: Speaker, state: State, input: Input): Promise<Verdict> {
  const before = line.count('pingresp')
  const bytes = state === 'early' ? Buffer.concat([bytesOf(connect(new Dice(0, s.version), s, { clean: true, plainly: true })), input.bytes]) : input.bytes
  await send(line, { ...input, bytes })
  if (input.then === 'vanishes') { line.destroy(); return 'left' }
  const completed = completion(bytes)
  if (input.then === 'ends' || typeof completed === 'string') {
    if (completed !== 'no MQTT') line.socket.end()
    await line.until(() => false, 'a close')
    return completed === 'no MQTT' ? 'closed' : 'left'
  }
  line.write(Buffer.concat([completed.fill, PINGREQ]))
  return await line.until(() => line.count('pingresp') > before + completed.pings, 'an answer to the PINGREQ that follows') ? 'answered' : 'closed'
}

/**
 * Plays the script and tells how each input went.
 * @throws Misbehaviour
 */
export async function playScript (port: number, s: Script, told: (v: Verdict) => void): Promise<void> {
  let line: Line | null = null
  try {
    for (const [i, input] of s.inputs.entries()) {
      const speaker = { user: s.user, version: s.version, device: deviceOf(i) }
      line ??= await reach(port, speaker, s.state)
      const verdict = await play(line, speaker, s.state, input)
      told(verdict)
      if (s.good && verdict !== 'answered') throw new Misbehaviour(`good packets, and the connection was ${verdict}; came: ${line.story}`)
      if (verdict === 'answered' && s.state !== 'new' && s.state !== 'early') continue
      line.destroy()
      line = null
    }
  } finally {
    line?.destroy()
  }
}

