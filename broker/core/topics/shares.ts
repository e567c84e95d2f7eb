import type { Held } from './subscriber.js'

/** One shared subscription: of all who hold it, each message goes to one [MQTT-4.8.2-4]. */
export class ShareGroup {
  private readonly members: Held[] = []
  private next = 0
  constructor (readonly filter: string) {}

  get empty (): boolean { return this.members.length === 0 }

  join (held: Held): void { this.members.push(held) }

  leave (held: Held): void {
    const at = this.members.indexOf(held)
    if (at >= 0) this.members.splice(at, 1)
  }

  /**
   * In turn: of those that can be given a message now; else of those that are connected; else of those whose queue is
   * kept. Of who is connected to another node it is not known whether it can be given a message now; it is taken to be,
   * if news comes there. Undefined: nobody is there.
   */
  pick (qos: 0 | 1 | 2, newsComes: boolean): Held | undefined {
    const { members } = this
    let second: number | undefined
    let third: number | undefined
    for (let i = 0; i < members.length; i++) {
      const at = (this.next + i) % members.length
      const { subscriber, subscription } = members[at]!
      if (subscriber.ready || (newsComes && subscriber.elsewhere !== null)) return this.turn(at)
      if (subscriber.link !== null) second ??= at
      else if (subscriber.persistent && qos > 0 && subscription.qos > 0) third ??= at
    }
    const at = second ?? third
    return at === undefined ? undefined : this.turn(at)
  }

  private turn (at: number): Held {
    this.next = (at + 1) % this.members.length
    return this.members[at]!
  }
}
