import { Client } from '../support/client.js'
import { Home, type Life } from '../support/process.js'
import { CertificateFiles } from '../support/tls.js'
import { hs256 } from '../support/token.js'
import { Network } from './network.js'

const SECRET = 'thirty-two bytes are enough for HS256'
export type Transport = 'mqtt' | 'mqtts' | 'ws' | 'wss'

/** A Parley process with a listener per transport, where people sign in with a token. */
export class Server {
  readonly #networks = new Set<Network>()
  readonly #people = new Set<Client>()
  private constructor (private readonly home: Home, private readonly certificate: CertificateFiles, readonly life: Life) {}

  static async start (): Promise<Server> {
    const certificate = new CertificateFiles()
    const { cert, key } = certificate
    const home = new Home({
      auth: { jwt: { secret: SECRET } },
      listeners: [
        { protocol: 'mqtt', host: '127.0.0.1', port: 0 },
        { protocol: 'mqtts', host: '127.0.0.1', port: 0, cert, key },
        { protocol: 'ws', host: '127.0.0.1', port: 0 },
        { protocol: 'wss', host: '127.0.0.1', port: 0, cert, key }
      ]
    })
    return new Server(home, certificate, await home.start())
  }

  /** What a client must trust. */
  get ca (): string { return this.certificate.cert }

  token (user: string): string { return hs256({ sub: user, exp: Math.floor(Date.now() / 1000) + 3600 }, SECRET) }

  /** A way to a listener that can be torn, and its address for a client. */
  async network (transport: Transport): Promise<{ network: Network, url: string }> {
    const network = await Network.to(this.life.port(transport))
    this.#networks.add(network)
    return { network, url: `${transport}://127.0.0.1:${network.port}${transport.startsWith('ws') ? '/mqtt' : ''}` }
  }

  /** Somebody with an undisturbed connection of the raw test client. */
  async person (user: string): Promise<Client> {
    const person = await Client.connect(this.life.mqttPort, { user, password: this.token(user), subscribe: ['me/#'] })
    this.#people.add(person)
    return person
  }

  async close (): Promise<void> {
    for (const person of this.#people) person.destroy()
    await Promise.all([...this.#networks].map(async network => { await network.close() }))
    await this.home.close()
    this.certificate.remove()
  }
}
