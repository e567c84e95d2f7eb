import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What came in, whole. */
export interface Asked { method: string, headers: IncomingMessage['headers'], body: string }

/** An HTTP server on loopback that answers what a test tells it, and keeps what it was asked. */
export class Backend {
  asked: Asked[] = []
  answer: (response: ServerResponse, asked: Asked) => void = response => { response.end() }
  /** Most questions that were open at the same time. */
  mostOpen = 0
  #open = 0
  #port = 0
  #server: Server | null = null
  #listening: (() => void)[] = []

  get url (): string { return `http://127.0.0.1:${this.#port}/auth` }

  /** Listens; after {@link stop} at the same port again. */
  async start (): Promise<this> {
    this.#server = createServer((request, response) => {
      let body = ''
      this.mostOpen = Math.max(this.mostOpen, ++this.#open)
      response.on('close', () => { this.#open-- })
      request.on('data', (chunk: Buffer) => { body += chunk.toString() })
      request.on('end', () => {
        const asked = { method: request.method!, headers: request.headers, body }
        this.asked.push(asked)
        for (const heard of this.#listening.splice(0)) heard()
        this.answer(response, asked)
      })
    })
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
    return this
  }

  /** Answers JSON with this status from now on. */
  says (status: number, json: unknown): void {
    this.answer = response => { response.writeHead(status, { 'content-type': 'application/json' }).end(typeof json === 'string' ? json : JSON.stringify(json)) }
  }

  /** Resolves once it was asked `n` times. */
  async wasAsked (n: number): Promise<void> {
    while (this.asked.length < n) await new Promise<void>(resolve => { this.#listening.push(resolve) })
  }

  /** No longer there: connections are cut, new ones refused. */
  async stop (): Promise<void> {
    const server = this.#server
    if (server === null) return
    this.#server = null
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
}
