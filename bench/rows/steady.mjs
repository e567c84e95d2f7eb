import { command, load, median, ratios, turnAbout } from '../rig/measure.mjs'
import { ms, span, times } from './words.mjs'
import { withBoth } from './with-brokers.mjs'

const WHAT = '1:1 at a steady 5,000 msg/s'
const ARGS = { n: 50, rate: 5000, secs: 10 }
const P99_MS = 10
const TIMES_MOSQUITTO = 3

export const steady = {
  title: WHAT,
  run: (context) => withBoth(context, async (brokers) => {
    const rounds = await turnAbout(brokers, context.rounds, (broker) => load('steady', ARGS, broker), (label, now) => {
      context.say(`${WHAT}, ${label}: p99 ${now.map((r, i) => `${brokers[i].name} ${ms(r.p99)}`).join(', ')}`)
    })
    return {
      parts: [judge(rounds)],
      series: { [WHAT]: Object.fromEntries(rounds.map((results, i) => [brokers[i].name, results])) },
      commands: brokers.map(({ to }) => command('steady', ARGS, to)),
      notes: ['Latency counts from the moment at which a message was due, so it holds up to 1 ms of the generator\'s own timer, the same for both.'],
    }
  }),
}

function judge ([ours, theirs]) {
  const whole = ours.every(({ got, want }) => got === want)
  const p99 = median(ours.map((r) => r.p99 ?? Infinity))
  const own = `p99 **${ms(p99)}**, p50 ${ms(median(ours.map((r) => r.p50)))}${whole ? '' : '; not everything arrived'}`
  const must = `p99 ≤ ${P99_MS} ms and ≤ ${TIMES_MOSQUITTO}× Mosquitto's`
  if (theirs === undefined) return { what: WHAT, must, measured: `${own}, no Mosquitto to compare with`, holds: whole && p99 <= P99_MS ? null : false }
  const each = ratios(ours, theirs, (r) => r.p99)
  const ratio = median(each)
  return {
    what: WHAT,
    must,
    measured: `${own}; **${times(ratio)}** Mosquitto's ${ms(median(theirs.map((r) => r.p99)))} (rounds ${span(each, times)})`,
    holds: whole && p99 <= P99_MS && ratio <= TIMES_MOSQUITTO,
  }
}
