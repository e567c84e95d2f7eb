// Somebody who guesses passwords: a connection for each guess, at a fixed rate, whatever becomes of the ones before.
import { open, options, pace } from './scene.mjs'

/** Not that of the bystanders: what comes from this one is slowed down. */
const ADDRESS = '127.0.0.2'
/** Guesses that may be open at a time: an attacker has sockets to spare, but not without end. */
const MAX_OPEN = 2000

/** `rate` wrong passwords a second for the user `victim`, for `secs`. `answered`: refused by CONNACK; the others were closed without a word. */
export async function guess () {
  const { rate, secs } = options
  const trying = new Set()
  let [answered, closed, skipped] = [0, 0, 0]
  const sent = await pace({
    rate,
    total: rate * secs,
    fire: (k) => {
      if (trying.size >= MAX_OPEN) { skipped++; return }
      const client = open('victim', 'd', { password: `guess-${k}`, localAddress: ADDRESS })
      trying.add(client)
      client.ready.catch((error) => { if (/CONNACK/.test(error.message)) answered++; else closed++ }).finally(() => {
        trying.delete(client)
        client.end()
      })
    },
  })
  return { sent: sent - skipped, answered, closed, skipped }
}
