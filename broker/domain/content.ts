import { isUtf8 } from 'node:buffer'
import { RESERVED_TYPES } from './entry.js'
import { ParleyError } from './errors.js'
import { isUserId } from './ids.js'
import { type Member, scanObject } from './json-scan.js'

/** What a client published, checked and ready to be stored (protocol.md, Content). */
export interface Content {
  type: string
  cid: string
  fields: Buffer
  bytes: Buffer | null
  /** Seconds until it disappears; 0: never. */
  ttlSeconds: number
  push: Buffer
}

/** What stands beside the payload in a PUBLISH; the last five by MQTT 5 only. */
export interface Envelope {
  /** The topic ends in `raw`: never looked into. */
  raw: boolean
  /** From the long form of the topic. */
  cid?: string
  contentType?: string
  expirySeconds?: number
  user?: readonly (readonly [string, string])[]
}

const NONE = Buffer.alloc(0)
const MAX_TYPE = 64
const CID = /^[\x20-\x7e]{1,64}$/
/** Members that a client may send, and those of them that go into the entry as they stand. */
const ALLOWED = new Set(['body', 'cid', 'type', 'ref', 'thread', 'mentions', 'ttl', 'push'])
const SPLICED = new Set(['body', 'ref', 'thread', 'mentions'])
/** Longest life of a message, seconds: ten years; past it `exp` would leave the range of dates. */
const MAX_TTL_SECONDS = 315_360_000

const bad = (message: string): never => { throw new ParleyError('bad-request', message) }

/** @throws ParleyError bad-request */
export function checkCid (cid: unknown): string {
  if (typeof cid === 'string' && CID.test(cid)) return cid
  return bad('cid: 1 to 64 printable ASCII characters')
}

function positive (v: unknown, name: string): number {
  return Number.isSafeInteger(v) && (v as number) > 0 ? v as number : bad(`${name}: a positive whole number`)
}

function checkType (v: unknown): string {
  if (typeof v !== 'string' || v.length < 1 || v.length > MAX_TYPE) return bad(`type: 1 to ${MAX_TYPE} characters`)
  if (v === 'system' || v.startsWith('p.')) return bad(`type ${v} is the broker's`)
  return v
}

function checkMentions (v: unknown): void {
  if (v === '@all') return
  if (!Array.isArray(v) || v.length > 50 || !v.every(u => typeof u === 'string' && isUserId(u))) bad('mentions: at most 50 user ids, or "@all"')
}

function checkPush (v: unknown): void {
  if (typeof v !== 'object' || v === null || Array.isArray(v)) return bad('push: {"silent":true} or {"title","body"}')
  for (const [k, x] of Object.entries(v)) {
    const fits = k === 'silent' ? typeof x === 'boolean' : (k === 'title' || k === 'body') && typeof x === 'string'
    if (!fits) bad('push: {"silent":true} or {"title","body"}')
  }
}

/**
 * The content of a publish.
 * @throws ParleyError bad-request, with what is wrong and where
 */
export function decodeContent (payload: Buffer, env: Envelope): Content {
  const opaque = env.raw || (env.contentType !== undefined && env.contentType !== 'application/json' && env.contentType !== 'text/plain')
  const asJson = !opaque && (env.contentType === undefined ? payload[0] === 123 : env.contentType === 'application/json')
  const c: Content = { type: 'text', cid: env.cid ?? '', fields: NONE, bytes: null, ttlSeconds: 0, push: NONE }
  if (c.cid !== '') checkCid(c.cid)
  const parts: Buffer[] = []
  if (asJson) jsonContent(payload, c, parts)
  else if (payload.length === 0) bad('an empty payload')
  else if (!opaque && isPlainText(payload)) parts.push(Buffer.from(`"body":${JSON.stringify(payload.toString())}`))
  else if (!opaque && env.contentType === 'text/plain') bad('text/plain, but no valid UTF-8 text')
  else c.bytes = payload
  if (c.bytes !== null && env.contentType !== undefined) parts.push(Buffer.from(`"mime":${JSON.stringify(env.contentType)}`))
  if (env.user !== undefined) fromUserProperties(env.user, c, parts)
  if (env.expirySeconds !== undefined && env.expirySeconds > 0) {
    c.ttlSeconds = c.ttlSeconds === 0 ? env.expirySeconds : Math.min(c.ttlSeconds, env.expirySeconds)
  }
  c.ttlSeconds = Math.min(c.ttlSeconds, MAX_TTL_SECONDS)
  checkShape(c, parts)
  c.fields = parts.length === 1 ? parts[0]! : joined(parts)
  return c
}

/** The cid of a content that is none, so that its sender knows which one was refused; empty: none, or none that can be read. */
export function cidOf (payload: Buffer, env: Envelope): string {
  const given: unknown = env.cid ?? env.user?.find(([k]) => k === 'cid')?.[1] ?? (payload[0] === 123 && !env.raw ? cidMember(payload) : undefined)
  return typeof given === 'string' && CID.test(given) ? given : ''
}

