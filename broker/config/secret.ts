import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './schema.js'

const fileName = 'jwt-secret'
const secretBytes = 32 // what HS256 wants at least (RFC 7518, 3.2)

/**
 * The secret of HS256 tokens when none is configured: read from `jwt-secret` in `dataDir`, or made there
 * (32 random bytes, base64url, mode 0600). The key is the UTF-8 bytes of what is returned.
 * Atomic: of two processes that start together both return the one that stays. Throws when the folder
 * cannot be written, or the file was cut short.
 */
export function ensureSecret (dataDir: string): string {
  const file = join(dataDir, fileName)
  const known = readSecret(file)
  if (known !== undefined) return known
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    const fd = openSync(draft, 'wx', 0o600)
    try {
      writeSync(fd, randomBytes(secretBytes).toString('base64url') + '\n')
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    publish(draft, file)
    syncFolder(dataDir)
  } finally {
    rmSync(draft, { force: true })
  }
  const made = readSecret(file)
  if (made === undefined) throw new Error(`${file} vanished while it was made`)
  return made
}

/** Whether tokens are signed with the generated secret: neither a secret nor public keys are configured. */
export const usesGeneratedSecret = ({ auth: { jwt } }: Config): boolean =>
  jwt.secret === undefined && jwt.publicKeyFile === undefined && jwt.jwksUrl === undefined

/** The HS256 secret of a node: configured, else generated; undefined when tokens are checked with public keys alone. */
export const signingSecret = (config: Config): string | undefined =>
  config.auth.jwt.secret ?? (usesGeneratedSecret(config) ? ensureSecret(config.dataDir) : undefined)

function readSecret (file: string): string | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  if (text.length < 32) throw new Error(`${file} is damaged: put it back from a backup, or delete it (tokens signed with it end)`)
  return text
}

function publish (draft: string, file: string): void {
  try {
    // Unlike rename, link never replaces: whoever comes second reads the first one's secret.
    linkSync(draft, file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    // Some network and FAT volumes have no links.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error
    renameSync(draft, file)
  }
}

function syncFolder (folder: string): void {
  // Windows opens no folders; there the rename is all that can be had.
  if (process.platform === 'win32') return
  const fd = openSync(folder, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
