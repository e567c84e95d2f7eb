import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Credentials, Verdict } from '../../broker/plugin.js'

export const SECRET = 'a secret of more than thirty-two bytes, äöü'

/** A sign-in that the test decides: a plugin by its path, asked after the tokens of {@link SECRET}. */
export class Door {
  private readonly dir = mkdtempSync(join(tmpdir(), 'parley-door-'))
  /** What the plugin answers; a test may answer when it likes. */
  answer: (c: Credentials) => unknown = c => this.accept(c)
  /** For startParley. */
  readonly settings: { auth: object, plugins: string[] }

  constructor () {
    (globalThis as { door?: Door }).door = this
    const file = join(this.dir, 'door.mjs')
    writeFileSync(file, 'export default { name: "door", setup: () => ({ authenticate: c => globalThis.door.answer(c) }) }\n')
    this.settings = { auth: { jwt: { secret: SECRET } }, plugins: [file] }
  }

  accept (c: Credentials): Verdict { return { kind: 'accepted', identity: { user: c.user as never, admin: false, expiresMs: 0 } } }
  remove (): void { rmSync(this.dir, { recursive: true, force: true }) }
}
