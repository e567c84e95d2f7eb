// As fast as the broker goes, with a bounded number of messages outstanding.
import { Latencies, payload, stamp } from './latency.mjs'
import { Arrivals, connect, createGroup, inChunks, inbox, memberInbox, named, open, options, toGroup, toUser } from './scene.mjs'

/** One sender, a group of n, m messages of which `window` are under way. */
export async function fanout () {
  const { n, m, window, size } = options
  const group = named('g')
  const owner = named('owner')
  const users = Array.from({ length: n }, (_, i) => named('s', i))
  await createGroup(group, owner, users)
  const arrivals = new Arrivals(n * m)
  const latencies = new Latencies(61)
  let pump = () => {}
  await inChunks(n, async (i) => {
    const member = await connect(users[i], 'd', {
      onPublish: (bytes, _topic, start, end) => {
        latencies.take(bytes, start, end)
        arrivals.one()
        pump()
      },
    })
    await member.subscribe([memberInbox(users[i], group)])
  })
  const sender = await connect(owner, 'pub')
  const message = payload(size)
  let sent = 0
  pump = () => { for (; sent < m && sent - arrivals.got / n < window; sent++) sender.send(toGroup(group), stamp(message)) }
  arrivals.begin()
  pump()
  return { ...await arrivals.rate(), ...latencies.summary() }
}

/** n senders, each to a receiver of its own, m messages each of which `window` are under way. */
export async function pairs () {
  const { n, m, window, size } = options
  const arrivals = new Arrivals(n * m)
  const latencies = new Latencies(17)
  const pumps = await inChunks(n, async (i) => {
    const user = named('r', i)
    const message = payload(size)
    let sent = 0
    let got = 0
    const receiver = await connect(user, 'd', {
      onPublish: (bytes, _topic, start, end) => {
        got++
        latencies.take(bytes, start, end)
        arrivals.one()
        pump()
      },
    })
    await receiver.subscribe([inbox(user)])
    const sender = await connect(named('q', i), 'd')
    const pump = () => { for (; sent < m && sent - got < window; sent++) sender.send(toUser(user), stamp(message)) }
    return pump
  })
  arrivals.begin()
  for (const pump of pumps) pump()
  return { ...await arrivals.rate(), ...latencies.summary() }
}

/** n devices that are away get m entries each, then all come back at once. `bad`: entries out of order, or twice. */
export async function storm () {
  const { n, m, size } = options
  const user = (i) => named('w', i)
  await inChunks(n, async (i) => {
    const device = await connect(user(i), 'd', { clean: false })
    await device.subscribe([inbox(user(i))])
    device.end()
  })
  await leavePending(n * m, (k) => toUser(user(k % n)), payload(size))

  const arrivals = new Arrivals(n * m)
  let bad = 0
  arrivals.begin()
  for (let i = 0; i < n; i++) {
    let next = 1
    open(user(i), 'd', {
      clean: false,
      onPublish: (bytes, _topic, start, end) => {
        if (options.parley && seqOf(bytes, start, end) !== next++) bad++
        arrivals.one()
      },
    })
  }
  return { ...await arrivals.rate(), bad }
}

async function leavePending (count, topic, message) {
  const sender = await connect(named('owner'), 'pub')
  await new Promise((resolve) => {
    let sent = 0
    const pump = () => {
      if (sender.acked === count) resolve()
      for (; sent < count && sent - sender.acked < 200; sent++) sender.send(topic(sent), stamp(message))
    }
    sender.onAck = pump
    pump()
  })
  sender.end()
}

function seqOf (bytes, start, end) {
  const at = bytes.indexOf('"seq":', start)
  return at < 0 || at > end ? null : parseInt(bytes.latin1Slice(at + 6, at + 22))
}
