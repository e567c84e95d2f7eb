// Loads whose messages do not matter: connections that do nothing, and a store that is to be large.
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, inChunks, inbox, named, options, phase, toUser } from './scene.mjs'

/** n connections, each subscribed to its inbox, that stay for `hold` seconds after the phase `open`. */
export async function idle () {
  const { n, hold } = options
  const began = performance.now()
  await inChunks(n, async (i) => {
    const user = named('i', i)
    const client = await connect(user, 'd', { keepAliveSeconds: 600 })
    await client.subscribe([options.parley ? 'me/#' : inbox(user)])
  })
  const secs = (performance.now() - began) / 1000
  phase('open')
  await sleep(hold * 1000)
  return { n, connectsPerS: Math.round(n / secs) }
}

/** n senders write `mb` MiB in all, in messages of `size` bytes that do not compress. */
export async function fill () {
  const { n, mb, size } = options
  const bodies = Array.from({ length: 64 }, () => Buffer.from(JSON.stringify({ body: randomBytes(size * 3 / 4).toString('base64').slice(0, size - 12) })))
  const count = Math.ceil(mb * 2 ** 20 / size)
  const senders = await inChunks(n, (i) => connect(named('q', i), 'd'))
  const began = performance.now()
  let sent = 0
  let acked = 0
  await new Promise((resolve, reject) => {
    for (const [i, sender] of senders.entries()) {
      const topic = toUser(named('r', i))
      const next = () => { if (sent < count) sender.send(topic, bodies[sent++ % bodies.length]) }
      sender.onAck = () => { if (++acked === count) resolve(); else next() }
      sender.socket.on('close', () => { reject(new Error('the broker closed a sender')) })
      next()
    }
  })
  return { got: acked, want: count, mb, secs: +((performance.now() - began) / 1000).toFixed(1) }
}
