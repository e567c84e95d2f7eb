import { createHmac, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { type Credentials, definePlugin, FairQueue, looksLikeJwt, Lru, QueueFull, type Static, Type, type Verdict } from '../../broker/plugin.js'
import { type StaticUser, Users } from './users.js'

const options = Type.Object({ file: Type.String({ minLength: 1 }) }, { additionalProperties: false })

/** A longer one is no password of a person; hashing it would cost more than reading it. */
const MAX_PASSWORD_BYTES = 1024
/** Passwords found good, remembered under a key of this process: what reconnects after a restart of the network is hashed once only. */
const REMEMBERED = 10_000
/** One core stays with the event loop; more than two of libuv's four threads would keep the store waiting. */
const AT_ONCE = Math.max(1, Math.min(2, availableParallelism() - 1))

async function readUsers (file: string): Promise<Users> {
  try { return Users.read(await readFile(file, 'utf8')) } catch (e) { throw new Error(`${file}: ${(e as Error).message}`, { cause: e }) }
}

/** Signs in with a password from a file of hashes, which is read again at SIGHUP (docs/config.md, auth.static). */
export const authStatic = definePlugin({
  name: 'auth-static',
  config: options,
  // A hash takes 0.1 s; those who wait for one are many after a restart.
  timeoutMs: 20_000,
  check: async ({ file }) => { await readUsers(file) },
  async setup ({ logger }, { file }: Static<typeof options>) {
    let users = await readUsers(file)
    const queue = new FairQueue({ atOnce: AT_ONCE, perKey: 32, total: 200 })
    const good = new Lru<true>(REMEMBERED)
    const key = randomBytes(32)
    const digest = (...parts: (string | Buffer)[]): Buffer => {
      const mac = createHmac('sha256', key)
      for (const part of parts) mac.update(part).update('\0')
      return mac.digest()
    }

    async function isRight (entry: StaticUser, password: Buffer, address: string): Promise<boolean> {
      const name = digest(entry.hash, password).toString('base64')
      if (good.get(name) === true) return true
      if (!await queue.run(address, async () => await entry.check(password))) return false
      good.set(name, true)
      return true
    }

    /** An unknown user costs what one of the list would, the same at each try: time does not tell who is on it. */
    async function pretend (user: string, password: Buffer, address: string): Promise<void> {
      const { all } = users
      const decoy = all[digest(user).readUInt32BE() % Math.max(1, all.length)]
      if (decoy !== undefined) await queue.run(address, async () => await decoy.check(password))
    }

    async function judge (user: string, password: Buffer, c: Credentials): Promise<Verdict> {
      const entry = users.find(user, c.device)
      if (entry === undefined) {
        await pretend(user, password, c.address)
        return { kind: 'not-mine' }
      }
      if (!await isRight(entry, password, c.address)) return { kind: 'refused', reason: 'credential', why: 'a wrong password' }
      // Over HTTP there is no device: a device's password acts as that device there.
      if (entry.device !== undefined && c.device !== undefined && entry.device !== c.device) return { kind: 'refused', reason: 'forbidden', why: `a password of another device of ${user}` }
      return { kind: 'accepted', identity: { user: entry.user, admin: entry.admin, expiresMs: 0, acl: entry.acl } }
    }

    return {
      async authenticate (c): Promise<Verdict> {
        const { user = '', password } = c
        if (user === '' || password === undefined || password.length === 0 || looksLikeJwt(password)) return { kind: 'not-mine' }
        if (password.length > MAX_PASSWORD_BYTES) return { kind: 'not-mine' }
        try { return await judge(user, password, c) } catch (e) {
          if (e instanceof QueueFull) return { kind: 'down', why: 'too many passwords are waiting to be checked' }
          throw e
        }
      },
      async reload () {
        users = await readUsers(file)
        logger.info({ file, users: users.all.length }, 'users are read again')
      }
    }
  }
})

export default authStatic
