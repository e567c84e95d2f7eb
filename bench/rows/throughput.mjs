// Messages/s against Mosquitto, which writes nothing to the disk, while Parley acknowledges what is durable.
import { command, load, median, ratios, turnAbout } from '../rig/measure.mjs'
import { count, span, times } from './words.mjs'
import { OPEN_TOPICS, withBoth, withBuilds } from './with-brokers.mjs'

/**
 * `start`: the contenders; `to`: what the generator speaks to Parley, if not chat; `than`: against whom a goal counts.
 */
const compare = (title, cases, { start = withBoth, settings, to, than = 'Mosquitto in memory' } = {}) => ({
  title,
  run: (context) => start(context, async (started) => {
    const brokers = started.map((broker) => ({ ...broker, to: to ?? broker.to }))
    const parts = []
    const series = {}
    for (const { what, mode, args, goal } of cases) {
      const rounds = await turnAbout(brokers, context.rounds, (broker) => load(mode, args, broker), (label, now) => {
        context.say(`${what}, ${label}: ${now.map((r, i) => `${brokers[i].name} ${count(r.perS)}/s`).join(', ')}`)
      })
      parts.push(judge(what, goal, rounds, than))
      series[what] = Object.fromEntries(rounds.map((results, i) => [brokers[i].name, results]))
    }
    return { parts, series, commands: [...new Set(cases.flatMap(({ mode, args }) => brokers.map(({ to }) => command(mode, args, to))))] } // once where both are spoken to alike
  }, settings),
})

function judge (what, goal, [ours, theirs], than) {
  const must = `≥ ${goal}× ${than}`
  const whole = ours.every(({ got, want }) => got === want)
  const rate = `${count(median(ours.map(({ perS }) => perS)))}/s`
  const missing = whole ? '' : '; not everything arrived'
  if (theirs === undefined) return { what, must, measured: `${rate}, no Mosquitto to compare with${missing}`, holds: whole ? null : false }
  const each = ratios(ours, theirs, ({ perS }) => perS)
  const ratio = median(each)
  return {
    what,
    must,
    measured: `**${times(ratio)}** (rounds ${span(each, times)}; ${rate} to ${count(median(theirs.map(({ perS }) => perS)))}/s)${missing}`,
    holds: whole && ratio >= goal,
  }
}

const FANOUT = [
  { what: 'fan-out 1→500, window 50', mode: 'fanout', args: { n: 500, m: 300, window: 50 }, goal: 5 },
  { what: 'fan-out 1→500, window 5', mode: 'fanout', args: { n: 500, m: 100, window: 5 }, goal: 1.5 },
]
const PAIRS = [
  { what: '1:1, 50 pairs × window 20', mode: 'pairs', args: { n: 50, m: 800, window: 20 }, goal: 1.5 },
  { what: '1:1, 200 pairs × window 2', mode: 'pairs', args: { n: 200, m: 150, window: 2 }, goal: 0.8 },
]

export const fanout = compare('Fan-out 1→500, QoS 1, durable', FANOUT)
export const pairs = compare('1:1, QoS 1, durable', PAIRS)
/** For a change that must not slow down: machines differ, and one machine from hour to hour. */
export const builds = compare('Against another build', [...FANOUT, ...PAIRS].map((c) => ({ ...c, goal: 0.95 })), { start: withBuilds, than: 'the other build' })

// Ordinary topics: subscribers whose sessions end with their connections, so nothing has to be kept by either broker.
export const topics = compare('Ordinary topics, not durable', [0, 1].flatMap((qos) => [
  { what: `ordinary topics, fan-out 1→500, window 50, QoS ${qos}`, mode: 'fanout', args: { n: 500, m: 300, window: 50, qos }, goal: 1 },
  { what: `ordinary topics, 50 pairs × window 20, QoS ${qos}`, mode: 'pairs', args: { n: 50, m: 800, window: 20, qos }, goal: 0.8 },
]), { settings: OPEN_TOPICS, to: 'plain' })
