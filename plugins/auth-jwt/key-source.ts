import { isPublicAlg, type KeyRing, type VerifyKey } from './keys.js'
import type { RemoteKeys } from './remote-keys.js'

/** Whether there is a key for a token cannot be told for now. */
export class NotNow { constructor (readonly why: string) {} }

/** The keys of the configuration, and those of a provider's JWKS, which come and go. */
export class Keys {
  constructor (private readonly own: KeyRing, private readonly remote: RemoteKeys | null) {}

  /** Goes up when keys change: what was judged before may be judged differently now. */
  get version (): number { return this.remote?.version ?? 0 }

  /** The keys that may have signed a token with this header, at least one; or why there is none, as text. Never rejects. */
  async find (alg: string, kid: string | undefined): Promise<VerifyKey[] | string | NotNow> {
    const own = this.own.keysFor(alg, kid)
    const { remote } = this
    if (remote === null || !isPublicAlg(alg)) return own
    await remote.renewIfOld()
    const keys = this.#all(own, alg, kid)
    if (keys.length > 0) return keys
    if (remote.ring === null) return new NotNow('the public keys were not fetched yet')
    if (kid === undefined) return own as string
    if (!await remote.lookFor(kid)) return new NotNow(`no public key with kid ${JSON.stringify(kid.slice(0, 80))} is known, and they cannot be fetched again just now`)
    const found = this.#all(own, alg, kid)
    return found.length > 0 ? found : own as string
  }

  #all (own: VerifyKey[] | string, alg: string, kid: string | undefined): VerifyKey[] {
    const fetched = this.remote?.ring?.keysFor(alg, kid) ?? []
    return [own, fetched].flatMap(keys => typeof keys === 'string' ? [] : keys)
  }
}
