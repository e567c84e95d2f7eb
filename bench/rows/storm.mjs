import { command, load, median, ratios, turnAbout } from '../rig/measure.mjs'
import { count, span, times } from './words.mjs'
import { withParley } from './with-brokers.mjs'

const WHAT = 'reconnect storm, 2,000 devices × 20 pending entries'
const STORM = { mode: 'storm', args: { n: 2000, m: 20 } }
const CONNECTED = { mode: 'pairs', args: { n: 200, m: 200, window: 20 } }
const OF_CONNECTED = 0.5

export const storm = {
  title: 'Reconnect storm',
  run: (context) => withParley(context, async (parley) => {
    const rounds = await turnAbout([STORM, CONNECTED], context.rounds, ({ mode, args }) => load(mode, args, parley), (label, [ours, connected]) => {
      context.say(`storm, ${label}: ${count(ours.got)} of ${count(ours.want)} at ${count(ours.perS)}/s, connected sessions ${count(connected.perS)}/s`)
    })
    return {
      parts: [judge(rounds)],
      series: { [WHAT]: { storm: rounds[0], 'connected sessions': rounds[1] } },
      commands: [STORM, CONNECTED].map(({ mode, args }) => command(mode, args)),
      notes: ['The clock starts before the first device connects. Every entry is checked to come in order, once.'],
    }
  }),
}

function judge ([ours, connected]) {
  const missing = ours.reduce((sum, { got, want }) => sum + want - got, 0)
  const bad = ours.reduce((sum, r) => sum + r.bad, 0)
  const each = ratios(ours, connected, ({ perS }) => perS)
  const ratio = median(each)
  return {
    what: WHAT,
    must: `everything delivered, at ≥ ${OF_CONNECTED}× the rate of connected sessions`,
    measured: `${missing + bad === 0 ? 'everything' : `${count(missing)} missing, ${count(bad)} out of order`}; **${times(ratio)}** (rounds ${span(each, times)}; ${count(median(ours.map((r) => r.perS)))}/s to ${count(median(connected.map((r) => r.perS)))}/s)`,
    holds: missing + bad === 0 && ratio >= OF_CONNECTED,
  }
}
