// Whatever ends a run, no process and no folder of it stays behind.
import { spawn as start } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const children = new Set()
const folders = new Set()
let ended = false

/** A broker and its plugins must not see settings meant for another one. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PARLEY_') && name !== 'NODE_OPTIONS'))

/** spawn, for a child that ends with this process at the latest. */
export function spawn (command, args, { env = {}, ...rest } = {}) {
  const child = start(command, args, { env: { ...environment, ...env }, ...rest })
  children.add(child)
  child.on('exit', () => { children.delete(child) })
  child.on('error', () => { children.delete(child) })   // it never started
  return child
}

/** A new folder that goes away with this process at the latest; TMPDIR decides on which disk. */
export function temporaryFolder (name) {
  const folder = mkdtempSync(path.join(tmpdir(), `parley-bench-${name}-`))
  folders.add(folder)
  return folder
}

export function removeFolder (folder) {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  folders.delete(folder)
}

/** Sends `signal`, SIGKILL after `patienceMs`; resolves when the child is gone. */
export function end (child, signal = 'SIGTERM', patienceMs = 30000) {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(() => { child.kill('SIGKILL') }, patienceMs)
    child.once('exit', () => { clearTimeout(timer); resolve() })
    child.kill(signal)
  })
}

process.on('exit', () => {
  ended = true
  for (const child of children) child.kill('SIGKILL')
  for (const folder of folders) removeFolder(folder)
})
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) process.on(signal, () => { if (!ended) process.exit(code) })
