import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A folder for the run's servers, which start when a test asks for them; a janitor ends them even when jest is killed. */
export default function () {
  const dir = process.env.PARLEY_TEST_RUN = mkdtempSync(join(tmpdir(), 'parley-servers-'))
  spawn(process.execPath, [fileURLToPath(new URL('janitor.js', import.meta.url)), dir, String(process.pid)], { detached: true, stdio: 'ignore' }).unref()
}
