// A device that is far behind comes back while others chat.
import { setTimeout as sleep } from 'node:timers/promises'
import { Latencies, nowUs, payload, stamp } from './latency.mjs'
import { chattingPairs, until } from './paced.mjs'
import { connect, inChunks, named, open, options, pace, phase, toUser } from './scene.mjs'

const PAIRS = 40
const CALM_MS = 3000
/** One conversation in a hundred is a busy one, so that the limit per conversation is met as well as the one in all. */
const BUSY_EVERY = 100
const BUSY_SHARE = 0.1

/** How many entries each of `n` conversations gets, `m` in all. */
function backlogSizes (n, m) {
  const busy = Math.ceil(n / BUSY_EVERY)
  const each = Math.floor(m * BUSY_SHARE / busy)
  const sizes = Array.from({ length: n }, (_, i) => i % BUSY_EVERY === 0 ? each : Math.floor((m - each * busy) / (n - busy)))
  sizes[0] += m - sizes.reduce((sum, size) => sum + size, 0)
  return sizes
}

/** A sender per conversation writes that many messages to `user`. The busy ones are done last, so they are the newest. */
async function fillBacklog (user, sizes, bytes) {
  const message = payload(bytes)
  const senders = await inChunks(sizes.length, (i) => connect(named('b', i), 'd'))
  await Promise.all(senders.map((sender, i) => new Promise((resolve, reject) => {
    let sent = 0
    const pump = () => {
      for (; sent < sizes[i] && sent - sender.acked < 10; sent++) sender.send(toUser(user), stamp(message))
      if (sender.acked === sizes[i]) { sender.end(); resolve() }
    }
    sender.socket.on('close', () => { reject(new Error('the broker closed a sender')) })
    sender.onAck = pump
    pump()
  })))
}

/** What a device got of its conversations; entries and gaps together must be 1 … head of each. */
class Received {
  entries = 0
  gaps = 0
  leftOut = 0
  twice = 0
  #byConversation = new Map()

  take (kind, { conv, seq, from, to }) {
    const had = this.#byConversation.get(conv) ?? { first: 0, last: 0, count: 0, gap: null, disorder: false }
    this.#byConversation.set(conv, had)
    if (kind === 'gap') {
      this.gaps++
      this.leftOut += to - from + 1
      had.gap = { from, to }
      return
    }
    this.entries++
    if (seq === had.last) { this.twice++; return }
    if (had.count === 0) had.first = seq
    else if (seq !== had.last + 1) had.disorder = true
    had.last = seq
    had.count++
  }

  get covered () { return this.entries - this.twice + this.leftOut }
  get mostPerConversation () { return Math.max(0, ...[...this.#byConversation.values()].map(({ count }) => count)) }

  /** Conversations of which something is missing, out of order, or both given and left out. */
  broken (sizes) {
    return sizes.filter((size, i) => {
      const had = this.#byConversation.get(`u/${named('b', i)}`)
      if (had === undefined || had.disorder) return true
      const { gap, first, last, count } = had
      if (gap === null) return first !== 1 || last !== size
      return gap.from !== 1 || (count === 0 ? gap.to !== size : gap.to + 1 !== first || last !== size)
    }).length
  }
}

/** Connects a device that is behind; resolves once entries and gaps cover everything, or after `max` s. */
async function comeBack (user, device, sizes) {
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const received = new Received()
  let done
  const all = new Promise((resolve) => { done = resolve })
  const timer = setTimeout(() => { done() }, options.max * 1000)
  const began = performance.now()
  const client = open(user, device, {
    clean: false,
    onPublish: (bytes, topic, start, end) => {
      received.take(bytes.latin1Slice(topic + 3, topic + 6), JSON.parse(bytes.utf8Slice(start, end)))
      if (received.covered >= total) done()
    },
  })
  await client.ready
  await all
  clearTimeout(timer)
  const secs = +((performance.now() - began) / 1000).toFixed(3)
  client.end()
  const { entries, gaps, leftOut, twice, mostPerConversation } = received
  return { entries, gaps, leftOut, twice, mostPerConversation, broken: received.broken(sizes), secs }
}

/**
 * `rounds` devices of one user, and one to warm up, go away; m messages in n conversations; each device comes back alone
 * while 40 pairs exchange `rate` messages/s. What the pairs saw `before` and `during` is put together over all devices.
 */
export async function behind () {
  const { n, m, rate, rounds, size } = options
  const user = named('v')
  for (let i = 0; i <= rounds; i++) {
    const device = await connect(user, `d${i}`, { clean: false })
    await device.subscribe(['me/msg', 'me/gap'])
    device.end()
  }
  phase('fill')
  const sizes = backlogSizes(n, m)
  await fillBacklog(user, sizes, size)

  const before = new Latencies()
  const during = new Latencies()
  let counted = null   // where the latency of a message belongs that is due now
  const underWay = new Map()
  let got = 0
  const chat = await chattingPairs(PAIRS, size, (dueUs) => {
    got++
    underWay.get(dueUs)?.add(nowUs() - dueUs)
    underWay.delete(dueUs)
  })
  let stop = false
  const chatting = pace({
    rate,
    fire: (k, dueUs) => {
      const due = Math.round(dueUs)
      if (counted !== null) underWay.set(due, counted)
      chat(k, due)
    },
    stopped: () => stop,
  })
  phase('warm-up')
  await sleep(CALM_MS)
  const devices = []
  for (let i = 0; i <= rounds; i++) {
    const counts = i > 0
    phase(`before ${i}`)
    if (counts) counted = before
    await sleep(CALM_MS)
    phase(`during ${i}`)
    if (counts) counted = during
    const device = await comeBack(user, `d${i}`, sizes)
    counted = null
    if (counts) devices.push(device)
    phase(`after ${i}`)
    await sleep(1000)
  }
  stop = true
  const sent = await chatting
  await until(() => got >= sent)
  return { got, want: sent, before: { ...before.summary(), samples: before.count }, during: { ...during.summary(), samples: during.count }, devices }
}
