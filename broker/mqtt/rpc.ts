import { isUtf8 } from 'node:buffer'
import { Outgoing } from '../core/outgoing.js'
import { asParleyError, ParleyError } from '../domain/errors.js'
import { scanObject } from '../domain/json-scan.js'
import type { Call } from '../plugin.js'
import type { Arrived } from './arrived.js'
import type { Connection } from './connection.js'

const MAX_REQUEST_BYTES = 256 << 10
/** An answer holds 256 KiB of entries or one larger one: a text whose every character is escaped has twice its bytes. */
const maxAnswerBytes = (messageBytes: number): number => Math.max(512 << 10, 2 * messageBytes + (16 << 10))
/** By how much the length fields of a packet may grow when it is filled. */
const LENGTH_BYTES = 4
/** Requests of one connection that are worked on, or whose answers wait to leave; the next ones wait their turn, unacknowledged. */
const MAX_RUNNING = 16

/** The operations, as RPC calls them. */
export interface OperationCaller {
  /** JSON bytes of the result. @throws ParleyError */
  call (method: string, call: Call, params: unknown): Promise<Buffer>
}

/** Requests on `rpc/{method}`: the PUBACK means received, the answer on `me/rpc` (or the Response Topic) means done. */
export class Rpc {
  private readonly maxAnswerBytes: number
  constructor (private readonly operations: OperationCaller, limits: { readonly messageBytes: number }) {
    this.maxAnswerBytes = maxAnswerBytes(limits.messageBytes)
  }

  /**
   * Resolves when the request is taken; the answer follows by itself.
   * @throws ParleyError bad-request, too-large: nothing to answer to
   */
  async request (c: Connection, method: string, m: Arrived): Promise<void> {
    if (m.payload.length > MAX_REQUEST_BYTES) throw new ParleyError('too-large', `a request has at most ${MAX_REQUEST_BYTES} bytes`)
    const { id, params } = parse(m.payload)
    const reply = replyTo(c, m)
    const { session } = c
    if (c.rpcRunning >= MAX_RUNNING) {
      await new Promise<void>(resolve => { (c.rpcWaiting ??= []).push(resolve) })
      if (c.phase !== 'ready') return
    }
    if (!session.extras.takesAnswers(c.rpcRunning)) {
      c.rpcWaiting?.shift()?.()
      if (!session.extras.hears(reply)) return
      c.deliver(refusal(id, new ParleyError('rate-limited', 'too many answers wait for this device'), reply), 0, 0, false, session.grants.isLong('rpc'))
      return
    }
    c.rpcRunning++
    const call: Call = { user: session.user, device: session.device, admin: c.identity!.admin, maxBytes: this.room(c, id, reply) }
    void this.operations.call(method, call, params).then(
      result => answer(Buffer.concat([Buffer.from(`{"id":${JSON.stringify(id)},"result":`), result, Buffer.from('}')]), reply),
      (e: unknown) => {
        const error = asParleyError(e)
        const told = refusal(id, error, reply)
        return session.fits(told) ? told : refusal(id, new ParleyError(error.code, ''), reply)
      }
    ).then(out => {
      if (c.phase !== 'ready') return
      session.extras.answer(out, () => {
        c.rpcRunning--
        c.rpcWaiting?.shift()?.()
      })
    })
  }

  /** Most bytes of a result, so that its packet is none that the device does not take. */
  private room (c: Connection, id: string, reply: Outgoing['reply']): number {
    const { maxPacketBytes, grants } = c.session
    if (maxPacketBytes === 0) return this.maxAnswerBytes
    const around = c.sizeOf(answer(Buffer.from(JSON.stringify({ id, result: 0 })), reply), 1, grants.isLong('rpc'))
    return Math.min(this.maxAnswerBytes, Math.max(0, maxPacketBytes - around - LENGTH_BYTES))
  }
}

const refusal = (id: string, { code, message }: ParleyError, reply: Outgoing['reply']): Outgoing =>
  answer(Buffer.from(JSON.stringify({ id, error: { code, message } })), reply)

function answer (bytes: Buffer, reply: Outgoing['reply']): Outgoing {
  const out = new Outgoing('rpc', bytes)
  out.reply = reply
  return out
}

function parse (payload: Buffer): { id: string, params: Record<string, unknown> } {
  const wrong = isUtf8(payload) ? scanObject(payload) : 'no valid UTF-8'
  if (typeof wrong === 'string') throw new ParleyError('bad-request', `a request is a JSON object: ${wrong}`)
  const { id, ...params } = JSON.parse(payload.toString()) as Record<string, unknown>
  if (typeof id !== 'string' || id.length > 128) throw new ParleyError('bad-request', 'id: a string of at most 128 characters')
  return { id, params }
}

/** Null: on `me/rpc`, without Correlation Data. */
function replyTo (c: Connection, m: Arrived): Outgoing['reply'] {
  const topic = m.properties?.responseTopic
  const correlationData = m.properties?.correlationData
  const own = [`me/rpc`, `u/${c.session.user}/rpc`].find(t => topic === t || topic?.startsWith(`${t}/`) === true)
  if (topic !== undefined && own === undefined) throw new ParleyError('bad-request', 'the Response Topic is me/rpc or me/rpc/…')
  if (topic === undefined && correlationData === undefined) return null
  return { suffix: topic === undefined ? '' : topic.slice(own!.length), correlationData }
}
