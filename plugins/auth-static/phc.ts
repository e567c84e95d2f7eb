import { scrypt, timingSafeEqual } from 'node:crypto'
import { hashRaw as argon2id } from '@node-rs/argon2'

/** Checks a password against one stored hash, off the event loop. */
export type Check = (password: Buffer) => Promise<boolean>

/** A hash that needs more memory than this would let a few sign-ins take the machine's. */
const MAX_MEMORY_BYTES = 256 << 20
const MAX_PASSES = 16

const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/
const ARGON2 = /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/

/** Reads a hash in PHC form, `$scrypt$…` or `$argon2id$…`; or says what is wrong with it, without quoting it. */
export function readHash (text: string): Check | string {
  if (text.startsWith('$scrypt$')) return readScrypt(text)
  if (text.startsWith('$argon2id$')) return readArgon2(text)
  return 'is neither $scrypt$… nor $argon2id$…; `parley hash` makes one'
}

function readScrypt (text: string): Check | string {
  const found = SCRYPT.exec(text)
  if (found === null) return 'is no hash of the form $scrypt$ln=…,r=…,p=…$salt$hash'
  const [ln, r, p] = found.slice(1, 4).map(Number) as [number, number, number]
  if (ln < 1 || r < 1 || p < 1 || p > MAX_PASSES || 2 ** ln * r * 128 > MAX_MEMORY_BYTES) return outOfBounds
  const { salt, hash } = bytesOf(found)
  const options = { N: 2 ** ln, r, p, maxmem: 2 * MAX_MEMORY_BYTES }
  return async password => await new Promise((resolve, reject) => {
    scrypt(password, salt, hash.length, options, (error, key) => { error === null ? resolve(timingSafeEqual(key, hash)) : reject(error) })
  })
}

function readArgon2 (text: string): Check | string {
  const found = ARGON2.exec(text)
  if (found === null) return 'is no hash of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash'
  const [kib, passes, lanes] = found.slice(1, 4).map(Number) as [number, number, number]
  if (lanes < 1 || lanes > MAX_PASSES || passes < 1 || passes > MAX_PASSES || kib < 8 * lanes || kib * 1024 > MAX_MEMORY_BYTES) return outOfBounds
  const { salt, hash } = bytesOf(found)
  // argon2id, version 0x13, is what it makes unless told otherwise. Its own `verify` takes no password that is not UTF-8.
  const options = { memoryCost: kib, timeCost: passes, parallelism: lanes, salt, outputLen: hash.length }
  return async password => timingSafeEqual(await argon2id(password, options), hash)
}

const bytesOf = (found: RegExpExecArray): { salt: Buffer, hash: Buffer } => ({ salt: Buffer.from(found[4]!, 'base64'), hash: Buffer.from(found[5]!, 'base64') })

const outOfBounds = `asks for more than ${MAX_MEMORY_BYTES >> 20} MiB or ${MAX_PASSES} passes or lanes, or for none`
