import { anonymousKb, watchMemory } from '../rig/memory.mjs'
import { command, median, ratios, startLoad, turnAbout } from '../rig/measure.mjs'
import { mb, ms, span, times } from './words.mjs'
import { OPEN_TOPICS, withParley } from './with-brokers.mjs'

const LOAD = { rate: 2000, size: 2000, secs: 25 }
// The same eight read in both: what differs is only the two that do not.
const WITH = { n: 10, frozen: 2, ...LOAD }
const WITHOUT = { n: 8, frozen: 0, ...LOAD }
const WARM_UP_SECS = 5
const TIMES_WITHOUT = 2
const GROWTH_MB = 60

/** `to`: what the generator speaks to Parley; `settings`: of its configuration. */
const row = (title, what, to, settings) => ({
  title,
  run: (context) => withParley(context, async (started) => {
    const parley = { ...started, to }
    const measure = async (args, warmUp) => {
      const startKb = anonymousKb(parley.pid)
      const memory = watchMemory(parley.pid)
      const result = await startLoad('frozen', warmUp ? { ...args, secs: WARM_UP_SECS } : args, parley).result
      memory.stop()
      return { ...result, startKb, grewKb: memory.peakKb.start - startKb }
    }
    const rounds = await turnAbout([WITH, WITHOUT], context.rounds, measure, (label, [ours, without]) => {
      context.say(`${title}, ${label}: got ${ours.share * 100} %, p99 ${ms(ours.p99)}, without ${ms(without.p99)}; memory +${mb(ours.grewKb)}`)
    })
    return {
      parts: [judge(what, rounds)],
      series: { [what]: { 'with two frozen': rounds[0], 'without them': rounds[1] } },
      commands: [WITH, WITHOUT].map((args) => command('frozen', args, to)),
      notes: ['Memory: RssAnon every 100 ms, the highest sample less the one before the round began; the worst round counts.'],
    }
  }, settings),
})

export const frozen = row('Frozen members', 'two members of ten frozen (QoS 1 and 0), 2,000 msg/s × 2 kB, 25 s', 'parley')
export const frozenTopic = row('Frozen subscribers of an ordinary topic', 'two subscribers of ten of an ordinary topic frozen (QoS 1 and 0), 2,000 msg/s × 2 kB, 25 s', 'plain', OPEN_TOPICS)

function judge (what, [ours, without]) {
  const share = Math.min(...ours.map((r) => r.got / r.want))
  const each = ratios(ours, without, (r) => r.p99)
  const ratio = median(each)
  const grewKb = Math.max(...ours.map((r) => r.grewKb))
  return {
    what,
    must: `the others get 100 %, p99 ≤ ${TIMES_WITHOUT}× of without; memory grows < ${GROWTH_MB} MB at its peak`,
    measured: `${(Math.floor(share * 10000) / 100)} %; p99 ${ms(median(ours.map((r) => r.p99)))}, **${times(ratio)}** (rounds ${span(each, times)}); **+${mb(grewKb)}**`,
    holds: share === 1 && ratio <= TIMES_WITHOUT && grewKb < GROWTH_MB * 1024,
  }
}
