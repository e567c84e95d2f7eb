import { Duplex } from 'node:stream'
import mqtt from 'mqtt-packet'
import type { Connection, MqttWorld } from '../../broker/mqtt/connection.js'
import { Entrance } from '../../broker/mqtt/entrance.js'
import { WriteBatcher } from '../../broker/mqtt/write-batching.js'
import { connectPacket } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { range } from '../support/inbox.js'
import { recordingLogger } from '../support/recording-logger.js'

/** As many as a listener lets stand that have not signed in. */
const MAX = 10_000
const CONNECT = mqtt.generate(connectPacket({ user: 'alice' }))

class FakeSocket extends Duplex {
  constructor (readonly remoteAddress: string | undefined, readonly remotePort: number) { super({ read () {}, write (_b, _e, done) { done() } }) }
  destroySoon (): void { this.destroy() }
}

/** A listener whose sockets are not the system's; who says CONNECT is signed in. */
function rig (proxyProtocol = false) {
  const clock = new FakeClock()
  const logger = recordingLogger()
  const away: string[] = []
  let open = 0
  const connector = { connect: async (c: Connection) => { c.ready([]) } }
  const world = { batcher: new WriteBatcher(), clock, logger, connector, ordinary: { ready () {} }, maxPacketBytes: 1 << 20, ended: async () => {} } as unknown as MqttWorld
  const entrance = new Entrance('mqtt:1883', world, { logger, loopbackOnly: false, admits: () => true, opened: () => { open++ }, closed: () => { open-- }, turnedAway: why => { away.push(why) } })
  entrance.build({ proxyProtocol, certificate: null, clientCert: undefined, webSocket: null })
  let port = 0
  const knock = (remoteAddress?: string) => {
    const socket = new FakeSocket(remoteAddress, ++port)
    entrance.accept(socket as never)
    return socket
  }
  return { clock, logger, away, entrance, knock, open: () => open }
}

/** Once this resolves streams have told what happened to them. */
const turn = async (): Promise<void> => { await new Promise<void>(resolve => { setImmediate(resolve) }) }

test('sockets that have not signed in are limited; the address with most of them gives way', async () => {
  const { away, entrance, knock, logger, open } = rig()
  const crowd = range(1, MAX).map(() => knock('192.0.2.1'))
  await turn()
  expect([away, open(), crowd.filter(s => s.destroyed)]).toEqual([[], MAX, []])
  const more = knock('192.0.2.1')
  const other = knock('192.0.2.2')
  expect([more.destroyed, other.destroyed, crowd[0]!.destroyed, crowd[1]!.destroyed]).toEqual([true, false, true, false])
  await turn()
  expect([open(), away]).toEqual([MAX, ['crowded', 'crowded']])
  expect(logger.lines.filter(l => l.level === 'warn')).toMatchObject([{ listener: 'mqtt:1883', address: '192.0.2.1', times: 1 }])
  entrance.stop()
  await turn()
  expect(open()).toBe(0)
})

test('who has signed in takes no place, and who is gone neither', async () => {
  const { away, entrance, knock, open } = rig()
  const crowd = range(1, MAX).map(() => knock('192.0.2.1'))
  for (const s of crowd.slice(0, 10)) s.push(CONNECT)
  for (const s of crowd.slice(10, 20)) s.destroy()
  await turn()
  range(1, 20).forEach(() => knock('192.0.2.1'))
  await turn()
  expect([away, open()]).toEqual([[], MAX + 10])
  knock('192.0.2.1')
  expect(away).toEqual(['crowded'])
  entrance.stop()
  await turn()
  expect(open()).toBe(10) // signed in
})

test('behind a balancer the addresses that it tells are counted, not its own', async () => {
  const { away, entrance, knock } = rig(true)
  const passOn = (address: string): FakeSocket => {
    const socket = knock('10.0.0.1')
    socket.push(`PROXY TCP4 ${address} 10.0.0.2 1 2\r\n`)
    return socket
  }
  const crowd = range(1, 6000).map(() => passOn('192.0.2.1'))
  const others = range(1, 4000).map(n => passOn(`198.51.${n >> 8}.${n & 255}`))
  await turn()
  const other = passOn('203.0.113.1')
  expect([other.destroyed, crowd[0]!.destroyed, others.filter(s => s.destroyed), away]).toEqual([false, true, [], ['crowded']])
  entrance.stop()
  await turn()
})

test('a socket that is reset before it was accepted is no error', async () => {
  const { entrance, knock, open } = rig()
  knock().destroy(new Error('ECONNRESET'))
  await turn()
  expect(open()).toBe(0)
  entrance.stop()
})
