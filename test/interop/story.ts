import { fileURLToPath } from 'node:url'
import type { Client } from '../support/client.js'
import { Device, endAll } from './device.js'
import { INSTALL_MS, install } from './install.js'
import type { Network } from './network.js'
import { Server, type Transport } from './server.js'

/** The largest body of the story: its entry is larger than the packet limit of many libraries, and below `limits.messageBytes`. */
const LARGE = 'L'.repeat(60_000)
/** More than any library's window and ours (32), so that what is torn lies in the middle of it. */
const BURST = 100
/** More than the broker's Receive Maximum (100) and any library's window for sending. */
const OFFLINE = 150
/** About half of what the burst takes on the wire. */
const TORN_AFTER_BYTES = 4000

/** A client library under test: a folder of test/interop with a program that keeps README.md's contract. */
export interface Library {
  /** `import.meta.url` of the test in that folder. */
  at: string
  /** The program and what stands before its arguments; file names are the folder's own, or `.interop/…` of the project. */
  command: (built: string, folder: string) => string[]
  versions: (4 | 5)[]
  transports: Transport[]
  /** How many messages are written while the network is away; default {@link OFFLINE}. */
  offline?: number
  /** The program says `lost`, and those are written after it. */
  writesOnceLost?: boolean
}

/** The command that runs a library's program. */
export function program ({ at, command }: Pick<Library, 'at' | 'command'>): string[] {
  const folder = fileURLToPath(new URL('.', at))
  return command(fileURLToPath(new URL(`../../../.interop/${folder.split('/').at(-2)!}`, at)), folder)
}

/** Declares the tests of a library: the whole chat story, for every version and transport. */
export function chats (library: Library): void {
  const command = program(library)
  let server: Server
  let told = 0
  beforeAll(async () => {
    await install(library.at)
    server = await Server.start()
  }, INSTALL_MS)
  afterAll(async () => {
    await endAll()
    await server?.close()
  })

  const seats = library.versions.flatMap(version => library.transports.map(transport => [version === 5 ? '5.0' : '3.1.1', transport, version] as const))
  test.concurrent.each(seats)('the chat story in MQTT %s over %s', async (_name, transport, version) => {
    const n = ++told
    const { network, url } = await server.network(transport)
    const user = `alice-${n}`
    const bob = await server.person(`bob-${n}`)
    const args = [url, String(version), user, server.token(user), 'phone', ...(transport === 'mqtts' || transport === 'wss' ? [server.ca] : [])]
    await tell(bob, { user, peer: `bob-${n}`, network, offline: texts('offline', library.offline ?? OFFLINE), writesOnceLost: library.writesOnceLost === true, open: () => Device.start([...command, ...args]) })
  }, 90_000)
}

interface Scene { user: string, peer: string, network: Network, offline: string[], writesOnceLost: boolean, open: () => Device }

const bodies = (entries: Record<string, unknown>[]): unknown[] => entries.map(e => e.body)
const texts = (name: string, n: number): string[] => Array.from({ length: n }, (_, i) => `${name} ${i + 1}`)

/** Alice's phone is the program, Bob the raw test client. */
async function tell (bob: Client, { user, peer, network, offline, writesOnceLost, open }: Scene): Promise<void> {
  const write = (body: string): number => bob.publish(`u/${user}/msg`, { body })
  const say = async (body: string): Promise<void> => { await bob.answer('puback', write(body)) }
  let phone = open()
  // A program that sends by another connection hears its own messages too; they say whom they are from.
  const heard = (): Record<string, unknown>[] => phone.on('me/msg').filter(e => e.from === undefined)
  const hears = async (expected: string[]): Promise<void> => {
    await phone.until(() => heard().length >= expected.length, `${expected.length} entries`)
    expect(bodies(heard())).toEqual(expected)
  }
  await phone.until(() => phone.count('subscribed') > 0, 'SUBACK')

  // Sent: PUBACK and me/ack, in the order of the lines.
  const greetings = texts('hello', 3)
  for (const text of greetings) phone.type(`u/${peer} ${text}`)
  await phone.until(() => phone.count('sent') === 3 && phone.on('me/ack').length === 3, 'three acknowledgements')
  expect(phone.on('me/ack').map(a => a.seq)).toEqual([1, 2, 3])
  expect(bodies((await bob.got('me/msg', 3)).map(d => d.json))).toEqual(greetings)

  // Received, in order.
  const answers = texts('answer', 20)
  for (const text of answers) await say(text)
  await hears(answers)

  // The network is lost in the middle of a burst; both go on writing.
  const burst = texts('burst', BURST)
  const torn = network.tearAfter(TORN_AFTER_BYTES)
  const ids = burst.map(write)
  if (!writesOnceLost) phone.type(`u/${peer} torn`)
  await torn
  if (writesOnceLost) {
    await phone.until(() => phone.count('lost') === 1, 'the loss')
    phone.type(`u/${peer} torn`)
  }
  for (const text of offline) phone.type(`u/${peer} ${text}`)
  for (const id of ids) await bob.answer('puback', id)
  await say('while you were away')
  network.mend()
  await hears([...answers, ...burst, 'while you were away'])
  await phone.until(() => phone.count('sent') === greetings.length + 1 + offline.length, 'PUBACK of what was written offline')
  await phone.until(() => phone.count('connected') === 2, 'the second CONNACK') // some libraries tell it late
  const sent = [...greetings, 'torn', ...offline]
  expect(bodies((await bob.got('me/msg', sent.length)).map(d => d.json))).toEqual(sent)

  // Lost again with everything acknowledged: nothing comes twice, whatever the library subscribes again.
  const head = Math.max(...bob.on('me/ack').map(d => Number(d.json.seq)))
  await bob.until(() => bob.on('me/rcpt').some(d => Number(d.json.delivered) >= head), 'the receipt of the last entry')
  const inbox = await phone.ask('inbox', 'inbox-1') as { conversations: { conv: string, head: number }[] }
  expect(inbox.conversations).toMatchObject([{ conv: `u/${peer}`, head: sent.length + answers.length + burst.length + 1 }])
  const again = phone.count('again')
  network.tear()
  await say('once more')
  network.mend()
  await hears([...answers, ...burst, 'while you were away', 'once more'])
  const { entries } = await phone.ask('history', 'history-1', { conv: `u/${peer}`, limit: 2 }) as { entries: { body: string }[] }
  expect(bodies(entries).at(-1)).toBe('once more')
  expect(phone.count('again')).toBe(again)
  expect(phone.count('connected')).toBe(3)
  expect(await phone.finish()).toEqual({ code: 0, complaint: '' })

  // The app was closed: its next life gets what came meanwhile, and nothing else.
  for (const text of ['good', LARGE, 'night']) await say(text)
  phone = open()
  await hears(['good', LARGE, 'night'])
  expect(await phone.finish()).toEqual({ code: 0, complaint: '' })
}
