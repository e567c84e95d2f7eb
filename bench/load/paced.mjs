// At a fixed rate: latency, counted from the moment at which a message was due.
import { setTimeout as sleep } from 'node:timers/promises'
import { Latencies, nowUs, payload, stamp, stampOf } from './latency.mjs'
import { connect, createGroup, inChunks, inbox, memberInbox, named, options, pace, toGroup, toUser } from './scene.mjs'

/** The first second is not measured: both sides compile their code in it. */
const WARM_UP_US = 1e6
/** How long stragglers are waited for. */
const PATIENCE_MS = 10000

export async function until (condition) {
  const end = performance.now() + PATIENCE_MS
  while (!condition() && performance.now() < end) await sleep(20)
}

/** n pairs; `onMessage(dueUs)` hears every arrival. Returns the function that sends the k-th message, due then. */
export async function chattingPairs (n, size, onMessage) {
  const senders = await inChunks(n, async (i) => {
    const user = named('r', i)
    const receiver = await connect(user, 'd', { onPublish: (bytes, _topic, start, end) => { onMessage(stampOf(bytes, start, end)) } })
    await receiver.subscribe([inbox(user)])
    const sender = await connect(named('q', i), 'd')
    const topic = toUser(user)
    return (message) => { sender.send(topic, message) }
  })
  const message = payload(size)
  return (k, dueUs) => { senders[k % n](stamp(message, Math.round(dueUs))) }
}

/** n pairs, `rate` messages/s in all, for `secs`. `lateP99`: how late the generator itself was, part of the latency. */
export async function steady () {
  const { n, rate, secs, size } = options
  const latencies = new Latencies()
  const lateness = new Latencies()
  let got = 0
  let measureFromUs = Infinity
  const send = await chattingPairs(n, size, (dueUs) => {
    got++
    if (dueUs >= measureFromUs) latencies.add(nowUs() - dueUs)
  })
  measureFromUs = nowUs() + WARM_UP_US
  const sent = await pace({
    rate,
    total: rate * secs,
    fire: (k, dueUs) => {
      if (dueUs >= measureFromUs) lateness.add(nowUs() - dueUs)
      send(k, dueUs)
    },
  })
  await until(() => got >= sent)
  return { got, want: sent, perS: rate, ...latencies.summary(), lateP99: lateness.summary().p99 }
}

/**
 * A group of n of whom the first `frozen` never read, subscribed at QoS 1 and 0 by turns. `share` is what the others
 * got of what was sent to them.
 */
export async function frozen () {
  const { n, frozen: silent, rate, secs, size } = options
  const group = named('z')
  const owner = named('owner')
  const users = Array.from({ length: n }, (_, i) => named('f', i))
  await createGroup(group, owner, users)
  const latencies = new Latencies(7)
  let got = 0
  for (const [i, user] of users.entries()) {
    const isFrozen = i < silent
    const member = await connect(user, 'd', isFrozen ? {} : { onPublish: (bytes, _topic, start, end) => { got++; latencies.take(bytes, start, end) } })
    await member.subscribe([memberInbox(user, group)], isFrozen && i % 2 === 1 ? 0 : 1)
    if (isFrozen) member.freeze()
  }
  const sender = await connect(owner, 'pub')
  const topic = toGroup(group)
  const message = payload(size)
  const sent = await pace({ rate, total: rate * secs, fire: (_k, dueUs) => { sender.send(topic, stamp(message, Math.round(dueUs))) } })
  const want = sent * (n - silent)
  await until(() => got >= want)
  return { sent, got, want, share: +(got / want).toFixed(4), ...latencies.summary() }
}
