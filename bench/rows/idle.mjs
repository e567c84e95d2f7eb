import { setTimeout as sleep } from 'node:timers/promises'
import { anonymousKb, liveKb } from '../rig/memory.mjs'
import { command, median, startLoad } from '../rig/measure.mjs'
import { count, kb } from './words.mjs'
import { withParley } from './with-brokers.mjs'

const FIRST = 2000
const MORE = 4000
/** A fresh process each time, so fewer than elsewhere; they differ little. */
const TIMES = 3
const SETTLE_MS = 5000
const HOLD_SECS = 300
const LIVE_KB = 10
const ALL_KB = 25
const TLS_KB = 45

/** What one connection costs: live, by the slope from 2,000 to 6,000, and with garbage, of all 6,000. */
const measure = (context, secure) => withParley(context, async (parley) => {
  const loads = []
  const open = async (n) => {
    const load = startLoad('idle', { n, hold: HOLD_SECS }, parley)
    loads.push(load)
    await load.phase('open')
    await sleep(SETTLE_MS)
  }
  try {
    const none = await liveKb(parley)
    await open(FIRST)
    const first = await liveKb(parley)
    await open(MORE)
    const withGarbage = anonymousKb(parley.pid)
    const all = await liveKb(parley)
    return { live: (all - first) / MORE, withGarbage: (withGarbage - none) / (FIRST + MORE) }
  } finally {
    await Promise.all(loads.map((load) => load.stop()))
  }
}, { secure, inspect: true })

export const idle = {
  title: 'Idle connections',
  run: async (context) => {
    const series = { plain: [], TLS: [] }
    for (let i = 1; i <= Math.min(TIMES, context.rounds); i++) {
      for (const transport of Object.keys(series)) {
        const one = await measure(context, transport === 'TLS')
        context.say(`idle, ${transport}, process ${i}: live ${kb(one.live)}, with garbage ${kb(one.withGarbage)} a connection`)
        series[transport].push(one)
      }
    }
    const of = (transport, value) => median(series[transport].map(value))
    const live = of('plain', (r) => r.live)
    const all = of('plain', (r) => r.withGarbage)
    const tls = of('TLS', (r) => r.live)
    return {
      parts: [
        { what: 'idle connection, plain', must: `≤ ${LIVE_KB} kB live, ≤ ${ALL_KB} kB with garbage`, measured: `**${kb(live)}** live, **${kb(all)}** with garbage`, holds: live <= LIVE_KB && all <= ALL_KB },
        { what: 'idle connection, TLS', must: `≤ ${TLS_KB} kB live`, measured: `**${kb(tls)}** live, ${kb(of('TLS', (r) => r.withGarbage))} with garbage`, holds: tls <= TLS_KB },
      ],
      series,
      commands: [FIRST, MORE].map((n) => command('idle', { n, hold: HOLD_SECS })),
      notes: [
        `Live: RssAnon after a forced collection at ${count(FIRST)} and at ${count(FIRST + MORE)} connections; the difference by ${count(MORE)}.`,
        `With garbage: RssAnon ${SETTLE_MS / 1000} s after the last connection, less an empty broker's, by ${count(FIRST + MORE)}. The median of ${series.plain.length} fresh processes.`,
      ],
    }
  },
}
