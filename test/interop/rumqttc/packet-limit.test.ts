import { Device, endAll } from '../device.js'
import { INSTALL_MS, install } from '../install.js'
import { Server } from '../server.js'
import { program } from '../story.js'
import { rumqttc } from './library.js'

/** One for the first connect, five that the entry ends, one that goes on. */
const CONNECTS = 7

let server: Server
beforeAll(async () => {
  await install(rumqttc.at)
  server = await Server.start()
}, INSTALL_MS)
afterAll(async () => {
  await endAll()
  await server?.close()
})

test('an entry over the limit that the library tells nobody (10 KiB) is announced by a gap, and does not end every connection', async () => {
  const bob = await server.person('bob')
  const { url } = await server.network('mqtt')
  const phone = Device.start([...program(rumqttc), url, '4', 'alice', server.token('alice'), 'phone'], { PACKET_BYTES: '10240' })
  await phone.until(() => phone.count('subscribed') > 0, 'SUBACK')
  for (const body of ['before', 'L'.repeat(60_000), 'after']) await bob.say('u/alice/msg', { body })
  await phone.until(() => phone.on('me/msg').length === 2, 'what is small enough')
  expect(phone.on('me/msg').map(e => [e.seq, e.body])).toEqual([[1, 'before'], [3, 'after']])
  expect(phone.on('me/gap')).toMatchObject([{ conv: 'u/bob', from: 2, to: 2 }])
  expect(phone.count('connected')).toBeLessThanOrEqual(CONNECTS)
  expect((await phone.finish()).code).toBe(0)
}, 60_000)
