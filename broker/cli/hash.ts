import { randomBytes, scrypt } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { UsageError, type Command } from './command.js'

// 32 MiB and about 0.1 s a try, as OWASP's password storage sheet has it for scrypt with r=8: the stronger rows (p=3 at 2^15) cost the broker's sign-in rate.
const ln = 15
const r = 8
const p = 1
const saltBytes = 16
const hashBytes = 32

/** `parley hash`: prints the hash of a password, for a user of `auth.static`. */
export const hash: Command = {
  name: 'hash',
  synopsis: '< FILE',
  summary: 'read a password (terminal or standard input), print its hash for auth.static',
  positionals: [],
  options: {},
  configured: false,
  async run () {
    const password = process.stdin.isTTY ? await askTwice() : withoutNewline(await readAll(process.stdin))
    if (password.length === 0) throw new UsageError('parley hash: the password is empty')
    if (password.includes(0x0a)) throw new UsageError('parley hash: the password has more than one line')
    console.log(await hashPassword(password))
    return 0
  },
}

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')

/** The PHC form `$scrypt$ln=15,r=8,p=1$salt$hash` (base64 without padding) of a password's bytes, with a new salt each time. */
export async function hashPassword (password: Uint8Array): Promise<string> {
  const salt = randomBytes(saltBytes)
  const derived = await new Promise<Buffer>((resolve, reject) => {
    // Node's own limit is 32 MiB, just too little for 128 · N · r.
    scrypt(password, salt, hashBytes, { N: 2 ** ln, r, p, maxmem: 64 * 1024 * 1024 }, (error, key) => { error === null ? resolve(key) : reject(error) })
  })
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(derived)}`
}

async function readAll (stream: AsyncIterable<Buffer | string>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

// `echo secret | parley hash` is meant without the newline.
const withoutNewline = (bytes: Buffer): Buffer => {
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length
  return bytes.subarray(0, end)
}

async function askTwice (): Promise<Buffer> {
  const first = await askHidden('Password: ')
  const second = await askHidden('Again: ')
  if (first !== second) throw new UsageError('parley hash: the two differ')
  return Buffer.from(first)
}

async function askHidden (question: string): Promise<string> {
  process.stderr.write(question)
  const mute = new Writable({ write: (_chunk, _encoding, done) => { done() } })
  const lines = createInterface({ input: process.stdin, output: mute, terminal: true })
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve)
      lines.once('close', () => { reject(new UsageError('parley hash: no password was given')) })
    })
  } finally {
    lines.close()
    process.stderr.write('\n')
  }
}
