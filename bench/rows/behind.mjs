import { watchMemory } from '../rig/memory.mjs'
import { command, startLoad } from '../rig/measure.mjs'
import { count, mb, ms, span, times } from './words.mjs'
import { withParley } from './with-brokers.mjs'

const WHAT = 'device 100,000 entries behind in 1,000 conversations'
const ARGS = { n: 1000, m: 100000, rate: 2000 }
const TIMES_BEFORE = 2
/** What chatting alone makes of garbage comes and goes by this much; a queue of the backlog would be more. */
const GROWTH_MB = 30
// The defaults of limits.replay and limits.replayTotal.
const REPLAY = 200
const REPLAY_TOTAL = 5000

export const behind = {
  title: 'A device far behind',
  run: (context) => withParley(context, async (parley) => {
    const args = { ...ARGS, rounds: context.rounds }
    const memory = watchMemory(parley.pid)
    const load = startLoad('behind', args, parley)
    load.onPhase((name) => {
      memory.phase(name)
      context.say(`behind: ${name}`)
    })
    const result = await load.result
    memory.stop()
    const during = Array.from({ length: context.rounds }, (_, i) => memory.peakKb[`during ${i + 1}`])
    const grewKb = Math.max(...during) - memory.peakKb['before 1']
    return {
      parts: [judge(result, grewKb)],
      series: { [WHAT]: { load: result, peakKb: memory.peakKb } },
      commands: [command('behind', args)],
      notes: [
        'One conversation in a hundred holds a hundredth of a tenth of the backlog (1,000 entries), the others about 90 each; 40 pairs chat at 2,000 msg/s in all, before and while a device comes back. Each of the devices is as far behind; a first one, that warms up, does not count.',
        'Memory: the highest RssAnon while devices came back, less the highest before the first that counts.',
      ],
    }
  }),
}

function judge ({ got, want, before, during, devices }, grewKb) {
  const entries = devices.map((d) => d.entries)
  const most = Math.max(...devices.map((d) => d.mostPerConversation))
  const broken = devices.reduce((sum, d) => sum + d.broken + d.twice, 0)
  // At most what the limits say, and what they allow is used: one conversation's worth may be left.
  const limited = most <= REPLAY && entries.every((n) => n <= REPLAY_TOTAL && n >= REPLAY_TOTAL - REPLAY)
  const ratio = during.p99 / before.p99
  return {
    what: WHAT,
    must: `bystanders' p99 ≤ ${TIMES_BEFORE}×; memory flat (< ${GROWTH_MB} MB); replay limits kept, the rest announced by gaps`,
    measured: `p99 ${ms(before.p99)} → ${ms(during.p99)}, **${times(ratio)}**; **${grewKb < 0 ? '−' : '+'}${mb(Math.abs(grewKb))}**; ${span(entries, count)} entries (≤ ${most} a conversation) and ${span(devices.map((d) => d.gaps), count)} gaps in ${span(devices.map((d) => d.secs), (s) => s.toFixed(2))} s`
      + `${broken > 0 ? `; ${count(broken)} conversations with holes or duplicates` : ''}${got < want ? '; bystanders missed messages' : ''}`,
    holds: got === want && ratio <= TIMES_BEFORE && grewKb < GROWTH_MB * 1024 && limited && broken === 0,
  }
}
