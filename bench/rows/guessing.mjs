import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { removeFolder, temporaryFolder } from '../rig/children.mjs'
import { command, median, ratios, startLoad, turnAbout } from '../rig/measure.mjs'
import { ms, span, times } from './words.mjs'
import { withParley } from './with-brokers.mjs'

const WHAT = '500 wrong passwords a second over TLS, beside 1,000 msg/s'
const CHAT = { n: 50, rate: 1000, secs: 10 }
// Longer than the chat, so that all of it is measured under fire.
const GUESSES = { rate: 500, secs: 13 }
const TIMES_WITHOUT = 2
/** Hashes that one user's attacker may cost in a second, at most. */
const ANSWERED_PER_S = 10

export const guessing = {
  title: 'Guessing passwords',
  run: async (context) => {
    const folder = temporaryFolder('users')
    const file = path.join(folder, 'users.json')
    const hash = execFileSync(process.execPath, [context.main, 'hash'], { input: 'right', encoding: 'utf8' }).trim()
    writeFileSync(file, JSON.stringify([{ user: 'victim', hash }]))
    try {
      return await withParley(context, measured(context), { secure: true, auth: { static: { file }, dev: true } })
    } finally {
      removeFolder(folder)
    }
  },
}

const measured = (context) => async (parley) => {
  const rounds = await turnAbout([true, false], context.rounds, async (underFire) => {
    const attack = underFire ? startLoad('guess', GUESSES, parley) : null
    const chat = await startLoad('steady', CHAT, parley).result
    return { ...chat, ...(attack === null ? {} : { guesses: await attack.result }) }
  }, (label, [fired, calm]) => {
    context.say(`guessing, ${label}: p99 ${ms(fired.p99)}, without ${ms(calm.p99)}; ${fired.guesses.answered} of ${fired.guesses.sent} guesses answered`)
  })
  return {
    parts: [judge(rounds)],
    series: { [WHAT]: { 'under fire': rounds[0], calm: rounds[1] } },
    commands: [command('guess', { ...GUESSES, tls: 1 }), command('steady', { ...CHAT, tls: 1 })],
    notes: ['The attacker makes a full TLS handshake for each guess, on the same two cores: a part of what it costs the bystanders is its own work.'],
  }
}

function judge ([fired, calm]) {
  const whole = [...fired, ...calm].every(({ got, want }) => got === want)
  const each = ratios(fired, calm, (r) => r.p99)
  const ratio = median(each)
  const answeredPerS = Math.max(...fired.map((r) => r.guesses.answered / GUESSES.secs))
  return {
    what: WHAT,
    must: `everything arrives, bystanders' p99 ≤ ${TIMES_WITHOUT}×; at most ${ANSWERED_PER_S} guesses/s are worth a hash`,
    measured: `p99 ${ms(median(calm.map((r) => r.p99)))} → ${ms(median(fired.map((r) => r.p99)))}, **${times(ratio)}** (rounds ${span(each, times)}); ${answeredPerS.toFixed(1)} guesses/s answered${whole ? '' : '; not everything arrived'}`,
    holds: whole && ratio <= TIMES_WITHOUT && answeredPerS <= ANSWERED_PER_S,
  }
}
