import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** A library that is compiled from its sources takes its time. */
export const INSTALL_MS = 900_000

/**
 * Runs the `install` of a folder, if it has one. At once when everything is there already.
 * @param at `import.meta.url` of the test in that folder
 * @throws Error with what it says that is missing
 */
export async function install (at: string): Promise<void> {
  const script = fileURLToPath(new URL('install', at))
  if (!existsSync(script)) return
  await promisify(execFile)(script).catch((failure: { stdout?: string, stderr?: string, message: string }) => {
    throw new Error(`it can't be installed here:\n${failure.stdout ?? ''}${failure.stderr ?? failure.message}`)
  })
}
