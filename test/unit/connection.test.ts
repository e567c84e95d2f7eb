import mqtt from 'mqtt-packet'
import { Connection, type MqttWorld } from '../../broker/mqtt/connection.js'
import { WriteBatcher } from '../../broker/mqtt/write-batching.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

test('a mistake of ours in the work on a packet is logged and ends that connection; it is not thrown at the socket', () => {
  const logger = recordingLogger()
  const ended: string[] = []
  const written: Buffer[] = []
  const world = {
    batcher: new WriteBatcher(), clock: new FakeClock(), logger, maxPacketBytes: 1 << 20, publishPerSecond: 0,
    ordinary: { publish () { throw new TypeError('no such thing') } },
    ended: async (_c: Connection, reason: string) => { ended.push(reason) }
  } as unknown as MqttWorld
  let gone = false
  const wire = { writableLength: 0, write (b: Buffer) { written.push(b) }, pause () {}, resume () {}, destroySoon () { gone = true }, destroy () {} }
  const c = new Connection(wire, { address: '192.0.2.1', listener: 'mqtt:1' }, world, 1000)
  c.phase = 'ready'
  c.version = 5
  c.identity = { user: 'alice' as never, admin: false, expiresMs: 0 }
  const publish = mqtt.generate({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 1, dup: false, retain: false }, { protocolVersion: 5 })
  c.data(Buffer.concat([publish, publish]))
  expect([gone, ended]).toEqual([true, ['broker']])
  expect(logger.lines).toMatchObject([{ level: 'error', address: '192.0.2.1', err: new TypeError('no such thing') }])
  const told: unknown[] = []
  mqtt.parser({ protocolVersion: 5 }).on('packet', p => told.push(p)).parse(Buffer.concat(written))
  expect(told).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x83 }])
})
