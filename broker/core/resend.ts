import { deflated } from './batch.js'
import type { Flight } from './conv-state.js'
import { EntryView, type Outgoing } from './outgoing.js'
import type { Sender } from './sender.js'

/**
 * What the last connection left unacknowledged: goes before anything new, with the same packet ids and DUP
 * [MQTT-4.4.0-1], as the window allows. What is not there any more, or too large for this connection, becomes a gap.
 */
export class Resend {
  private loading = false
  /** `flights` in the order in which they were sent first; what is sent again leaves it. */
  constructor (private readonly session: Sender, readonly flights: Flight[]) {}

  get done (): boolean { return this.flights.length === 0 }
  has (packetId: number): boolean { return this.flights.some(f => f.packetId === packetId) }

  pump (): void {
    const s = this.session
    while (!s.closed && !this.loading && !this.done && s.hasRoom) {
      const f = this.flights[0]!
      if (f.kind === 'gap' || s.gaveUp(f)) { this.gap(f); continue }
      const view = f.kind === 'entry' ? s.world.recent.get(f.conv!.key, f.from) : undefined
      if (view === undefined) this.load(f)
      else this.send(f, view.for(s.user, s.world.clock.now()))
    }
  }

  private send (f: Flight, out: Outgoing): void {
    if (!this.session.fits(out)) { this.gap(f); return }
    this.flights.shift()
    this.session.sendAgain(f, out)
  }

  private gap (f: Flight): void {
    const s = this.session
    f.kind = 'gap'
    this.flights.shift()
    if (s.grants.holds('gap')) s.sendAgain(f, s.gapOf(f.conv!, f.from, f.to))
    else s.land(f)
  }

  private load (f: Flight): void {
    const { world, user } = this.session
    this.loading = true
    world.log.page(f.conv!.key, { after: f.from - 1, limit: f.to - f.from + 1 }).then(entries => {
      this.loading = false
      if (this.session.closed) return
      const views = entries.map(e => new EntryView(e))
      const out = views.length < f.to - f.from + 1 ? null : this.whole(f, views)
      if (out === null) this.gap(f)
      else this.send(f, out)
      this.session.pump()
    }, (err: unknown) => { this.loading = false; world.logger.error({ err, user }, 'the log could not be read to send again; the next acknowledgement tries again') })
  }

  /** The packet as it was, null when a batch does not hold all any more. */
  private whole (f: Flight, views: EntryView[]): Outgoing | null {
    const s = this.session
    const now = s.world.clock.now()
    if (f.kind === 'entry') return views[0]!.for(s.user, now)
    const { covered, out } = deflated(views, v => s.isOwn(v) ? null : v.for(s.user, now).bytes, o => s.fits(o))
    return covered === views.length ? out : null
  }
}
