import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import type { MqttWorld } from '../../broker/mqtt/connection.js'
import { Listeners } from '../../broker/mqtt/listeners.js'
import { WriteBatcher } from '../../broker/mqtt/write-batching.js'
import { FakeClock } from '../support/fake-clock.js'
import { recordingLogger } from '../support/recording-logger.js'

/** As many as a listener lets stand without a CONNECT. */
const MAX = 10_000
const CLOSE_FRAME = 0x88

function rig () {
  const server = new EventEmitter()
  const clock = new FakeClock()
  let open = 0
  const world = { batcher: new WriteBatcher(), clock, logger: recordingLogger(), maxPacketBytes: 1 << 20, ended: async () => {} } as unknown as MqttWorld
  const listeners = new Listeners(world, { logger: recordingLogger(), loopbackOnly: false, admits: () => true, opened: () => { open++ }, closed: () => { open-- } })
  listeners.share(server as never, 'http')
  /** A WebSocket that says nothing; whether the broker has sent its close frame. */
  const knock = (): (() => boolean) => {
    let closed = false
    const socket = Object.assign(new Duplex({ read () {}, write (chunk: Buffer, _e, done) { closed ||= chunk[0] === CLOSE_FRAME; done() } }), { setNoDelay () {} })
    const headers = { upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }
    server.emit('upgrade', { method: 'GET', url: '/mqtt', headers, socket }, socket, Buffer.alloc(0))
    return () => closed
  }
  return { clock, listeners, knock, open: () => open }
}

test('sockets that have not signed in are limited: more are closed at once, until some are gone', () => {
  const { clock, knock, open, listeners } = rig()
  const all = Array.from({ length: MAX }, knock)
  expect([all.filter(closed => closed()).length, open()]).toEqual([0, MAX])
  expect(knock()()).toBe(true)
  expect(open()).toBe(MAX)
  clock.advance(10_000) // none of them said CONNECT
  expect([all.filter(closed => closed()).length, open()]).toEqual([MAX, 0])
  expect(knock()()).toBe(false)
  listeners.stop()
  expect(open()).toBe(0)
  clock.advance(2000) // who does not answer the close frame is cut off
})
