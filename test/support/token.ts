import { createHmac } from 'node:crypto'

const b64 = (v: object): string => Buffer.from(JSON.stringify(v)).toString('base64url')

/** An HS256 token. */
export function hs256 (claims: object, secret: string): string {
  const head = `${b64({ alg: 'HS256', typ: 'JWT' })}.${b64(claims)}`
  return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`
}