function cidMember (payload: Buffer): unknown {
  const members = isUtf8(payload) ? scanObject(payload) : []
  const m = typeof members === 'string' ? undefined : members.find(m => m.name === 'cid')
  return m === undefined ? undefined : JSON.parse(payload.toString('utf8', m.start, m.end))
}

const COMMA = Buffer.from(',')
function joined (parts: Buffer[]): Buffer {
  const all: Buffer[] = []
  for (const p of parts) { if (all.length > 0) all.push(COMMA); all.push(p) }
  return Buffer.concat(all)
}

/** Valid UTF-8 without control characters but tab, LF and CR. */
function isPlainText (b: Buffer): boolean {
  for (let i = 0; i < b.length; i++) {
    const c = b[i]!
    if ((c < 32 && c !== 9 && c !== 10 && c !== 13) || c === 127) return false
  }
  // C1 controls, U+0080 to U+009F, are C2 80 to C2 9F
  return isUtf8(b) && !/[\u0080-\u009f]/.test(b.toString())
}

function jsonContent (payload: Buffer, c: Content, parts: Buffer[]): void {
  if (!isUtf8(payload)) bad('the content is not valid UTF-8')
  const members = scanObject(payload)
  if (typeof members === 'string') return bad(members)
  const seen = new Set<string>()
  for (const m of members) {
    if (!ALLOWED.has(m.name)) bad(`unknown name ${JSON.stringify(m.name.slice(0, 40))}: an app's own fields go into body`)
    if (seen.has(m.name)) bad(`${m.name} is given twice`)
    seen.add(m.name)
    if (m.name !== 'body') member(m, JSON.parse(payload.toString('utf8', m.start, m.end)), payload, c)
    if (SPLICED.has(m.name)) parts.push(spliced(m, payload))
  }
}

/** `"name":value` as received. Where that is how the bytes stand already, it is a view of them, not a copy. */
function spliced (m: Member, payload: Buffer): Buffer {
  const head = `"${m.name}":`
  const from = m.start - head.length
  if (from > 0 && payload.toString('latin1', from, m.start) === head) return payload.subarray(from, m.end)
  return Buffer.concat([Buffer.from(head), payload.subarray(m.start, m.end)])
}

function member (m: Member, v: unknown, payload: Buffer, c: Content): void {
  switch (m.name) {
    case 'cid': {
      const cid = checkCid(v)
      if (c.cid !== '' && c.cid !== cid) bad('two different cids')
      c.cid = cid
      break
    }
    case 'type': c.type = checkType(v); break
    case 'ref': case 'thread': positive(v, m.name); break
    case 'ttl': c.ttlSeconds = positive(v, 'ttl'); break
    case 'mentions': checkMentions(v); break
    case 'push': checkPush(v); c.push = Buffer.from(payload.subarray(m.start, m.end)); break
  }
}

/** MQTT 5 user properties carry what a payload has no room for. */
function fromUserProperties (user: NonNullable<Envelope['user']>, c: Content, parts: Buffer[]): void {
  for (const name of ['cid', 'type', 'ref', 'thread', 'ttl'] as const) {
    const [v, again] = user.filter(([k]) => k === name).map(([, v]) => v)
    if (v === undefined) continue
    if (again !== undefined) return bad(`user property ${name} is given twice`)
    const n = /^\d{1,15}$/.test(v) ? Number(v) : NaN
    if (name === 'cid') {
      if (c.cid !== '' && c.cid !== v) bad('two different cids')
      c.cid = checkCid(v)
    } else if (name === 'type') {
      if (c.type !== 'text' && c.type !== v) bad('two different types')
      c.type = checkType(v)
    } else if (name === 'ttl') {
      const ttl = positive(n, 'ttl')
      c.ttlSeconds = c.ttlSeconds === 0 ? ttl : Math.min(c.ttlSeconds, ttl)
    } else {
      if (parts.some(p => p.toString('latin1', 0, name.length + 3) === `"${name}":`)) bad(`${name} is given twice`)
      parts.push(Buffer.from(`"${name}":${positive(n, name)}`))
    }
  }
}

/** What each reserved type needs. */
function checkShape (c: Content, parts: Buffer[]): void {
  const has = (name: string): boolean => parts.some(p => p.toString('latin1', 0, name.length + 3) === `"${name}":`)
  const body = c.bytes !== null || has('body')
  if (!body && c.type !== 'recall') bad('body is missing')
  if (c.type === 'text' || !(RESERVED_TYPES as readonly string[]).includes(c.type)) return
  if (!has('ref')) bad(`${c.type} needs ref, the seq it is about`)
  if (c.type === 'recall' && body) bad('recall has no body')
  if (c.type === 'react') {
    const p = parts.find(p => p.toString('latin1', 0, 7) === '"body":')
    const emoji: unknown = p === undefined ? undefined : JSON.parse(p.toString('utf8', 7))
    if (emoji !== null && (typeof emoji !== 'string' || emoji === '' || Buffer.byteLength(emoji) > 64)) bad('react: body is an emoji, at most 64 bytes, or null')
  }
}
