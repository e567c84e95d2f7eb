import { networkOf } from '../domain/network.js'

/** Somebody who has not signed in. */
export interface Newcomer { close (): void }

/** Of one listener. Each may hold some hundred kB before it is known; ten times what a node signs in within a second. */
export const MAX_NEWCOMERS = 10_000

interface Place { network: string, all: Set<Newcomer> }

/**
 * Those on one listener who have not signed in. While there is room everybody may come, from one address too: all
 * phones behind a balancer share one. When it is full the address that holds most gives way: its oldest one is closed,
 * or the newcomer itself when it is from there. So nobody keeps others out by opening sockets.
 */
export class Newcomers {
  private readonly networks = new Map<string, Place>()
  private readonly places = new Map<Newcomer, Place>()
  constructor (private readonly closed: (n: Newcomer) => void, private readonly most = MAX_NEWCOMERS) {}

  /** Takes one in, or takes it along to another address; when it is full, one is closed. */
  enter (n: Newcomer, address: string): void {
    this.leave(n)
    if (this.places.size >= this.most) {
      const out = this.crowding(networkOf(address)) ?? n
      this.leave(out)
      this.closed(out)
      out.close()
      if (out === n) return
    }
    const network = networkOf(address)
    let place = this.networks.get(network)
    if (place === undefined) this.networks.set(network, place = { network, all: new Set() })
    place.all.add(n)
    this.places.set(n, place)
  }

  /** It has signed in, or is gone. Idempotent. */
  leave (n: Newcomer): void {
    const place = this.places.get(n)
    if (place === undefined) return
    this.places.delete(n)
    place.all.delete(n)
    if (place.all.size === 0) this.networks.delete(place.network)
  }

  closeAll (): void { for (const n of [...this.places.keys()]) n.close() }

  /** The oldest one of the address that holds most; null when that is the given one. Looks at all of them: only when full. */
  private crowding (network: string): Newcomer | null {
    let most = this.networks.get(network)
    for (const place of this.networks.values()) if (place.all.size > (most?.all.size ?? 0)) most = place
    if (most === undefined || most.network === network) return null
    return most.all.values().next().value ?? null
  }
}
